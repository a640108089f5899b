"""Open payments are asked about when their time comes, so that a lost webhook leaves nothing waiting."""

import aiohttp
from tests.orders import Shop, order

from counterfoil.domain.payment import CLAIM, LOOK_UPS_AFTER, Payment
from counterfoil.journey import reconcile
from stripe_sandbox.sandbox import Server


async def ask_due(shop: Shop) -> int:
    """One round of the worker; return how many payments were asked about."""
    questions = await reconcile.claim_due(shop.pool, shop.clock.now())
    heard = [await reconcile.ask(shop.stripe, question) for question in questions]
    await reconcile.record(shop.pool, shop.ids, heard, shop.clock.now())
    return len(questions)


async def next_check(shop: Shop) -> object:
    return await shop.pool.fetchval("SELECT next_check_at FROM payments")


async def pass_challenge(payment: Payment) -> None:
    """Do at the sandbox's page what the customer does."""
    action = payment.attempts[0].action
    assert action is not None
    async with aiohttp.ClientSession() as session:
        await session.post(action.url, data={"outcome": "approve"}, allow_redirects=False)


async def test_a_lost_webhook_is_made_up_for(shop: Shop) -> None:
    """The customer passed 3-D Secure and no notice came: the look-up finds the money."""
    payment = await shop.charge(order(method="pm_card_threeDSecure2Required"))
    await pass_challenge(payment)
    shop.clock.advance(LOOK_UPS_AFTER[3])
    assert await ask_due(shop) == 1
    assert await shop.state(payment) == "succeeded"
    assert (await shop.facts(payment))[-1] == (3, "PaymentSucceeded", "look-up")


async def test_nothing_is_asked_before_its_time(shop: Shop) -> None:
    """Where Stripe itself waits for the customer, the first look is after ten minutes."""
    await shop.charge(order(method="pm_card_threeDSecure2Required"))
    assert await ask_due(shop) == 0


async def test_nothing_new_sets_the_next_look(shop: Shop) -> None:
    """Ten minutes, then an hour: the same answer says nothing, and the wait grows."""
    payment = await shop.charge(order(method="pm_card_threeDSecure2Required"))
    asked_at = shop.clock.advance(LOOK_UPS_AFTER[3])
    await ask_due(shop)
    assert asked_at + LOOK_UPS_AFTER[4] == await next_check(shop)
    assert [name for _, name, _ in await shop.facts(payment)] == ["PaymentRequested", "PaymentActionRequired"]


async def test_two_workers_do_not_ask_twice(shop: Shop) -> None:
    """Taking is a claim; it ends by itself if the worker dies."""
    await shop.charge(order(method="pm_card_threeDSecure2Required"))
    shop.clock.advance(LOOK_UPS_AFTER[3])
    taken = [len(await reconcile.claim_due(shop.pool, shop.clock.now())) for _ in range(2)]
    shop.clock.advance(CLAIM)
    taken.append(len(await reconcile.claim_due(shop.pool, shop.clock.now())))
    assert taken == [1, 0, 1]


async def test_a_peer_that_does_not_answer_is_asked_again_later(shop: Shop, peer: Server) -> None:
    """A look-up that fails has told us nothing: the state stays, the next look is set."""
    payment = await shop.charge(order(method="pm_card_threeDSecure2Required"))
    peer.sandbox.reset()
    shop.clock.advance(LOOK_UPS_AFTER[3])
    assert await ask_due(shop) == 1
    assert await shop.state(payment) == "requires_action"
    assert await next_check(shop) is not None
