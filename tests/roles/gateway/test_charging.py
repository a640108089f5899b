"""A charge over HTTP, from the order to its answer."""

import asyncio
from collections import Counter as Tally

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import order

PAID = {
    "order_id": "order-paid",
    "event_id": "event-paid",
    "status": "succeeded",
    "amount": 1999,
    "currency": "EUR",
    "amount_captured": 1999,
}


async def sent(gateway: Counter, http: httpx.AsyncClient, key: str) -> int:
    """How often the sandbox heard a request with this key."""
    log = await http.get(f"{gateway.stage.sandbox_url}/_sandbox/requests", params={"idempotency_key": key})
    return len(log.json()["requests"])


async def test_a_charge_is_answered_by_its_payment(gateway: Counter, http: httpx.AsyncClient) -> None:
    """200 with the payment, its names here and at Stripe; the currency may be written in either case."""
    answer = await gateway.charge(http, order("paid", currency="eur"))

    said = answer.json()
    assert answer.status_code == 200
    assert {**PAID, "payment_id": said["payment_id"], "payment_intent_id": said["payment_intent_id"]} == said
    assert said["payment_intent_id"].startswith("pi_")
    assert "idempotent-replayed" not in answer.headers
    assert answer.headers["request-id"]


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(50, "usd"), (99_999_999, "usd"), (199_900, "jpy"), (1000, "kwd"), (5000, "mga")],
    ids=["A12", "A13", "A26", "A29", "A31"],
)
async def test_pitfall_19_amounts_are_taken_in_the_minor_units_of_stripe(
    gateway: Counter, http: httpx.AsyncClient, amount: int, currency: str
) -> None:
    """What Stripe would charge is charged, exactly, with no multiplying anywhere."""
    name = f"{currency}-{amount}"
    said = (await gateway.charge(http, order(name, amount_cents=amount, currency=currency))).json()
    assert (said["status"], said["amount_captured"], said["currency"]) == ("succeeded", amount, currency.upper())


async def test_a_decline_is_402_with_what_the_shop_must_know(gateway: Counter, http: httpx.AsyncClient) -> None:
    """The problem says the reason in our words and Stripe's, and whether another method may be tried."""
    answer = await gateway.charge(http, order("declined", payment_method="pm_card_chargeDeclinedInsufficientFunds"))

    said = answer.json()
    assert (answer.status_code, said["type"]) == (402, "urn:counterfoil:problem:card-declined")
    assert (said["status"], said["payment_status"], said["can_retry"]) == (402, "failed", True)
    assert (said["reason"], said["failure_reason"], said["decline_code"]) == (
        *("INSUFFICIENT_FUNDS", "insufficient_funds"),
        "insufficient_funds",
    )
    assert await gateway.fetch("SELECT state FROM payments WHERE id = $1::uuid", said["payment_id"]) == "failed"


async def test_a_payment_that_waits_for_its_customer_is_202(gateway: Counter, http: httpx.AsyncClient) -> None:
    """3-D Secure: the answer holds the address to send the customer to."""
    answer = await gateway.charge(http, order("3ds", payment_method="pm_card_threeDSecure2Required"))
    said = answer.json()
    assert (answer.status_code, said["status"]) == (202, "requires_action")
    assert said["action"]["url"].startswith("http")


async def test_a_hold_is_200_when_a_hold_was_asked_for(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Manual capture ends authorized, with nothing captured."""
    answer = await gateway.charge(http, order("held", capture_method="manual"))
    said = answer.json()
    assert (answer.status_code, said["status"], said["amount_captured"]) == (200, "authorized", 0)


async def test_a_repeated_order_is_answered_by_the_present_state(gateway: Counter, http: httpx.AsyncClient) -> None:
    """The same event again is the same payment, says so, and sends nothing; a decline is replayed as one."""
    for name, method, status in (("again", "pm_card_visa", 200), ("again-no", "pm_card_chargeDeclined", 402)):
        first = await gateway.charge(http, order(name, payment_method=method))
        second = await gateway.charge(http, order(name, payment_method=method))
        assert (status, status) == (first.status_code, second.status_code)
        assert (first.json()["payment_id"], "true") == (
            second.json()["payment_id"],
            second.headers["idempotent-replayed"],
        )
        assert await sent(gateway, http, f"event-{name}") == 1


async def test_fifty_charges_of_one_event_at_once_are_one_charge(gateway: Counter, http: httpx.AsyncClient) -> None:
    """One row, one request; who is not told the payment is told to come again (409, Retry-After), and then is."""
    answers = await asyncio.gather(*(gateway.charge(http, order("fifty")) for _ in range(50)))

    tally = Tally(answer.status_code for answer in answers)
    assert tally[200] >= 1
    assert tally[200] + tally[409] == 50
    assert len([one for one in answers if one.status_code == 200 and "idempotent-replayed" not in one.headers]) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["type"] == "urn:counterfoil:problem:in-progress"
            assert int(answer.headers["retry-after"]) >= 1
    assert await gateway.fetch("SELECT count(*) FROM payments WHERE event_id = 'event-fifty'") == 1
    assert await sent(gateway, http, "event-fifty") == 1
    assert (await gateway.charge(http, order("fifty"))).headers["idempotent-replayed"] == "true"


async def test_only_charges_are_counted_as_charges(gateway: Counter, http: httpx.AsyncClient) -> None:
    """A payment that is not found is no charge: `counterfoil_charges` does not see it."""
    await gateway.ask(http, "/payments/00000000-0000-7000-8000-000000000000")
    metrics = (await http.get(f"{gateway.running.url}/metrics")).text
    assert 'counterfoil_charges_total{status="200"}' in metrics
    assert 'counterfoil_charges_total{status="404"}' not in metrics
