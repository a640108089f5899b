"""A kept notice is read once more without harm, and a rehearsal says what would come of it and changes nothing."""

from datetime import timedelta
from typing import Any

import pytest
from tests.journey.told_by_webhook import event, intent, keep, run
from tests.orders import Shop, order

from counterfoil.domain.errors import NotReplayable
from counterfoil.domain.payment import Payment
from counterfoil.domain.states import PaymentState
from counterfoil.journey import replay
from counterfoil.journey.replay import Rehearsal
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.runtime.metrics import ALARMS
from counterfoil.store import notice_views
from counterfoil.store.notice_views import NoticeView
from counterfoil.store.notices import NoticeState

TABLES = ("payments", "attempts", "facts", "outbox", "notices", "notice_bodies", "disputes", "refunds", "effects")


async def contents(shop: Shop) -> dict[str, list[str]]:
    """Everything in the store that a notice could change."""
    return {
        table: sorted(str(tuple(row.values())) for row in await shop.pool.fetch(f"SELECT * FROM {table}"))  # noqa: S608 - names from above
        for table in TABLES
    }


async def seen(shop: Shop, event_id: str = "evt_1") -> NoticeView:
    view = await notice_views.of_event(shop.pool, event_id, "", livemode=None, ours=False)
    assert view is not None
    return view


async def rehearsed(shop: Shop, event_id: str = "evt_1") -> Rehearsal:
    view = await seen(shop, event_id)
    return await replay.rehearse(shop.pool, stripe_notices, shop.ids, view, shop.clock.now(), livemode=False)


async def replayed(shop: Shop, event_id: str = "evt_1") -> None:
    await replay.run(shop.pool, await seen(shop, event_id), shop.clock.now())


async def test_a_rehearsal_says_what_would_be_and_changes_nothing(shop: Shop) -> None:
    """Before and after, every fact that would be written, and not a row differs; then it comes as it was said."""
    payment = await shop.accepted(order())
    await keep(shop, event("payment_intent.succeeded", intent(payment)))
    before = await contents(shop)

    would_be = await rehearsed(shop)

    assert before == await contents(shop)
    assert would_be.before is not None
    assert would_be.after is not None
    assert (would_be.before.state, would_be.after.state) == (PaymentState.PROCESSING, PaymentState.SUCCEEDED)
    assert (would_be.before.amount_captured, would_be.after.amount_captured) == (0, 1999)
    assert would_be.facts == (("PaymentSucceeded", 2),)
    assert await run(shop) == {would_be.settled.state: 1}
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "notice")]


def declined(payment: Payment) -> dict[str, Any]:
    error = {"code": "card_declined", "message": "No.", "charge": "ch_1"}
    return intent(payment, "requires_payment_method", last_payment_error=error)


@pytest.mark.parametrize(
    ("said", "state", "status"),
    [
        (lambda payment: event("payment_intent.payment_failed", declined(payment)), "done", "failed"),
        (lambda payment: event("payment_intent.succeeded", intent(payment), api_version="2031"), "done", "processing"),
        (lambda payment: event("payment_intent.succeeded", intent(payment, currency="usd")), "parked", "processing"),
        (lambda payment: event("payment_intent.succeeded", intent(payment, "unheard_of")), "parked", None),
        (lambda _: event("payment_intent.succeeded", {"id": "pi_9", "metadata": {}}), "foreign", None),
        (lambda payment: event("payment_intent.succeeded", intent(payment), livemode=True), "foreign", None),
        (lambda _: event("customer.created", {"id": "cus_1"}), "done", None),
    ],
    ids=["declined", "another version", "another currency", "unreadable", "foreign", "live", "irrelevant"],
)
async def test_what_was_rehearsed_is_what_comes(shop: Shop, said: Any, state: str, status: str | None) -> None:
    """State, reason and payment are those that reading it then has; a person is told only when it is read."""
    payment = await shop.accepted(order())
    await keep(shop, said(payment))
    alarms = ALARMS.labels("conclude")._value.get()

    would_be = await rehearsed(shop)

    assert ALARMS.labels("conclude")._value.get() == alarms
    assert (would_be.settled.state, would_be.after.state if would_be.after else None) == (state, status)
    await run(shop)
    now = await seen(shop)
    assert (now.state, now.reason, now.payment_id) == (
        would_be.settled.state,
        would_be.settled.reason,
        would_be.settled.payment_id,
    )
    assert ALARMS.labels("conclude")._value.get() == alarms + len(would_be.alarms)


