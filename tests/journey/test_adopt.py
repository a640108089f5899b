"""A restored database has forgotten payments: they are brought back from the processor, and never charged again."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from tests.comparing import Auditor
from tests.journey.conftest import KEY
from tests.orders import Shop, claimant, order
from tests.refunds import Till, by_hand
from tests.told import Clock

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.domain.errors import LookUpOnly, NotCleared
from counterfoil.domain.order import Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.refunding import Wish as RefundWish
from counterfoil.journey import announce, authorize, cancel, capture, reconcile, refund, renew, retry, void
from counterfoil.journey.accept import Accepted, Repeated, Wish
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.ids import Ids
from counterfoil.store import restores
from counterfoil.store.pool import Pool
from stripe_sandbox.sandbox import Sandbox, Server


@pytest.fixture
def auditor(shop: Shop) -> Auditor:
    return Auditor(shop)


async def forgotten(shop: Shop, wished: Order) -> Wish:
    """Take an order to the processor that the database knows nothing of, as one put back to before it does."""
    wish = await shop.wish(wished, None)
    await shop.stripe.send(wish.request, again=False)
    return wish


async def restored(shop: Shop) -> None:
    """Let the database be one that was put back to an hour ago."""
    now = shop.clock.now()
    async with shop.pool.acquire() as connection:
        await restores.begin(connection, shop.ids.new(), "a test", now, now - timedelta(hours=1))
    shop.clock.advance(timedelta(seconds=1))


async def finished(shop: Shop) -> None:
    async with shop.pool.acquire() as connection:
        await restores.finish(connection, shop.clock.now())


async def standing(shop: Shop, wish: Wish) -> tuple[object, ...]:
    row = await shop.pool.fetchrow(
        "SELECT state, amount_captured, amount_refunded, owns_order FROM payments WHERE id = $1", wish.payment_id
    )
    assert row is not None
    return tuple(row.values())


def charges(sandbox: Sandbox) -> int:
    return len(list(sandbox.account().charges))


async def test_what_was_forgotten_is_brought_back_and_not_charged_again(
    shop: Shop, auditor: Auditor, sandbox: Sandbox, peer: Server
) -> None:
    """A success with what was given back of it, a decline and a hold; their orders find them when they come again."""
    paid = await forgotten(shop, order(1))
    declined = await forgotten(shop, order(2, "pm_card_chargeDeclined"))
    held = await forgotten(shop, order(3, capture_method=CaptureMethod.MANUAL))
    (taken,) = [one for one in sandbox.account().charges if one["captured"] and one["status"] == "succeeded"]
    await by_hand(peer, taken["id"], 500)
    await restored(shop)
    before = charges(sandbox)

    view = await auditor.compare()
    await finished(shop)
    again = await shop.place(order(1), order(2), order(3))

    assert view.left == 0
    assert [await standing(shop, one) for one in (paid, declined, held)] == [
        ("succeeded", 1999, 500, True),
        ("failed", 0, 0, False),
        ("authorized", 0, 0, True),
    ]
    assert [type(one) for one in again] == [Repeated] * 3
    assert await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now()) == []
    assert charges(sandbox) == before
    assert await auditor.told(await auditor.compare()) == []
    facts = await shop.pool.fetch("SELECT name FROM facts WHERE payment_id = $1 ORDER BY version", paid.payment_id)
    assert [fact["name"] for fact in facts] == ["PaymentRequested", "PaymentSucceeded", "RefundProcessed"]


async def test_a_refund_that_is_asked_for_again_is_the_one_that_was_made(
    shop: Shop, auditor: Auditor, sandbox: Sandbox
) -> None:
    """It was asked for and made in the time that was lost, and so was its payment; its key finds it."""
    paid = await shop.charge(order(1))
    await Till(shop).ask(paid, 500, "back-1")
    await Till(shop).send()
    await shop.pool.execute("TRUNCATE payments CASCADE")
    await restored(shop)
    await auditor.compare()
    await finished(shop)
    again = await Till(shop).ask(paid, 500, "back-1")
    other = await Till(shop).ask(paid, 300, "back-2")
    await Till(shop).send()
    assert (again.repeated, other.repeated) == (True, False)
    assert sorted(refund["amount"] for refund in sandbox.account().refunds) == [300, 500]
    assert await Till(shop).totals(paid) == (1999, 800, 0)


async def test_without_a_restore_nothing_is_brought_back(shop: Shop, auditor: Auditor) -> None:
    """It may be another installation's on the same account."""
    await forgotten(shop, order(1))
    view = await auditor.compare()
    assert view.left > 0
    assert await shop.pool.fetchval("SELECT count(*) FROM payments") == 0


