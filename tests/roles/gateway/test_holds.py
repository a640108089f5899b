"""Money held, taken and let go over HTTP, and payments under ids that their senders chose."""

import asyncio
import itertools
from collections import Counter as Tally
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.store.tokens import Scope

NOBODY = "00000000-0000-7000-8000-000000000000"
PROBLEM = "urn:counterfoil:problem:"


NUMBERS = itertools.count(1)


def new_id() -> str:
    """An id that no other payment of this module has."""
    return str(UUID(int=next(NUMBERS)))


def hold_of(name: str, **changes: Any) -> dict[str, Any]:
    return {"order_id": f"held-{name}", "amount": 1999, "currency": "EUR", "payment_method": "pm_card_visa"} | changes


def command(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "payment_id": new_id(),
        "amount": 19.99,
        "currency": "EUR",
        "payment_method": {"type": "card", "token": "pm_card_visa"},
        "idempotency_key": f"command-{name}",
    } | changes


async def post(
    gateway: Counter, http: httpx.AsyncClient, path: str, body: Any = None, **headers: str
) -> httpx.Response:
    sent = {"json": body} if body is not None else {}
    return await http.post(gateway.running.url + path, headers={**gateway.authority(), **headers}, **sent)


async def held(gateway: Counter, http: httpx.AsyncClient, name: str) -> Any:
    answer = await post(gateway, http, "/payments/authorize", hold_of(name))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_hold_is_201_with_its_end(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Nothing is taken, and it is said until when it may be."""
    said = await held(gateway, http, "plain")
    assert (said["status"], said["amount"], said["amount_captured"], said["amount_to_capture"]) == (
        *("authorized", 1999, 0),
        None,
    )
    shown = (await gateway.ask(http, f"/payments/{said['payment_id']}")).json()
    assert (shown["hold_ends_at"], shown["capture_method"]) == (said["hold_ends_at"], "manual")
    assert said["hold_ends_at"] is not None


async def test_a_hold_asked_for_again_is_the_same_hold(gateway: Counter, http: httpx.AsyncClient) -> None:
    """By its order's id or its key; under another key the order has a payment, for another order the key is spent."""
    first = await held(gateway, http, "again")
    same = await post(gateway, http, "/payments/authorize", hold_of("again"))
    rival = await post(gateway, http, "/payments/authorize", hold_of("again"), **{"Idempotency-Key": "another"})
    spent = await post(gateway, http, "/payments/authorize", hold_of("other"), **{"Idempotency-Key": "held-again"})
    assert (same.status_code, same.json(), same.headers["idempotent-replayed"]) == (201, first, "true")
    assert (rival.status_code, rival.json()["type"]) == (422, f"{PROBLEM}order-has-payment")
    assert (spent.status_code, spent.json()["type"]) == (422, f"{PROBLEM}idempotency-key-reused")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"payment_method": "pm_card_chargeDeclined"}, 402),
        ({"payment_method": "pm_card_threeDSecure2Required"}, 202),
        ({"amount": 19.99}, 400),
        ({"amount": 1}, 422),
        ({"order_id": None}, 400),
        ({"payment_method": "pm_1NoSuchMethod"}, 422),
    ],
)
async def test_what_is_not_held_says_why(
    gateway: Counter, http: httpx.AsyncClient, changes: dict[str, Any], status: int
) -> None:
    """Declined, waiting for its customer, of another shape, or refused."""
    answer = await post(gateway, http, "/payments/authorize", hold_of(f"not-{status}-{len(str(changes))}", **changes))
    assert status == answer.status_code, answer.text


async def test_a_method_that_cannot_hold_is_refused(gateway: Counter, http: httpx.AsyncClient) -> None:
    """A bank debit cannot be held: it is 422 before anything is kept or sent, and nobody is called for it."""
    consent = {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "192.0.2.7", "user_agent": "a browser"}
    debit = order("debit", payment_method="pm_sepaDebit_success_de", mandate=consent, capture_method="manual")
    answer = await gateway.charge(http, debit)
    assert (answer.status_code, answer.json().get("type")) == (422, f"{PROBLEM}method-refused")
    assert answer.json()["field"] == "payment_method"
    assert await gateway.fetch("SELECT count(*) FROM payments WHERE event_id = 'event-debit'") == 0
    sent = await http.get(f"{gateway.stage.sandbox_url}/_sandbox/requests?idempotency_key=event-debit")
    assert sent.json()["requests"] == []


