"""A failed payment is tried again with another method: one more attempt, under its own key, never beside another."""

import asyncio

import pytest
from tests.orders import Shop, claimant, order

from counterfoil.domain.errors import NotFound, OrderHasPayment, WrongState
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.states import AttemptState, PaymentState
from counterfoil.journey import authorize, renew
from stripe_sandbox.sandbox import Sandbox

DECLINED = "pm_card_chargeDeclinedInsufficientFunds"
CHALLENGED = "pm_card_threeDSecure2Required"


def keys(sandbox: Sandbox) -> list[str | None]:
    """The idempotency key of every POST that the sandbox saw, in order."""
    return [entry.idempotency_key for entry in sandbox.log if entry.method == "POST"]


def captured(sandbox: Sandbox) -> int:
    """How many charges have taken money."""
    return len([charge for charge in sandbox.account().charges if charge["captured"] and charge["paid"]])


async def test_another_method_pays_the_same_payment(shop: Shop, sandbox: Sandbox) -> None:
    """The second attempt confirms the same intent under the event's second key; its beginning and its end are told."""
    failed = await shop.charge(order(method=DECLINED))

    paid = await shop.charge_again(failed)

    assert (paid.state, paid.amount_captured, paid.intent_id) == (PaymentState.SUCCEEDED, 1999, failed.intent_id)
    assert [attempt.state for attempt in paid.attempts] == [AttemptState.DECLINED, AttemptState.CAPTURED]
    assert keys(sandbox) == ["event-1", "event-1:2"]
    assert captured(sandbox) == 1
    assert await shop.facts(paid) == [
        (1, "PaymentRequested", "order"),
        (2, "PaymentFailed", "answer"),
        (3, "PaymentRequested", "order"),
        (4, "PaymentSucceeded", "answer"),
    ]


async def test_what_each_attempt_was_paid_with_is_on_record(shop: Shop) -> None:
    """The order's own method does not change; the attempt's says what was used."""
    await shop.charge_again(await shop.charge(order(method=DECLINED)))
    rows = await shop.pool.fetch("SELECT payment_method FROM attempts ORDER BY number")
    assert [row["payment_method"] for row in rows] == [DECLINED, "pm_card_visa"]
    assert await shop.pool.fetchval("SELECT payment_method FROM payments") == DECLINED


async def test_a_further_decline_may_be_followed_by_a_third_attempt(shop: Shop, sandbox: Sandbox) -> None:
    """Each has its own key and its own charge; every failure is told."""
    once = await shop.charge(order(method=DECLINED))
    twice = await shop.charge_again(once, DECLINED)
    paid = await shop.charge_again(twice)
    assert (twice.state, paid.state) == (PaymentState.FAILED, PaymentState.SUCCEEDED)
    assert keys(sandbox) == ["event-1", "event-1:2", "event-1:3"]
    assert len({attempt.charge_id for attempt in paid.attempts}) == 3
    assert [name for _, name, _ in await shop.facts(paid)].count("PaymentFailed") == 2


async def test_only_a_failed_payment_is_tried_again(shop: Shop) -> None:
    """Open, paid or held by its customer: there may be money, so there is no second attempt beside it."""
    paid = await shop.charge(order(1))
    open_ = await shop.accepted(order(2))
    asked = await shop.charge(order(3, CHALLENGED))
    for payment in (paid, open_, asked):
        with pytest.raises(WrongState) as refused:
            await renew.find(shop.pool, payment.id)
        assert refused.value.status == await shop.state(payment)


async def test_what_must_not_be_retried_is_not(shop: Shop) -> None:
    """After a decline for suspected fraud no method is tried."""
    payment = await shop.charge(order(method="pm_card_chargeDeclinedFraudulent"))
    with pytest.raises(WrongState, match="fraudulent"):
        await renew.find(shop.pool, payment.id)


async def test_a_payment_that_is_not_there_is_not_found(shop: Shop) -> None:
    """An id of nothing."""
    with pytest.raises(NotFound):
        await renew.find(shop.pool, shop.ids.new())


async def test_an_order_that_another_payment_pays_is_left_to_it(shop: Shop, sandbox: Sandbox) -> None:
    """The customer came back under another event: the older payment does not take the order from it."""
    older = await shop.charge(order(1, DECLINED))
    newer = await shop.accepted(order(2, order_id="order-1"))
    wanted = await shop.wanted_again(older, "pm_card_visa")

    with pytest.raises(OrderHasPayment) as refused:
        await renew.run(shop.pool, shop.ids, wanted, shop.clock.now())

    assert refused.value.payment_id == str(newer.id)
    assert await shop.state(older) == "failed"
    assert await shop.pool.fetchval("SELECT count(*) FROM attempts WHERE payment_id = $1", older.id) == 1
    assert keys(sandbox) == ["event-1"]