async def test_another_order_under_the_same_event_is_refused(shop: Shop, auditor: Auditor) -> None:
    """Of the order only this much is known: which it is, and what it costs."""
    await forgotten(shop, order(1))
    await restored(shop)
    await auditor.compare()
    await finished(shop)
    answers = await shop.place(order(1, order_id="another"))
    assert [str(answer) for answer in answers] == ["this key was already used for a request with other contents"]


async def test_an_order_is_owned_by_the_payment_that_has_its_money(shop: Shop, auditor: Auditor) -> None:
    """It stood as live here when the other was brought back, failed after the moment restored to, and was paid anew."""
    sending = await shop.sending(order(1, "pm_card_chargeDeclined"))
    await shop.stripe.send(sending.request, again=False)
    shop.clock.advance(timedelta(hours=1))
    paid = await forgotten(shop, order(1, event_id="event-anew"))
    await restored(shop)
    await auditor.compare(timedelta(minutes=30))
    assert await standing(shop, paid) == ("succeeded", 1999, 0, False)
    await auditor.compare()
    await finished(shop)
    assert await standing(shop, paid) == ("succeeded", 1999, 0, True)
    assert await shop.pool.fetchval("SELECT state FROM payments WHERE id = $1", sending.payment_id) == "failed"


async def test_an_event_that_has_another_payment_by_now_is_left(shop: Shop, auditor: Auditor) -> None:
    """Somebody let roles run before it was said that the database was restored; nothing is made up."""
    lost = await forgotten(shop, order(1))
    await shop.accepted(order(1), owner=None)
    await restored(shop)
    view = await auditor.compare()
    assert {one[:2] for one in await auditor.told(view)} == {("payment", "ours_missing")}
    assert view.left > 0
    with pytest.raises(NotCleared, match="differences are left"):
        await finished(shop)
    assert await shop.pool.fetchval("SELECT count(*) FROM payments WHERE id = $1", lost.payment_id) == 0


async def test_a_payment_whose_order_was_cancelled_meanwhile_goes_back(
    shop: Shop, auditor: Auditor, sandbox: Sandbox
) -> None:
    """The cancellation came again before the payment was back; its money is given back once sending goes on."""
    lost = await forgotten(shop, order(1))
    await restored(shop)
    unwanted = Cancellation("order-1", CancelReason.CUSTOMER_REQUESTED)
    await cancel.run(shop.pool, shop.ids, unwanted, shop.clock.now())
    await auditor.compare()
    assert await Till(shop).send() == []
    await finished(shop)
    await Till(shop).send()
    assert await standing(shop, lost) == ("succeeded", 1999, 1999, True)
    assert [refund["amount"] for refund in sandbox.account().refunds] == [1999]


@pytest_asyncio.fixture
async def older(peer: Server, pool: Pool, clock: Clock, ids: Ids) -> AsyncIterator[Shop]:
    """The same shop, by the older API."""
    processor = StripeProcessor(KEY, livemode=False, api_base=peer.url, by_charges=True)
    yield Shop(pool, clock, ids, processor)
    await processor.close()


async def test_payments_by_charges_are_brought_back(older: Shop, sandbox: Sandbox) -> None:
    """There the charge is all that Stripe has of a payment, and a declined one names nothing."""
    paid = await forgotten(older, order(1, "tok_visa"))
    declined = await forgotten(older, order(2, "tok_chargeDeclined"))
    await restored(older)
    view = await Auditor(older).compare()
    await finished(older)
    assert view.left == 0
    assert [await standing(older, one) for one in (paid, declined)] == [
        ("succeeded", 1999, 0, True),
        ("failed", 0, 0, False),
    ]
    answers = await older.place(order(1, "tok_visa"), order(2, "tok_chargeDeclined"))
    assert ([type(one) for one in answers], charges(sandbox)) == ([Repeated] * 2, 2)


