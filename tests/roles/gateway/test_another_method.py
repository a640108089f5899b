"""A failed payment is tried again with another method over HTTP: what is answered, and what is refused."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import KEY, order

from counterfoil.store.tokens import Scope

DECLINED = "pm_card_chargeDeclinedInsufficientFunds"
NOBODY = "00000000-0000-7000-8000-000000000000"
KIND = "urn:counterfoil:problem:"


def address(gateway: Counter, payment_id: str) -> str:
    """Where another method for a payment is posted to."""
    return f"{gateway.running.url}/payments/{payment_id}/payment-method"


async def tried(
    gateway: Counter,
    http: httpx.AsyncClient,
    payment_id: str,
    body: Any = None,
    *,
    token: str | None = None,
) -> httpx.Response:
    """Post another method for a payment."""
    body = {"payment_method": "pm_card_visa"} if body is None else body
    return await http.post(address(gateway, payment_id), headers=gateway.authority(token), json=body)


async def failed(gateway: Counter, http: httpx.AsyncClient, name: str, **changes: Any) -> str:
    """The id of a payment that failed and may be tried again."""
    answer = await gateway.charge(http, order(name, payment_method=DECLINED, **changes))
    assert answer.status_code == 402, answer.text
    return str(answer.json()["payment_id"])


async def charges(gateway: Counter, http: httpx.AsyncClient, payment_id: str) -> list[tuple[bool, str]]:
    """Whether each charge at Stripe for a payment took money, and with which kind of method, oldest first."""
    headers = {"Authorization": f"Bearer {KEY}"}
    listed = await http.get(f"{gateway.stage.sandbox_url}/v1/charges?limit=100", headers=headers)
    mine = [one for one in listed.json()["data"] if one["metadata"].get("payment_id") == payment_id]
    return [(one["captured"], one["payment_method_details"]["type"]) for one in reversed(mine)]


async def test_another_method_is_answered_as_a_charge_is(gateway: Counter, http: httpx.AsyncClient) -> None:
    """200 with the same payment, event and order; the payment shows both attempts and what each was paid with."""
    payment_id = await failed(gateway, http, "anew")

    answer = await tried(gateway, http, payment_id)

    said = answer.json()
    assert (answer.status_code, said["status"], said["amount_captured"]) == (200, "succeeded", 1999)
    assert (said["payment_id"], said["event_id"], said["order_id"]) == (payment_id, "event-anew", "order-anew")
    shown = (await gateway.ask(http, f"/payments/{payment_id}")).json()
    assert [(one["state"], one["payment_method"]) for one in shown["attempts"]] == [
        ("declined", DECLINED),
        ("captured", "pm_card_visa"),
    ]
    assert shown["payment_method"] == "pm_card_visa"
    assert await charges(gateway, http, payment_id) == [(False, "card"), (True, "card")]


async def test_a_further_decline_is_402(gateway: Counter, http: httpx.AsyncClient) -> None:
    """With the reason of the last attempt; a third may follow."""
    payment_id = await failed(gateway, http, "twice")
    answer = await tried(gateway, http, payment_id, {"payment_method": "pm_card_chargeDeclinedExpiredCard"})
    said = answer.json()
    assert (answer.status_code, said["type"], said["payment_status"]) == (402, f"{KIND}card-declined", "failed")
    assert (said["decline_code"], said["can_retry"]) == ("expired_card", True)
    assert (await tried(gateway, http, payment_id)).status_code == 200


async def test_a_method_that_asks_for_its_customer_is_202(gateway: Counter, http: httpx.AsyncClient) -> None:
    """The link is that of the new attempt, and the way back the one that came with it."""
    payment_id = await failed(gateway, http, "asks")
    body = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.example/elsewhere"}
    answer = await tried(gateway, http, payment_id, body)
    said = answer.json()
    assert (answer.status_code, said["status"]) == (202, "requires_action")
    back = await http.post(said["action"]["url"], data={"outcome": "approve"}, follow_redirects=False)
    assert back.headers["Location"].startswith("https://shop.example/elsewhere")


async def test_another_kind_of_method_may_pay(gateway: Counter, http: httpx.AsyncClient) -> None:
    """A card failed, a bank debit with its own mandate is taken: open until the bank has paid."""
    payment_id = await failed(gateway, http, "debit")
    mandate = {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "192.0.2.7", "user_agent": "a browser"}
    answer = await tried(gateway, http, payment_id, {"payment_method": "pm_sepaDebit_success_de", "mandate": mandate})
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    assert await charges(gateway, http, payment_id) == [(False, "card"), (False, "sepa_debit")]


async def test_only_a_failed_payment_takes_another_method(gateway: Counter, http: httpx.AsyncClient) -> None:
    """409 with how it stands: paid, waiting for its customer, or failed in a way that must not be tried again."""
    for name, method, status in (
        ("paid", "pm_card_visa", "succeeded"),
        ("open", "pm_card_threeDSecure2Required", "requires_action"),
        ("fraud", "pm_card_chargeDeclinedFraudulent", "failed"),
    ):
        charged = (await gateway.charge(http, order(f"state-{name}", payment_method=method))).json()
        before = await gateway.told(http)
        answer = await tried(gateway, http, charged["payment_id"])
        said = answer.json()
        assert (answer.status_code, said["type"], said["payment_status"]) == (409, f"{KIND}wrong-state", status)
        assert await gateway.told(http) == before


async def test_many_at_once_are_one_attempt(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Ten click at the same time: one pays, the others hear how the payment stands, and it is charged once."""
    payment_id = await failed(gateway, http, "clicks")
    answers = await asyncio.gather(*(tried(gateway, http, payment_id) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert {answer.json()["payment_status"] for answer in answers if answer.status_code == 409} <= {
        "processing",
        "succeeded",
    }
    assert [captured for captured, _ in await charges(gateway, http, payment_id)] == [False, True]


async def test_an_order_that_another_payment_pays_is_422(gateway: Counter, http: httpx.AsyncClient) -> None:
    """The answer names the payment that has the order; nothing is sent for the older one."""
    older = await failed(gateway, http, "older")
    newer = await gateway.charge(http, order("newer", order_id="order-older"))
    answer = await tried(gateway, http, older)
    said = answer.json()
    assert (answer.status_code, said["type"]) == (422, f"{KIND}order-has-payment")
    assert said["payment_id"] == newer.json()["payment_id"]
    assert [captured for captured, _ in await charges(gateway, http, older)] == [False]


@pytest.mark.parametrize("payment_id", [NOBODY, "7"])
async def test_a_payment_that_is_not_there_is_404(gateway: Counter, http: httpx.AsyncClient, payment_id: str) -> None:
    """Unknown ids, and texts that are no ids."""
    answer = await tried(gateway, http, payment_id)
    assert (answer.status_code, answer.json()["type"]) == (404, f"{KIND}not-found")


async def test_only_json_is_read(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Anything a browser may post to another site unasked is 415."""
    headers = {**gateway.authority(), "Content-Type": "text/plain"}
    answer = await http.post(address(gateway, NOBODY), headers=headers, content=b"payment_method=pm_card_visa")
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        ({}, "invalid-request", "payment_method"),
        ({"payment_method": None}, "invalid-request", "payment_method"),
        ({"payment_method": "pm_card_visa", "amount_cents": 1}, "invalid-request", "amount_cents"),
        ({"payment_method": "pm_card_visa", "return_url": "ftp://x"}, "invalid-request", "return_url"),
        ({"payment_method": "4242 4242 4242 4242"}, "card-data-not-accepted", "payment_method"),
    ],
)
async def test_what_is_no_method_is_400(
    gateway: Counter, http: httpx.AsyncClient, body: dict[str, Any], kind: str, field: str
) -> None:
    """The field at fault is named as the caller wrote it; the amount of a payment is never changed."""
    answer = await tried(gateway, http, NOBODY, body)
    assert (answer.status_code, answer.json()["type"], answer.json()["field"]) == (400, KIND + kind, field)
    assert "4242" not in answer.text


async def test_a_method_stripe_does_not_know_is_422(gateway: Counter, http: httpx.AsyncClient) -> None:
    """The payment stays failed, and another method may still be tried."""
    payment_id = await failed(gateway, http, "unknown")
    answer = await tried(gateway, http, payment_id, {"payment_method": "pm_unheard_of"})
    assert (answer.status_code, answer.json()["type"]) == (422, f"{KIND}method-refused")
    assert (await tried(gateway, http, payment_id)).status_code == 200


async def test_it_wants_the_scope_of_a_charge(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Who may only read may not charge."""
    payment_id = await failed(gateway, http, "scope")
    reader = await tried(gateway, http, payment_id, token=gateway.limited[Scope.READ])
    charger = await tried(gateway, http, payment_id, token=gateway.limited[Scope.CHARGE])
    assert (reader.status_code, charger.status_code) == (403, 200)


async def test_the_document_of_the_routes_describes_its_body(gateway: Counter, http: httpx.AsyncClient) -> None:
    """OpenAPI: what is needed, and that nothing else is taken."""
    document = (await http.get(f"{gateway.running.url}/openapi.json")).json()
    route = document["paths"]["/payments/{payment_id}/payment-method"]["post"]
    schema = route["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["payment_method"], False)
    assert sorted(schema["properties"]) == ["mandate", "off_session", "payment_method", "return_url"]
