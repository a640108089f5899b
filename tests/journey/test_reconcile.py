"""Open payments are asked about when their time comes, so that a lost webhook leaves nothing waiting."""

import aiohttp
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import Payment
from counterfoil.domain.schedule import ABSENCE_PROOF, CLAIM, KEY_LIFE, LOOK_UPS_AFTER
from counterfoil.journey import authorize, reconcile
from counterfoil.journey.accept import Accepted
from counterfoil.processors.stripe.client import StripeProcessor
from stripe_sandbox.sandbox import Server


async def ask_due(shop: Shop) -> int:
    """One round of the worker; return how many payments were asked about."""
    traces = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    heard = [await reconcile.ask(shop.stripe, trace) for trace in traces]
    await reconcile.record(shop.pool, shop.ids, heard, shop.clock.now())
    return len(traces)


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
    taken = [len(await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())) for _ in range(2)]
    shop.clock.advance(CLAIM)
    taken.append(len(await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())))
    assert taken == [1, 0, 1]


async def test_a_peer_that_does_not_answer_is_asked_again_later(shop: Shop, peer: Server) -> None:
    """A look-up that fails has told us nothing: the state stays, the next look is set."""
    payment = await shop.charge(order(method="pm_card_threeDSecure2Required"))
    peer.sandbox.reset()
    shop.clock.advance(LOOK_UPS_AFTER[3])
    assert await ask_due(shop) == 1
    assert await shop.state(payment) == "requires_action"
    assert await next_check(shop) is not None


async def test_pitfall_08_a_charge_whose_answer_was_lost_is_found_after_a_day(shop: Shop, peer: Server) -> None:
    """The key is too old to be sent again; Stripe's own list, read to the end, shows what became of it."""
    for number in range(2, 5):
        await shop.charge(order(number))
    await authorize.call(shop.stripe, await shop.sending(order(1)), shop.clock)
    lost = await shop.pool.fetchval("SELECT id FROM payments WHERE event_id = 'event-1'")
    shop.clock.advance(KEY_LIFE)
    assert await ask_due(shop) == 1
    row = await shop.pool.fetchrow("SELECT state, amount_captured FROM payments WHERE id = $1", lost)
    assert row is not None
    assert tuple(row.values()) == ("succeeded", 1999)
    assert len(list(peer.sandbox.account().charges)) == 4


async def test_one_listing_without_it_proves_nothing(shop: Shop) -> None:
    """Sent, lost, and not on the list: in doubt, and looked for again within the hour."""
    payment = await shop.accepted(order())
    asked_at = shop.clock.advance(KEY_LIFE)
    await ask_due(shop)
    assert await shop.state(payment) == "in_doubt"
    due = await shop.pool.fetchval("SELECT next_check_at FROM payments")
    assert asked_at < due <= asked_at + ABSENCE_PROOF


async def test_pitfall_08_two_listings_an_hour_apart_prove_that_nothing_happened(shop: Shop) -> None:
    """The payment fails with the network as its reason, and the order may be paid anew."""
    payment = await shop.accepted(order())
    shop.clock.advance(KEY_LIFE)
    await ask_due(shop)
    shop.clock.advance(ABSENCE_PROOF)
    await ask_due(shop)
    assert await shop.state(payment) == "failed"
    row = await shop.pool.fetchrow("SELECT decline_reason, decline_code FROM attempts")
    assert row is not None
    assert tuple(row.values()) == ("network_error", "never_arrived")
    assert isinstance((await shop.place(order(2, order_id="order-1")))[0], Accepted)


async def test_what_turns_up_between_two_listings_is_no_absence(shop: Shop) -> None:
    """A late effect: the second listing finds it, and the payment succeeds."""
    sending = await shop.sending(order())
    shop.clock.advance(KEY_LIFE)
    await ask_due(shop)
    shop.clock.advance(-KEY_LIFE)
    await authorize.call(shop.stripe, sending, shop.clock)
    shop.clock.advance(KEY_LIFE + ABSENCE_PROOF)
    await ask_due(shop)
    state = await shop.pool.fetchval("SELECT state FROM payments")
    assert state == "succeeded"


async def test_a_list_is_read_to_its_last_page(shop: Shop, peer: Server) -> None:
    """More than a page of others was made around it: it is found all the same."""
    await authorize.call(shop.stripe, await shop.sending(order(1)), shop.clock)
    for number in range(2, 104):
        await authorize.call(shop.stripe, await shop.sending(order(number)), shop.clock)
    found = await shop.stripe.find(
        await shop.pool.fetchval("SELECT id FROM payments WHERE event_id = 'event-1'"),
        shop.clock.now(),
        shop.clock.now(),
    )
    assert found.amount_captured == 1999
    lists = [entry for entry in peer.sandbox.log if entry.method == "GET" and entry.path == "/v1/payment_intents"]
    assert len(lists) == 2


async def test_a_listing_that_fails_halfway_proves_nothing(shop: Shop, peer: Server) -> None:
    """Only a complete listing can show an absence."""
    payment = await shop.accepted(order())
    peer.sandbox.reset()
    away = StripeProcessor("sk_test_wrong", livemode=False, api_base=peer.url)
    found = await away.find(payment.id, shop.clock.now(), shop.clock.now())
    await away.close()
    assert found.absent is False
