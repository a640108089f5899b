"""What is heard of an earlier attempt never decides a later one, and what the later one did is never lost."""

import json
from datetime import timedelta

import aiohttp
import pytest
from tests.journey.told_by_webhook import keep
from tests.orders import Shop, claimant, order

from counterfoil.domain.errors import InProgress
from counterfoil.domain.hearing import NEVER_ARRIVED, give_up, hear
from counterfoil.domain.payment import Payment
from counterfoil.domain.schedule import LOOK_UPS_AFTER, NEVER_SENT_FOR
from counterfoil.domain.states import AttemptHappening, PaymentState
from counterfoil.domain.verdict import Cause, Source, Verdict
from counterfoil.journey import authorize, conclude, reconcile, renew
from counterfoil.journey.authorize import Sending
from counterfoil.journey.renew import Renewal
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.store import payments
from stripe_sandbox.sandbox import Sandbox

CHALLENGED = "pm_card_threeDSecure2Required"


async def again(shop: Shop, payment: Payment, method: str) -> Sending:
    """Add a further attempt with another method, for ourselves to send."""
    found = await renew.find(shop.pool, payment.id)
    number = len(found.payment.attempts) + 1
    request = await shop.stripe.request_again(payment.id, found.payment.intent_id, number, order(method=method))
    renewed = await renew.run(shop.pool, shop.ids, Renewal(found.payment, method, request, "test"), shop.clock.now())
    return Sending(payment.id, number, renewed.claim, request, again=False)


async def answer_challenge(payment: Payment, outcome: str) -> None:
    """Do at the bank's page what the customer does."""
    action = payment.attempts[-1].action
    assert action is not None
    async with aiohttp.ClientSession() as session:
        await session.post(action.url, data={"outcome": outcome}, allow_redirects=False)


async def looked_up(shop: Shop) -> None:
    """Let the next look come, and be answered."""
    due = await shop.pool.fetchval("SELECT next_check_at FROM payments")
    shop.clock.advance(max(due - shop.clock.now(), timedelta(0)))
    traces = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    heard = [await reconcile.ask(shop.stripe, trace) for trace in traces]
    await reconcile.record(shop.pool, shop.ids, heard, shop.clock.now())


async def put(shop: Shop, payment: Payment, *verdicts: Verdict) -> Payment:
    """Let the first attempt hear of something, as a notice does."""
    async with shop.pool.acquire() as connection, connection.transaction():
        held = (await payments.lock(connection, [payment.id]))[payment.id].payment
        for verdict in verdicts:
            advance = hear(held, 1, verdict, shop.clock.now())
            await payments.write(connection, [advance], shop.ids, shop.clock.now())
            held = advance.payment
    return held


@pytest.mark.parametrize(("outcome", "state"), [("approve", PaymentState.SUCCEEDED), ("refuse", PaymentState.FAILED)])
async def test_a_decline_may_be_followed_by_a_challenge(shop: Shop, outcome: str, state: PaymentState) -> None:
    """While a customer is awaited the intent still names the first attempt's charge; it is not the second one's."""
    declined = await shop.charge(order(method="pm_card_chargeDeclined"))
    waiting = await shop.send(await again(shop, declined, CHALLENGED))
    assert (waiting.state, waiting.attempts[1].charge_id) == (PaymentState.REQUIRES_ACTION, None)
    await answer_challenge(waiting, outcome)
    await looked_up(shop)
    assert await shop.state(declined) == state


async def test_a_refusal_told_late_does_not_end_the_attempt_that_waits(shop: Shop, sandbox: Sandbox) -> None:
    """The first one's failed challenge is told again while the second one's customer is at the bank: a mere hint."""
    first = await shop.charge(order(method=CHALLENGED))
    await answer_challenge(first, "refuse")
    await looked_up(shop)
    second = await shop.send(await again(shop, first, CHALLENGED))
    told = [event for event in sandbox.account().events if event["type"] == "payment_intent.payment_failed"]
    await keep(shop, {**json.loads(json.dumps(told[-1])), "id": "evt_again"})
    await conclude.run(shop.pool, stripe_notices, shop.ids, shop.clock.now(), livemode=False)
    assert await shop.state(first) == "requires_action"
    await answer_challenge(second, "approve")
    await looked_up(shop)
    assert await shop.state(first) == "succeeded"
    assert len([one for one in sandbox.account().charges if one["status"] == "succeeded"]) == 1


async def test_a_further_attempt_has_three_days_of_its_own(shop: Shop) -> None:
    """The order is older than what could never be sent may be; its new attempt is not."""
    declined = await shop.charge(order(method="pm_card_chargeDeclined"))
    shop.clock.advance(NEVER_SENT_FOR)
    sending = await again(shop, declined, "pm_card_visa")
    turned_away = Verdict(AttemptHappening.UNKNOWN, Cause(Source.ANSWER, "req"), executed=False)
    heard = [authorize.Heard(sending, turned_away)]
    await authorize.record(shop.pool, shop.ids, heard, shop.clock.now())
    shop.clock.advance(LOOK_UPS_AFTER[0])
    (resent,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    assert PaymentState.SUCCEEDED is (await shop.send(resent)).state


async def test_news_between_finding_and_adding_refuses_the_attempt(shop: Shop) -> None:
    """It would create an intent beside the one that has just become known, and both could be paid."""
    accepted = await shop.accepted(order())
    async with shop.pool.acquire() as connection, connection.transaction():
        held = (await payments.lock(connection, [accepted.id]))[accepted.id].payment
        gone = give_up(held, 1, NEVER_ARRIVED, Cause(Source.LOOK_UP, "req"), shop.clock.now())
        await payments.write(connection, [gone], shop.ids, shop.clock.now())
    found = await renew.find(shop.pool, accepted.id)
    request = await shop.stripe.request_again(accepted.id, None, 2, found.order)
    await put(shop, accepted, Verdict(AttemptHappening.CANCELED, Cause(Source.NOTICE, "evt"), "pi_late"))
    with pytest.raises(InProgress):
        await renew.run(shop.pool, shop.ids, Renewal(found.payment, "pm_card_visa", request, "t"), shop.clock.now())


async def test_money_by_a_second_charge_raises_an_alarm(shop: Shop) -> None:
    """Whoever tells it: the payment keeps the charge it has, and a person must give the other one back."""
    paid = await shop.charge(order())
    once_more = Verdict(
        AttemptHappening.CAPTURED, Cause(Source.ANSWER, "req"), paid.intent_id, "ch_another", amount_captured=1999
    )
    advance = hear(paid, 1, once_more, shop.clock.now())
    assert advance.alarm is not None
    assert advance.payment.attempts == paid.attempts