async def test_nothing_is_sent_until_it_has_caught_up(shop: Shop, stripe: StripeProcessor, sandbox: Sandbox) -> None:
    """No attempt, capture, cancellation, retry or refund is claimed, and whoever asks for one hears why."""
    paid = await shop.charge(order(1))
    held = await shop.charge(order(2, capture_method=CaptureMethod.MANUAL))
    failed = await shop.charge(order(3, "pm_card_chargeDeclined"))
    wanted = await shop.wanted_again(failed, "pm_card_visa")
    await shop.place(order(4), owner=None)
    await Till(shop).ask(paid)
    await shop.pool.execute(
        "UPDATE payments SET let_go_at = $2, next_check_at = $2 WHERE id = $1", held.id, shop.clock.now()
    )
    await restored(shop)
    pool, ids, now = shop.pool, shop.ids, shop.clock.now()
    logged = len(sandbox.log.entries)

    (refused,) = await shop.place(order(5))
    assert isinstance(refused, LookUpOnly)
    with pytest.raises(LookUpOnly):
        await capture.ask(pool, ids, stripe.capture, capture.Wanted(held.id, None, "test"), now)
    with pytest.raises(LookUpOnly):
        await void.ask(pool, ids, stripe.cancellation, void.Wanted(held.id, "test"), now)
    with pytest.raises(LookUpOnly):
        await refund.ask(pool, ids, RefundWish(paid.id, "another", 1), now)
    with pytest.raises(LookUpOnly):
        await renew.run(pool, ids, wanted, now)
    claimed = [
        await authorize.claim_due(pool, ids, claimant(), now),
        await void.claim_due(pool, ids, stripe.cancellation, claimant(), now),
        await capture.claim_due(pool, ids, stripe.capture, claimant(), now),
        await refund.claim_due(pool, stripe.refund, claimant(), now),
        await retry.take_due(pool, claimant(), now),
    ]
    assert claimed == [[]] * 5
    assert len(sandbox.log.entries) == logged

    await Auditor(shop).compare()
    await finished(shop)
    assert len(await authorize.claim_due(pool, ids, claimant(), shop.clock.now())) == 1
    assert len(await void.claim_due(pool, ids, stripe.cancellation, claimant(), shop.clock.now())) == 1
    assert len(await refund.claim_due(pool, stripe.refund, claimant(), shop.clock.now())) == 1
    (accepted,) = await shop.place(order(5))
    assert isinstance(accepted, Accepted)


async def test_whoever_follows_the_facts_misses_none(shop: Shop) -> None:
    """They may have read farther than the restored database knows: what is published now stands behind all of it."""
    await shop.charge(order(1))
    async with shop.pool.acquire() as connection:
        await announce.run(connection, shop.clock.now())
        known = await connection.fetchval("SELECT max(position) FROM positions")
        await restored(shop)
        await announce.run(connection, shop.clock.now())
        (first,) = await connection.fetch("SELECT position FROM positions WHERE position > $1", known)
    assert first["position"] > known + restores.SKIPPED


async def test_look_ups_go_on(shop: Shop) -> None:
    """What is silent is asked about while nothing is sent."""
    waiting = await shop.charge(order(1, "pm_card_threeDSecure2Required"))
    await restored(shop)
    shop.clock.advance(timedelta(minutes=15))
    due = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    assert [trace.payment_id for trace in due] == [waiting.id]


async def test_a_restore_ends_only_after_a_comparison_that_goes_back_far_enough(shop: Shop, auditor: Auditor) -> None:
    """Begun after it, finished, and back to before the moment that was restored."""
    await auditor.compare()
    shop.clock.advance(timedelta(seconds=1))
    await restored(shop)
    with pytest.raises(NotCleared, match="nothing was compared since"):
        await finished(shop)
    await auditor.compare(timedelta(minutes=90))
    with pytest.raises(NotCleared, match="nothing was compared since"):
        await finished(shop)
    name = await auditor.ask()
    with pytest.raises(NotCleared, match="is not finished"):
        await finished(shop)
    await auditor.run(name)
    await finished(shop)
    with pytest.raises(NotCleared, match="no restore is under way"):
        await finished(shop)