async def test_while_it_is_tried_again_its_order_is_its_own(shop: Shop) -> None:
    """From the second attempt on no other event may pay the order; once that failed too, one may."""
    payment = await shop.charge(order(1, DECLINED))
    sending = await shop.sending_again(payment, DECLINED)
    (meanwhile,) = await shop.place(order(2, order_id="order-1"))
    await shop.send(sending)
    (afterwards,) = await shop.place(order(3, order_id="order-1"))
    assert isinstance(meanwhile, OrderHasPayment)
    assert not isinstance(afterwards, OrderHasPayment)


async def test_two_at_once_are_one_attempt(shop: Shop) -> None:
    """Both found it failed; one adds the second attempt, the other is told that it is open again."""
    payment = await shop.charge(order(method=DECLINED))
    wanted = [await shop.wanted_again(payment, method) for method in ("pm_card_visa", "pm_card_mastercard")]

    ended = await asyncio.gather(
        *(renew.run(shop.pool, shop.ids, one, shop.clock.now()) for one in wanted), return_exceptions=True
    )

    assert sorted(type(one).__name__ for one in ended) == ["Renewed", "WrongState"]
    assert await shop.pool.fetchval("SELECT count(*) FROM attempts") == 2


async def test_who_comes_after_another_attempt_ended_is_refused(shop: Shop) -> None:
    """What was prepared as the second attempt is not sent as the third."""
    payment = await shop.charge(order(method=DECLINED))
    late = await shop.wanted_again(payment, "pm_card_visa")
    await shop.charge_again(payment, DECLINED)
    with pytest.raises(WrongState):
        await renew.run(shop.pool, shop.ids, late, shop.clock.now())


async def test_a_first_attempt_that_made_no_intent_is_followed_by_one_that_does(shop: Shop, sandbox: Sandbox) -> None:
    """Refused before anything was made: the second attempt creates the intent, under the second key."""
    failed = await shop.charge(order(method="tok_unheard_of"))
    paid = await shop.charge_again(failed)
    assert (failed.state, failed.intent_id) == (PaymentState.FAILED, None)
    assert (paid.state, paid.attempts[1].charge_id is not None) == (PaymentState.SUCCEEDED, True)
    assert keys(sandbox) == ["event-1", "event-1:2"]
    assert len(list(sandbox.account().payment_intents)) == 1


async def test_a_lost_answer_is_asked_for_under_the_same_key(shop: Shop, sandbox: Sandbox) -> None:
    """The gateway dies before the record: a worker sends the second attempt again, and it is charged once."""
    payment = await shop.charge(order(method=DECLINED))
    await authorize.call(shop.stripe, await shop.sending_again(payment), shop.clock)
    shop.clock.advance(CLAIM)

    (sending,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    paid = await shop.send(sending)

    assert (sending.number, sending.again) == (2, True)
    assert PaymentState.SUCCEEDED is paid.state
    assert keys(sandbox) == ["event-1", "event-1:2", "event-1:2"]
    assert captured(sandbox) == 1


async def test_money_of_the_first_attempt_that_comes_late_is_the_firsts(shop: Shop, sandbox: Sandbox) -> None:
    """Paid by its own charge after all: Stripe refuses the second attempt because of it, which so ends unpaid."""
    payment = await shop.charge(order(method=DECLINED))
    renewed = await shop.sending_again(payment)
    await _pays_late(sandbox)

    paid = await shop.send(renewed)

    assert [attempt.state for attempt in paid.attempts] == [AttemptState.CAPTURED, AttemptState.CANCELED]
    assert (paid.state, paid.amount_captured, captured(sandbox)) == (PaymentState.SUCCEEDED, 1999, 1)
    assert [name for _, name, _ in await shop.facts(paid)][2:] == ["PaymentRequested", "PaymentSucceeded"]


async def _pays_late(sandbox: Sandbox) -> None:
    """Let the declined charge have succeeded after all, as a bank may say days later."""
    account = sandbox.account()
    (intent,) = account.payment_intents
    (charge,) = account.charges
    charges = {"status": "succeeded", "paid": True, "captured": True, "amount_captured": 1999}
    account.charges.put({**charge, **charges})
    account.payment_intents.put({**intent, "status": "succeeded", "amount_received": 1999, "last_payment_error": None})
