"""What its customer left is let go at the processor: once, under a key, and never against money."""

from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from tests.journey.told_by_webhook import events_of, keep, run
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import Payment
from counterfoil.domain.schedule import ACTION_LIFE, CLAIM, KEY_LIFE, LOOK_UPS_AFTER
from counterfoil.journey import authorize, operating, reconcile, void
from counterfoil.journey.accept import Accepted
from counterfoil.journey.operating import Claimed
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.metrics import ALARMS
from stripe_sandbox.sandbox import Sandbox, Server

CHALLENGED = "pm_card_threeDSecure2Required"
CANCEL = "/v1/payment_intents/*/cancel"


async def left(shop: Shop, number: int = 1) -> Payment:
    """A payment whose customer has not acted, at the moment their time is over."""
    asked = await shop.charge(order(number, CHALLENGED))
    shop.clock.advance(ACTION_LIFE)
    return asked


async def due(shop: Shop, name: str = "worker") -> list[Claimed]:
    """What a worker of that name would send now."""
    return await void.claim_due(shop.pool, shop.ids, shop.stripe.cancellation, claimant(name), shop.clock.now())


async def let_go(shop: Shop) -> int:
    """One round of the worker; return how many were let go."""
    lettings = await due(shop)
    heard = [await operating.call(shop.stripe, letting, shop.clock) for letting in lettings]
    await void.record(shop.pool, shop.ids, heard, shop.clock.now())
    return len(lettings)


async def act(payment: Payment, outcome: str) -> None:
    """Do at the sandbox's page what the customer does."""
    action = payment.attempts[-1].action
    assert action is not None
    async with aiohttp.ClientSession() as session:
        await session.post(action.url, data={"outcome": outcome}, allow_redirects=False)


async def fault(peer: Server, **what: Any) -> None:
    """Let the next cancellation go wrong."""
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{peer.url}/_sandbox/faults", json={"path": CANCEL, **what})
        assert answer.ok, await answer.text()


def cancellations(sandbox: Sandbox) -> list[str | None]:
    """The keys of the cancellations that the sandbox saw, in order."""
    return [entry.idempotency_key for entry in sandbox.log if entry.path.endswith("/cancel")]


def at_stripe(sandbox: Sandbox) -> list[str]:
    """How each intent stands at the sandbox."""
    return [intent["status"] for intent in sandbox.account().payment_intents]


async def reasons(shop: Shop) -> list[str]:
    """Why payments were canceled, as it was told."""
    return [
        row["reason"]
        for row in await shop.pool.fetch("SELECT body->>'reason' AS reason FROM facts WHERE name = 'PaymentCanceled'")
    ]


async def test_nothing_is_let_go_before_its_time(shop: Shop, sandbox: Sandbox) -> None:
    """A second before the day is over the customer may still come."""
    await shop.charge(order(method=CHALLENGED))
    shop.clock.advance(ACTION_LIFE - timedelta(seconds=1))
    assert await due(shop) == []
    assert cancellations(sandbox) == []


async def test_when_its_time_is_over_it_is_canceled_there_and_here(shop: Shop, sandbox: Sandbox) -> None:
    """The intent is canceled at Stripe as abandoned, the payment ends, and says once that it expired."""
    payment = await left(shop)
    assert await let_go(shop) == 1
    assert (at_stripe(sandbox), await shop.state(payment)) == (["canceled"], "canceled")
    assert cancellations(sandbox) == ["event-1:cancel:1"]
    (intent,) = sandbox.account().payment_intents
    assert intent["cancellation_reason"] == "abandoned"
    assert (await reasons(shop), await let_go(shop)) == (["EXPIRED"], 0)
    assert (await shop.facts(payment))[-1] == (3, "PaymentCanceled", "answer")


async def test_its_order_may_then_be_paid_anew(shop: Shop) -> None:
    """Under another event, and not before."""
    await left(shop)
    (before,) = await shop.place(order(2, order_id="order-1"))
    await let_go(shop)
    (after,) = await shop.place(order(3, order_id="order-1"))
    assert [isinstance(one, Accepted) for one in (before, after)] == [False, True]


