"""Over ten attempts of a customer within the hour, a payment is refused as it is accepted, and never sent."""

import json
from datetime import timedelta

import pytest
from tests.orders import Shop, order

from counterfoil.domain.errors import OrderHasPayment, RateLimited
from counterfoil.domain.schedule import MOST_ATTEMPTS_WITHIN
from counterfoil.journey.accept import Accepted, Repeated
from stripe_sandbox.sandbox import Sandbox

ADA = "cus_ada"


async def tries(shop: Shop, count: int, first: int = 1) -> None:
    """The customer tries so often, and is let through."""
    for number in range(first, first + count):
        assert isinstance((await shop.place(order(number, customer_id=ADA)))[0], Accepted)


async def test_an_attempt_too_many_is_a_failed_payment(shop: Shop, sandbox: Sandbox) -> None:
    """It is on record with its facts, as suspected of fraud; nothing of it is ever sent, and its order is free."""
    await tries(shop, MOST_ATTEMPTS_WITHIN)
    (answer,) = await shop.place(order(11, customer_id=ADA))
    assert isinstance(answer, RateLimited)
    row = await shop.pool.fetchrow(
        "SELECT p.id, p.state, p.owns_order, p.fraud_decision, a.first_sent_at, a.decline_code, a.claimed_by"
        "  FROM payments AS p JOIN attempts AS a ON a.payment_id = p.id WHERE event_id = 'event-11'"
    )
    assert row is not None
    assert [str(row["id"]), *row.values()][2:] == ["failed", False, "DECLINED", None, "attempt_limit", None]
    assert str(row["id"]) == answer.payment_id
    facts = await shop.pool.fetch("SELECT name, body FROM facts WHERE payment_id = $1 ORDER BY version", row["id"])
    assert [fact["name"] for fact in facts] == ["PaymentRequested", "PaymentFailed"]
    assert json.loads(facts[1]["body"])["failureReason"] == "fraud_suspected"
    assert await shop.pool.fetchval("SELECT count(*) FROM outbox WHERE payment_id = $1", row["id"]) == 2
    assert [entry.path for entry in sandbox.log if entry.method == "POST"] == []
    (repeated,) = await shop.place(order(11, customer_id=ADA))
    assert isinstance(repeated, Repeated)
    assert repeated.payment.state == "failed"


async def test_an_hour_later_the_customer_may_try_again(shop: Shop) -> None:
    """When is said to the second; what was refused was no attempt, so that asking costs no further hour."""
    await tries(shop, 1)
    shop.clock.advance(timedelta(minutes=20))
    await tries(shop, 9, first=2)
    (answer,) = await shop.place(order(11, customer_id=ADA))
    assert isinstance(answer, RateLimited)
    assert answer.retry_after_seconds == 40 * 60
    shop.clock.advance(timedelta(seconds=answer.retry_after_seconds))
    await tries(shop, 1, first=12)
    assert isinstance((await shop.place(order(13, customer_id=ADA)))[0], RateLimited)


async def test_a_batch_is_counted_as_its_orders_came(shop: Shop) -> None:
    """Ten of one customer and two more, another's and nobody's among them, in one batch."""
    asked = [order(number, customer_id=ADA) for number in range(12)]
    answers = await shop.place(*asked[:6], order(20, customer_id="cus_eve"), order(21), *asked[6:])
    late = [position for position, answer in enumerate(answers) if isinstance(answer, RateLimited)]
    assert late == [12, 13]
    assert [type(answer) for answer in answers if not isinstance(answer, RateLimited)] == [Accepted] * 12


async def test_an_order_that_comes_again_is_no_attempt(shop: Shop) -> None:
    """Nine were there: repeats of them neither count nor are refused, in the batch of the tenth and the eleventh."""
    for number in range(1, 10):
        await shop.charge(order(number, customer_id=ADA, method="pm_card_visa"))
    asked = [order(number, customer_id=ADA) for number in (1, 2, 3, 10, 4, 11)]
    answers = await shop.place(*asked)
    expected = [Repeated, Repeated, Repeated, Accepted, Repeated, RateLimited]
    assert [type(answer) for answer in answers] == expected


async def test_a_live_order_is_refused_as_such(shop: Shop) -> None:
    """An attempt too many at an order that is being paid makes no payment, failed or not."""
    await tries(shop, MOST_ATTEMPTS_WITHIN)
    (answer,) = await shop.place(order(11, order_id="order-1", customer_id=ADA))
    assert isinstance(answer, OrderHasPayment)


async def test_further_methods_of_a_payment_count_as_well(shop: Shop) -> None:
    """Whoever tests stolen cards could do it at one payment: it stays failed, and its next try is refused."""
    payment = await shop.charge(order(method="pm_card_chargeDeclined", customer_id=ADA))
    shop.clock.advance(timedelta(hours=2))
    for _ in range(MOST_ATTEMPTS_WITHIN):
        payment = await shop.charge_again(payment, "pm_card_chargeDeclined")
    with pytest.raises(RateLimited) as refusal:
        await shop.charge_again(payment)
    assert refusal.value.payment_id == str(payment.id)
    assert await shop.pool.fetchval("SELECT count(*) FROM attempts") == MOST_ATTEMPTS_WITHIN + 1
    assert isinstance((await shop.place(order(2, customer_id=ADA)))[0], RateLimited)
