"""Linked customers, over HTTP: who they are at Stripe, and what is charged when their order does not say."""

from typing import Any

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.store.tokens import Scope

STRIPE = {"Authorization": "Bearer sk_test_stage"}


async def link(
    gateway: Counter, http: httpx.AsyncClient, name: str, body: Any, token: str | None = None
) -> httpx.Response:
    return await http.put(f"{gateway.running.url}/customers/{name}", json=body, headers=gateway.authority(token))


async def kept(gateway: Counter, http: httpx.AsyncClient) -> tuple[str, str]:
    """A customer at Stripe and a card that is attached to them."""
    stripe = f"{gateway.stage.sandbox_url}/v1"
    customer = (await http.post(f"{stripe}/customers", headers=STRIPE)).json()["id"]
    attach = f"{stripe}/payment_methods/pm_card_visa/attach"
    return customer, (await http.post(attach, data={"customer": customer}, headers=STRIPE)).json()["id"]


def without_method(name: str, **changes: Any) -> dict[str, Any]:
    placed = order(name, customer_id=name, off_session=True, **changes)
    del placed["payment_method"]
    return placed


async def test_an_order_without_a_method_is_charged_with_its_customers(
    gateway: Counter, http: httpx.AsyncClient
) -> None:
    """Stripe is told who the customer is, and takes what they keep there."""
    customer, method = await kept(gateway, http)
    linked = await link(gateway, http, "ada", {"stripe_customer": customer, "default_payment_method": method})
    assert (linked.status_code, linked.json()["customer_id"]) == (200, "ada")

    charged = (await gateway.charge(http, without_method("ada"))).json()

    intent = f"{gateway.stage.sandbox_url}/v1/payment_intents/{charged['payment_intent_id']}"
    found = (await http.get(intent, headers=STRIPE)).json()
    assert (charged["status"], found["customer"], found["payment_method"]) == ("succeeded", customer, method)


async def test_an_order_that_comes_again_is_the_same_whatever_the_link_is_by_then(
    gateway: Counter, http: httpx.AsyncClient
) -> None:
    """The default is gone: the repeat is answered by its payment, while what is new has no method."""
    customer, method = await kept(gateway, http)
    await link(gateway, http, "ben", {"stripe_customer": customer, "default_payment_method": method})
    first = await gateway.charge(http, without_method("ben"))
    await link(gateway, http, "ben", {"stripe_customer": customer})

    again = await gateway.charge(http, without_method("ben"))
    other = await gateway.charge(http, without_method("ben", event_id="another", order_id="another"))

    assert (again.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (200, first.json(), "true")
    assert (other.status_code, other.json()["type"]) == (422, "urn:counterfoil:problem:method-refused")


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("eve", {}, "stripe_customer"),
        ("eve", {"stripe_customer": "ada"}, "stripe_customer"),
        ("eve", {"stripe_customer": "cus_1", "default_payment_method": "tok_visa"}, "default_payment_method"),
        ("eve", {"stripe_customer": "cus_1", "default_payment_method": "4242424242424242"}, "default_payment_method"),
        ("eve", {"stripe_customer": "cus_1", "name": "Eve"}, "name"),
        ("cus_1", {"stripe_customer": "cus_2"}, "stripe_customer"),
        ("4242424242424242", {"stripe_customer": "cus_1"}, "customer_id"),
    ],
)
async def test_what_is_no_link_is_refused_by_its_field(
    gateway: Counter, http: httpx.AsyncClient, name: str, body: dict[str, str], field: str
) -> None:
    """Nothing is kept of it."""
    refused = await link(gateway, http, name, body)
    assert (refused.status_code, refused.json()["field"]) == (400, field)
    assert await gateway.fetch("SELECT count(*) FROM customers WHERE id = $1", name) == 0


async def test_to_link_takes_the_scope_to_charge(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Whoever may charge may name any method anyhow; nobody else says what is charged."""
    answers = {
        scope: (await link(gateway, http, "fay", {"stripe_customer": "cus_1"}, gateway.limited[scope])).status_code
        for scope in Scope
    }
    assert answers == {scope: 200 if scope is Scope.CHARGE else 403 for scope in Scope}