async def test_the_webhook_may_say_it_first(shop: Shop, sandbox: Sandbox) -> None:
    """Stripe's notice of what we let go comes before our answer is recorded: expired all the same, said once."""
    await left(shop)
    (letting,) = await due(shop)
    heard = await operating.call(shop.stripe, letting, shop.clock)
    await keep(shop, *events_of(sandbox))
    await run(shop)
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert await reasons(shop) == ["EXPIRED"]


async def test_what_was_canceled_by_somebody_else_has_not_expired(shop: Shop, sandbox: Sandbox) -> None:
    """Canceled at Stripe by a person, an hour after the order: that is what is told."""
    payment = await shop.charge(order(method=CHALLENGED))
    assert payment.intent_id is not None
    await shop.stripe.send(shop.stripe.cancellation(payment.intent_id, "by-hand", 1), again=False)
    await keep(shop, *events_of(sandbox))
    await run(shop)
    assert (await shop.state(payment), await reasons(shop)) == ("canceled", ["CANCELED_AT_PROCESSOR"])


async def test_a_customer_who_acts_in_the_last_moment_has_paid(shop: Shop, sandbox: Sandbox) -> None:
    """The cancellation is refused because of the money, and what Stripe says with that is the news: it is recorded."""
    payment = await left(shop)
    (letting,) = await due(shop)
    await act(payment, "approve")
    heard = await operating.call(shop.stripe, letting, shop.clock)
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert (at_stripe(sandbox), await shop.state(payment)) == (["succeeded"], "succeeded")
    assert [name for _, name, _ in await shop.facts(payment)][2:] == ["PaymentSucceeded"]


async def test_the_webhook_of_that_money_may_come_first(shop: Shop, sandbox: Sandbox) -> None:
    """The notice records the money while the cancellation is under way; its answer changes nothing."""
    payment = await left(shop)
    (letting,) = await due(shop)
    await act(payment, "approve")
    await keep(shop, *events_of(sandbox))
    await run(shop)
    heard = await operating.call(shop.stripe, letting, shop.clock)
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert (await shop.facts(payment))[2:] == [(3, "PaymentSucceeded", "notice")]
    assert await due(shop) == []


async def test_a_customer_who_fails_in_the_last_moment_leaves_a_failed_payment(shop: Shop, sandbox: Sandbox) -> None:
    """The refusal and our cancellation cross: whichever is heard first, the payment failed, and says why."""
    payment = await left(shop)
    (letting,) = await due(shop)
    await act(payment, "refuse")
    heard = await operating.call(shop.stripe, letting, shop.clock)
    await keep(shop, *events_of(sandbox))
    await run(shop)
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert await shop.state(payment) == "failed"


async def test_a_lost_answer_is_asked_for_under_the_same_key(shop: Shop, sandbox: Sandbox, peer: Server) -> None:
    """The work was done and we were not told: the same key gives the same answer, after the claim."""
    payment = await left(shop)
    await fault(peer, fault="lose_answer")
    await let_go(shop)
    unheard = await shop.state(payment)
    shop.clock.advance(LOOK_UPS_AFTER[0])
    await let_go(shop)
    assert (unheard, await shop.state(payment)) == ("requires_action", "canceled")
    assert cancellations(sandbox) == ["event-1:cancel:1", "event-1:cancel:1"]


async def test_who_dies_before_the_answer_is_recorded_is_taken_over(shop: Shop, sandbox: Sandbox) -> None:
    """Nobody else is at it before the claim ends; then somebody is, under the same key."""
    payment = await left(shop)
    (lost,) = await due(shop, "a")
    await operating.call(shop.stripe, lost, shop.clock)
    meanwhile = await due(shop, "b")
    shop.clock.advance(CLAIM)
    assert (meanwhile, await let_go(shop)) == ([], 1)
    assert (await shop.state(payment), cancellations(sandbox)) == ("canceled", ["event-1:cancel:1"] * 2)


async def test_a_claim_that_was_taken_over_records_nothing(shop: Shop) -> None:
    """The frozen process comes back late with an answer: its fence is stale."""
    payment = await left(shop)
    (frozen,) = await due(shop, "a")
    heard = await operating.call(shop.stripe, frozen, shop.clock)
    shop.clock.advance(CLAIM)
    (taken,) = await due(shop, "b")
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert (taken.claim.fence, await shop.state(payment)) == (2, "requires_action")
    assert await shop.pool.fetchval("SELECT claimed_by FROM operations") == "b"


