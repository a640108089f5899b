"""What is heard of a payment with several attempts reaches the one it is about, whenever it comes."""

from typing import Any

import aiohttp
from tests.journey.told_by_webhook import event, events_of, keep, run
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import Payment
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.states import PaymentState
from counterfoil.journey import authorize, reconcile
from stripe_sandbox.sandbox import Sandbox

DECLINED = "pm_card_chargeDeclinedInsufficientFunds"
CHALLENGED = "pm_card_threeDSecure2Required"


async def answers(payment: Payment, outcome: str) -> None:
    """Do at the sandbox's page what the customer of the last attempt does."""
    last = payment.last_attempt
    assert last is not None
    assert last.action is not None
    async with aiohttp.ClientSession() as session:
        await session.post(last.action.url, data={"outcome": outcome}, allow_redirects=False)


async def ask_due(shop: Shop) -> int:
    """One round of the worker's look-ups; return how many payments were asked about."""
    traces = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    heard = [await reconcile.ask(shop.stripe, trace) for trace in traces]
    await reconcile.record(shop.pool, shop.ids, heard, shop.clock.now())
    return len(traces)


async def attempts(shop: Shop) -> list[str]:
    """How the attempts stand, in order."""
    rows = await shop.pool.fetch("SELECT state FROM attempts ORDER BY number")
    return [row["state"] for row in rows]


def of_type(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    """The events of one type that the sandbox made, oldest first."""
    return [made for made in events_of(sandbox) if made["type"] == kind]


async def refused_by_its_customer(shop: Shop, sandbox: Sandbox) -> Payment:
    """A payment whose first attempt ended without a charge, and whose every event so far was read."""
    asked = await shop.charge(order(method=CHALLENGED))
    await answers(asked, "refuse")
    await keep(shop, *events_of(sandbox))
    await run(shop)
    assert await shop.state(asked) == "failed"
    return asked


async def test_the_webhook_may_come_before_the_answer(shop: Shop, sandbox: Sandbox) -> None:
    """All that Stripe tells of both attempts, before the second one's answer is recorded: paid once, said once."""
    failed = await shop.charge(order(method=DECLINED))
    heard = await authorize.call(shop.stripe, await shop.sending_again(failed), shop.clock)
    await keep(shop, *events_of(sandbox))
    await run(shop)
    (paid,) = await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert (paid.state, await attempts(shop)) == (PaymentState.SUCCEEDED, ["declined", "captured"])
    assert (await shop.facts(paid))[2:] == [(3, "PaymentRequested", "order"), (4, "PaymentSucceeded", "notice")]


async def test_a_customer_fails_the_challenge_of_the_second_attempt(shop: Shop, sandbox: Sandbox) -> None:
    """Its refusal has no charge, and Stripe still names the first one's: the second attempt fails all the same."""
    asked = await shop.charge_again(await shop.charge(order(method=DECLINED)), CHALLENGED)
    await answers(asked, "refuse")
    await keep(shop, *events_of(sandbox))
    await run(shop)
    await ask_due(shop)
    assert await attempts(shop) == ["declined", "declined"]
    assert await shop.state(asked) == "failed"


async def test_two_challenges_failed_alike_are_two_declines(shop: Shop, sandbox: Sandbox) -> None:
    """Both refusals read the same; the second one's notice makes us ask, and the answer is of the second."""
    first = await refused_by_its_customer(shop, sandbox)
    second = await shop.charge_again(first, CHALLENGED)
    await answers(second, "refuse")
    await keep(shop, of_type(sandbox, "payment_intent.payment_failed")[-1])
    await run(shop)
    assert await ask_due(shop) == 1
    assert await attempts(shop) == ["declined", "declined"]


async def test_a_challenge_that_comes_late_is_not_the_next_attempts(shop: Shop, sandbox: Sandbox) -> None:
    """The first attempt's call for its customer is delivered while the second is under way: nobody is asked again."""
    first = await refused_by_its_customer(shop, sandbox)
    sending = await shop.sending_again(first)
    (late,) = of_type(sandbox, "payment_intent.requires_action")
    await keep(shop, late | {"id": "evt_late"})
    await run(shop)
    assert await attempts(shop) == ["declined", "sent"]

    paid = await shop.send(sending)

    names = [name for _, name, _ in await shop.facts(paid)]
    assert (paid.state, names.count("PaymentActionRequired")) == (PaymentState.SUCCEEDED, 1)


async def test_a_hint_takes_no_attempt_from_who_is_at_it(shop: Shop, sandbox: Sandbox) -> None:
    """A notice in another API version makes the payment due at once; yet nobody else sends it while the claim lasts."""
    sending = await shop.sending_again(await shop.charge(order(method=DECLINED)))
    (intent,) = sandbox.account().payment_intents
    await keep(shop, event("payment_intent.processing", dict(intent), api_version="2025-03-31.basil"))
    await run(shop)

    assert await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now()) == []
    assert await ask_due(shop) == 0

    assert PaymentState.SUCCEEDED is (await shop.send(sending)).state


async def test_a_second_attempt_whose_answer_was_lost_is_found_by_asking(shop: Shop) -> None:
    """The second attempt waits for its customer and its answer was lost: the look-up finds it."""
    failed = await shop.charge(order(method=DECLINED))
    await authorize.call(shop.stripe, await shop.sending_again(failed, CHALLENGED), shop.clock)
    await shop.pool.execute("UPDATE attempts SET settling = 'ask' WHERE number = 2")
    shop.clock.advance(CLAIM)
    assert await ask_due(shop) == 1
    assert await attempts(shop) == ["declined", "requires_action"]


async def test_a_second_attempt_that_left_no_trace_fails_after_two_looks(shop: Shop) -> None:
    """It never arrived: an hour after the first look that showed the intent as the first attempt left it."""
    failed = await shop.charge(order(method=DECLINED))
    await shop.sending_again(failed)
    await shop.pool.execute("UPDATE attempts SET settling = 'ask' WHERE number = 2")
    shop.clock.advance(CLAIM)
    await ask_due(shop)
    once = await attempts(shop)
    for _ in range(8):
        due = await shop.pool.fetchval("SELECT next_check_at FROM payments")
        if due is None:
            break
        shop.clock.advance(due - shop.clock.now())
        await ask_due(shop)
    assert (once, await attempts(shop)) == (["declined", "sent"], ["declined", "declined"])
    code = await shop.pool.fetchval("SELECT decline_code FROM attempts WHERE number = 2")
    assert code == "never_arrived"
