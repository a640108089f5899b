"""What followed from a payment's end is shown, decided on by who may, and leads its customer back."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.store.tokens import Scope

NOBODY = "00000000-0000-7000-8000-000000000000"
ITEMS = [{"sku": "mug", "quantity": 2}]


async def paid(gateway: Counter, http: httpx.AsyncClient, name: str, **changes: Any) -> str:
    """Charge for an order whose customer can be told; return the payment's id."""
    wished = order(name, **{"customer_email": "kim@customer.example", "items": ITEMS} | changes)
    return str((await gateway.charge(http, wished)).json()["payment_id"])


async def parked(gateway: Counter, http: httpx.AsyncClient, name: str) -> str:
    """The same, and its receipt is parked."""
    payment_id = await paid(gateway, http, name)
    await gateway.fetch(
        "UPDATE effects SET state = 'parked', reason = 'a test', next_try_at = NULL, tries = 8, ended_at = now()"
        " WHERE payment_id = $1::uuid AND kind = 'receipt'",
        payment_id,
    )
    return payment_id


async def decide(gateway: Counter, http: httpx.AsyncClient, name: str, token: str | None = None) -> httpx.Response:
    return await http.post(f"{gateway.running.url}/effects/{name}", headers=gateway.authority(token))


async def states(gateway: Counter, http: httpx.AsyncClient, payment_id: str) -> dict[str, str]:
    found = (await gateway.ask(http, f"/payments/{payment_id}/effects", token=gateway.limited[Scope.READ])).json()
    return {one["kind"]: one["state"] for one in found["effects"]}


async def test_what_followed_from_a_payment_is_shown(gateway: Counter, http: httpx.AsyncClient) -> None:
    """To whoever may read it; it stands on record when the charge is answered."""
    payment_id = await paid(gateway, http, "shown")
    assert await states(gateway, http, payment_id) == {"receipt": "waiting", "stock_decrement": "done"}
    assert (await gateway.ask(http, f"/payments/{NOBODY}/effects")).status_code == 404


async def test_a_person_lists_replays_and_drops_what_is_parked(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Each once: what is decided is parked no more."""
    names = sorted([f"{await parked(gateway, http, f'parked-{number}')}/receipt" for number in range(3)])
    first = (await gateway.ask(http, "/effects?state=parked&limit=2")).json()
    second = (await gateway.ask(http, f"/effects?state=parked&limit=2&cursor={first['next_cursor']}")).json()
    assert [one["id"] for page in (first, second) for one in page["effects"]] == names
    assert (first["effects"][0]["reason"], second["next_cursor"]) == ("a test", None)

    replayed, dropped = (
        await decide(gateway, http, f"{names[0]}/replay"),
        await decide(gateway, http, f"{names[1]}/drop"),
    )
    assert [(one.status_code, one.json()["state"], one.json()["tries"]) for one in (replayed, dropped)] == [
        (200, "waiting", 0),
        (200, "dropped", 8),
    ]
    for name, state in ((f"{names[0]}/drop", "waiting"), (f"{names[1]}/replay", "dropped")):
        again = await decide(gateway, http, name)
        assert (again.status_code, again.json()["effect_state"]) == (409, state)
    left = (await gateway.ask(http, "/effects")).json()["effects"]
    assert [one["id"] for one in left] == names[2:]


@pytest.mark.parametrize("name", [f"{NOBODY}/receipt", f"{NOBODY}/nothing", "x/receipt"])
async def test_what_is_not_there_is_not_found(gateway: Counter, http: httpx.AsyncClient, name: str) -> None:
    """No such payment, no such effect, no id."""
    assert (await decide(gateway, http, f"{name}/replay")).status_code == 404


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ADMIN])
async def test_only_an_administrator_decides(gateway: Counter, http: httpx.AsyncClient, scope: Scope) -> None:
    """Whoever may charge, refund or read may neither list nor decide."""
    token = gateway.limited[scope]
    assert (await gateway.ask(http, "/effects", token=token)).status_code == 403
    for what in ("replay", "drop"):
        assert (await decide(gateway, http, f"{NOBODY}/receipt/{what}", token)).status_code == 403


@pytest.mark.parametrize("query", ["state=done", "cursor=x", "limit=0", "limit=101"])
async def test_a_list_that_there_is_none_of_is_refused(gateway: Counter, http: httpx.AsyncClient, query: str) -> None:
    """The field at fault is named."""
    answer = await gateway.ask(http, f"/effects?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, query.partition("=")[0])


async def test_a_customer_is_led_back_to_the_shop(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Without a token, with the order and the payment in the address; the order's own address, else the setting's."""
    failed = {"payment_method": "pm_card_chargeDeclined"}
    for name, own, expected in (
        ("back", {"return_url": "https://other.example/pay?a=1&b="}, "https://other.example/pay?a=1&b="),
        ("back-2", {}, "https://shop.example/back?"),
    ):
        payment_id = await paid(gateway, http, name, **failed, **own)
        answer = await http.get(f"{gateway.running.url}/try-again/{payment_id}")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(expected)
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        assert (query["order_id"], query["payment_id"]) == ([f"order-{name}"], [payment_id])
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("pm_card_visa", "This order is paid."),
        ("pm_card_threeDSecure2Required", "This payment is being worked on."),
        ("pm_card_chargeDeclinedFraudulent", "This payment did not go through."),
    ],
)
async def test_where_there_is_nothing_to_try_it_is_said(
    gateway: Counter, http: httpx.AsyncClient, method: str, said: str
) -> None:
    """Paid, open, refused for good: a sentence, and nobody is sent anywhere."""
    payment_id = await paid(gateway, http, f"nothing-{method}", payment_method=method)
    answer = await http.get(f"{gateway.running.url}/try-again/{payment_id}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.text.startswith(said)


@pytest.mark.parametrize("name", [NOBODY, "x", "..%2f..%2fetc"])
async def test_a_link_to_nowhere_is_not_found(gateway: Counter, http: httpx.AsyncClient, name: str) -> None:
    """Nobody learns more from a guess."""
    assert (await http.get(f"{gateway.running.url}/try-again/{name}")).status_code == 404


def test_no_address_is_logged(gateway: Counter) -> None:
    """Of all that the gateway was given above."""
    assert "customer.example" not in gateway.running.log()