async def test_a_key_of_23_hours_is_followed_by_a_new_one(shop: Shop, sandbox: Sandbox) -> None:
    """Stripe may have forgotten it; to cancel twice does no more than to cancel once."""
    payment = await left(shop)
    await due(shop)
    shop.clock.advance(KEY_LIFE)
    assert await let_go(shop) == 1
    assert (cancellations(sandbox), await shop.state(payment)) == (["event-1:cancel:2"], "canceled")


async def test_an_error_that_is_kept_under_its_key_is_not_asked_for_again(
    shop: Shop, sandbox: Sandbox, peer: Server
) -> None:
    """A 500 is given again for ever under its key; Stripe still waits for the customer, so a new one goes."""
    payment = await left(shop)
    await fault(peer, fault="error", status=500)
    await let_go(shop)
    still = await shop.state(payment)
    shop.clock.advance(LOOK_UPS_AFTER[0])
    await let_go(shop)
    assert (still, await shop.state(payment)) == ("requires_action", "canceled")
    assert cancellations(sandbox) == ["event-1:cancel:1", "event-1:cancel:2"]


async def test_what_cannot_be_let_go_is_tried_ever_more_slowly(shop: Shop, peer: Server) -> None:
    """Stripe is down: 5 s, 30 s, 2 min, 10 min, 1 h, and never in a hot loop."""
    await left(shop)
    await fault(peer, fault="error", status=503, times=None)
    waits = []
    for _ in range(5):
        assert await let_go(shop) == 1
        next_at = await shop.pool.fetchval("SELECT next_check_at FROM payments")
        waits.append(next_at - shop.clock.now())
        shop.clock.advance(waits[-1])
    assert waits == list(LOOK_UPS_AFTER)


async def test_an_intent_that_is_not_there_alarms_and_ends_nothing(shop: Shop, peer: Server) -> None:
    """Stripe knows no such payment: nothing proves that there was no money, and a person is told."""
    payment = await left(shop)
    peer.sandbox.reset()
    before = ALARMS.labels("void")._value.get()
    await let_go(shop)
    assert (await shop.state(payment), ALARMS.labels("void")._value.get()) == ("requires_action", before + 1)


async def test_what_is_overdue_is_neither_sent_nor_asked_about(shop: Shop) -> None:
    """It is let go instead; who is asked about belongs to one worker alone."""
    await left(shop)
    now = shop.clock.now()
    assert await authorize.claim_due(shop.pool, shop.ids, claimant(), now) == []
    assert await reconcile.claim_due(shop.pool, claimant(), now) == []
    assert len(await due(shop)) == 1


@pytest.mark.parametrize("said_by", ["answer", "webhook"])
async def test_the_second_attempts_customer_is_not_waited_for_either(
    shop: Shop, sandbox: Sandbox, said_by: str
) -> None:
    """Stripe still names the first attempt's charge when the intent is canceled: the payment ends all the same."""
    failed = await shop.charge(order(method="pm_card_chargeDeclined"))
    asked = await shop.charge_again(failed, CHALLENGED)
    shop.clock.advance(ACTION_LIFE)
    (letting,) = await due(shop)
    heard = await operating.call(shop.stripe, letting, shop.clock)
    if said_by == "answer":
        await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    else:
        await keep(shop, *events_of(sandbox))
        await run(shop)
    assert (await shop.state(asked), await reasons(shop)) == ("canceled", ["EXPIRED"])


async def test_several_are_let_go_each_by_itself(shop: Shop, sandbox: Sandbox) -> None:
    """One of them is away at Stripe: the others end."""
    asked = [await shop.charge(order(number, CHALLENGED)) for number in (1, 2, 3)]
    shop.clock.advance(ACTION_LIFE)
    lettings = await due(shop)
    nowhere = StripeProcessor("sk_test_journey", livemode=False, api_base="http://127.0.0.1:9")
    heard = [
        await operating.call(nowhere if number == 1 else shop.stripe, one, shop.clock)
        for number, one in enumerate(lettings)
    ]
    await nowhere.close()
    await void.record(shop.pool, shop.ids, heard, shop.clock.now())
    assert sorted([await shop.state(one) for one in asked]) == ["canceled", "canceled", "requires_action"]
    assert sorted(at_stripe(sandbox)) == ["canceled", "canceled", "requires_action"]