async def test_a_part_is_taken_and_the_rest_let_go(gateway: Counter, http: httpx.AsyncClient) -> None:
    """200 with what was taken; asked again it is the same; another amount, or a cancellation, is too late."""
    path = f"/payments/{(await held(gateway, http, 'part'))['payment_id']}"
    taken = await post(gateway, http, f"{path}/capture", {"amount": 500})
    again = await post(gateway, http, f"{path}/capture", {"amount": 500})
    late = [await post(gateway, http, f"{path}/capture"), await post(gateway, http, f"{path}/cancel")]
    shown = (await gateway.ask(http, path)).json()
    assert (taken.status_code, taken.json()["status"], taken.json()["amount_captured"]) == (200, "succeeded", 500)
    assert (again.status_code, again.json()) == (200, taken.json())
    assert [(one.status_code, one.json()["payment_status"]) for one in late] == [(409, "succeeded")] * 2
    assert (shown["amount_captured"], shown["amount_refunded"], shown["hold_ends_at"]) == (500, 0, None)


async def test_all_of_it_is_taken_without_a_body(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Ten who ask at once are answered that it is taken, or that it is under way, and Stripe is asked once."""
    said = await held(gateway, http, "whole")
    path = f"/payments/{said['payment_id']}/capture"
    tally = Tally(one.status_code for one in await asyncio.gather(*(post(gateway, http, path) for _ in range(10))))
    assert tally[200] >= 1
    assert tally[200] + tally[202] == 10
    log = await http.get(
        f"{gateway.stage.sandbox_url}/_sandbox/requests", params={"idempotency_key": "held-whole:capture:1"}
    )
    assert len(log.json()["requests"]) == 1
    assert (await post(gateway, http, path)).json()["amount_captured"] == 1999


@pytest.mark.parametrize("what", ["capture", "cancel"])
async def test_what_is_not_there_is_404(gateway: Counter, http: httpx.AsyncClient, what: str) -> None:
    """And so is what is no id."""
    for payment_id in (NOBODY, "payment-1"):
        assert (await post(gateway, http, f"/payments/{payment_id}/{what}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"amount": 2000}, 422, "amount-refused"),
        ({"amount": 0}, 400, "invalid-request"),
        ({"amount": "500"}, 400, "invalid-request"),
        ({"part": 500}, 400, "invalid-request"),
    ],
)
async def test_what_cannot_be_taken_is_refused(
    gateway: Counter, http: httpx.AsyncClient, body: dict[str, Any], status: int, kind: str
) -> None:
    """The hold stays as it was."""
    said = await held(gateway, http, f"refused-{kind}-{len(str(body))}")
    answer = await post(gateway, http, f"/payments/{said['payment_id']}/capture", body)
    assert (answer.status_code, answer.json()["type"]) == (status, PROBLEM + kind)
    assert (await gateway.ask(http, f"/payments/{said['payment_id']}")).json()["status"] == "authorized"


async def test_a_hold_is_canceled(gateway: Counter, http: httpx.AsyncClient) -> None:
    """200, and again 200; what is canceled is not taken, and its order may be paid anew."""
    said = await held(gateway, http, "canceled")
    path = f"/payments/{said['payment_id']}"
    answers = [await post(gateway, http, f"{path}/cancel") for _ in range(2)]
    late = await post(gateway, http, f"{path}/capture")
    anew = await post(gateway, http, "/payments/authorize", hold_of("canceled"), **{"Idempotency-Key": "anew"})
    assert [(one.status_code, one.json()["status"]) for one in answers] == [(200, "canceled")] * 2
    assert (late.status_code, late.json()["payment_status"]) == (409, "canceled")
    assert anew.status_code == 201


async def test_what_failed_is_not_canceled(gateway: Counter, http: httpx.AsyncClient) -> None:
    """There is no money to let go."""
    failed = await post(gateway, http, "/payments/authorize", hold_of("no", payment_method="pm_card_chargeDeclined"))
    answer = await post(gateway, http, f"/payments/{failed.json()['payment_id']}/cancel")
    assert (answer.status_code, answer.json()["payment_status"]) == (409, "failed")


async def test_who_may_only_read_takes_and_cancels_nothing(gateway: Counter, http: httpx.AsyncClient) -> None:
    """All four routes want the scope that charging wants."""
    for path in ("/payments", "/payments/authorize", f"/payments/{NOBODY}/capture", f"/payments/{NOBODY}/cancel"):
        headers = gateway.authority(gateway.limited[Scope.READ])
        assert (await http.post(gateway.running.url + path, headers=headers, json={})).status_code == 403


async def test_a_command_is_taken_in_under_its_own_id(gateway: Counter, http: httpx.AsyncClient) -> None:
    """202, with nothing sent by the gateway; the same again is the same payment, and canceled it is never sent."""
    asked = command("queued")
    answer = await post(gateway, http, "/payments", asked)
    again = await post(gateway, http, "/payments", asked)
    assert (answer.status_code, answer.json()["payment_id"], answer.json()["status"]) == (
        *(202, asked["payment_id"]),
        "requested",
    )
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    log = await http.get(f"{gateway.stage.sandbox_url}/_sandbox/requests", params={"idempotency_key": "command-queued"})
    assert log.json()["requests"] == []
    canceled = await post(gateway, http, f"/payments/{asked['payment_id']}/cancel")
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")


@pytest.mark.parametrize(("at_once", "status"), [(True, "succeeded"), (False, "authorized")])
async def test_who_prefers_to_wait_is_answered_as_a_charge(
    gateway: Counter, http: httpx.AsyncClient, status: str, *, at_once: bool
) -> None:
    """200 with the money, or with the hold; amounts are minor units again."""
    asked = command(f"waiting-{at_once}", capture_immediately=at_once)
    answer = await post(gateway, http, "/payments", asked, Prefer="respond-async, wait=10")
    assert (answer.status_code, answer.json()["status"], answer.json()["amount"]) == (200, status, 1999)
    assert answer.headers["preference-applied"] == "wait"


async def test_an_id_and_a_key_belong_together(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Neither serves with another one, whoever comes first."""
    first = command("belongs")
    assert (await post(gateway, http, "/payments", first)).status_code == 202
    other_key = first | {"idempotency_key": "command-belongs-not", "metadata": {"order_id": "of-another"}}
    other_id = first | {"payment_id": new_id()}
    for asked in (other_key, other_id):
        answer = await post(gateway, http, "/payments", asked)
        assert (answer.status_code, answer.json()["type"]) == (422, f"{PROBLEM}idempotency-key-reused")


async def test_one_id_under_many_keys_at_once_is_one_payment(gateway: Counter, http: httpx.AsyncClient) -> None:
    """They may meet in one batch: one of them is taken in, and no other is told that it was."""
    first = command("many")
    asked = [first | {"idempotency_key": f"command-many-{number}"} for number in range(10)]
    answers = await asyncio.gather(*(post(gateway, http, "/payments", one, Prefer="wait") for one in asked))
    tally = Tally(one.status_code for one in answers)
    assert tally == {200: 1, 422: 9}
    assert await gateway.fetch("SELECT count(*) FROM attempts WHERE payment_id = $1::uuid", first["payment_id"]) == 1


async def test_paypal_is_refused(gateway: Counter, http: httpx.AsyncClient) -> None:
    """422, and nothing is kept."""
    asked = command("paypal", payment_method={"type": "paypal", "token": "tok_1"})
    answer = await post(gateway, http, "/payments", asked)
    assert (answer.status_code, answer.json()["type"]) == (422, f"{PROBLEM}method-refused")