async def test_what_the_store_would_refuse_is_said(shop: Shop) -> None:
    """Another payment has that charge: nothing could be recorded, and the rehearsal says so as the reading would."""
    taken, payment = await shop.accepted(order(1)), await shop.accepted(order(2))
    await shop.pool.execute("UPDATE attempts SET charge_id = 'ch_1' WHERE payment_id = $1", taken.id)
    await keep(shop, event("payment_intent.succeeded", intent(payment)))
    would_be = await rehearsed(shop)
    await run(shop)
    assert would_be.settled.state is NoticeState.PARKED
    assert would_be.settled.reason == (await seen(shop)).reason


async def test_what_was_read_before_changes_nothing_again(shop: Shop) -> None:
    """Replayed twice: read again, the same end, and not a fact more."""
    payment = await shop.accepted(order())
    await keep(shop, event("payment_intent.succeeded", intent(payment)))
    await run(shop)
    facts = await shop.facts(payment)
    assert (await rehearsed(shop)).facts == ()
    for _ in range(2):
        await replayed(shop)
        assert ((await seen(shop)).state, (await seen(shop)).reason) == ("kept", None)
        assert await run(shop) == {NoticeState.DONE: 1}
    assert (await shop.facts(payment), await shop.state(payment)) == (facts, "succeeded")


async def test_what_was_parked_is_read_when_its_hindrance_is_gone(shop: Shop) -> None:
    """A person replays it: another payment had its charge by mistake, and has it no more."""
    taken, payment = await shop.accepted(order(1)), await shop.accepted(order(2))
    await shop.pool.execute("UPDATE attempts SET charge_id = 'ch_1' WHERE payment_id = $1", taken.id)
    await keep(shop, event("payment_intent.succeeded", intent(payment)))
    assert await run(shop) == {NoticeState.PARKED: 1}
    await shop.pool.execute("UPDATE attempts SET charge_id = NULL WHERE payment_id = $1", taken.id)

    await replayed(shop)

    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.state(payment) == "succeeded"


async def test_where_its_payment_is_not_here_a_rehearsal_says_so(shop: Shop) -> None:
    """Not that it would wait for two seconds, but what it comes to after that."""
    nobody = Payment(shop.ids.new(), "order-1", "event-1", order().money, shop.clock.now())
    await keep(shop, event("payment_intent.succeeded", intent(nobody)))
    would_be = await rehearsed(shop)
    assert (would_be.settled.state, would_be.settled.reason) == (
        NoticeState.PARKED,
        "names a payment that is not here",
    )
    assert (would_be.before, would_be.after) == (None, None)


async def test_without_its_body_its_payment_is_asked_about(shop: Shop) -> None:
    """There is nothing to read: the replay is refused, and says that the payment is asked about, which it then is."""
    payment = await shop.accepted(order())
    await keep(shop, event("payment_intent.processing", intent(payment, "processing")))
    await run(shop)
    await shop.pool.execute("DELETE FROM notice_bodies")
    shop.clock.advance(timedelta(hours=1))
    with pytest.raises(NotReplayable, match="its payment would be asked about instead"):
        await rehearsed(shop)

    with pytest.raises(NotReplayable, match="so its payment is asked about instead"):
        await replayed(shop)

    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.pool.fetchval("SELECT next_check_at FROM payments") == shop.clock.now()
    assert (await seen(shop)).reason == "its body has expired: its payment is asked about"


async def test_without_body_and_payment_nothing_is_done(shop: Shop) -> None:
    """Nobody is known to ask about: the notice stays as it was."""
    await keep(shop, event("customer.created", {"id": "cus_1"}))
    await run(shop)
    await shop.pool.execute("DELETE FROM notice_bodies")
    before = await contents(shop)
    for attempt in (rehearsed, replayed):
        with pytest.raises(NotReplayable, match="no payment of ours is known"):
            await attempt(shop)
    assert before == await contents(shop)
