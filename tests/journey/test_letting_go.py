"""What is held long enough, left by its customer or canceled on request is let go at Stripe, and the order is free."""

import itertools
import json
from datetime import timedelta

import pytest
from tests.journey.test_authorize import form_of, logged
from tests.journey.test_capture import fault as capture_fault
from tests.journey.test_capture import hold, read
from tests.journey.told_by_webhook import events_of, keep
from tests.journey.told_by_webhook import run as conclude
from tests.orders import Shop, claimant, order

from counterfoil.domain.errors import NotFound, WrongState
from counterfoil.domain.payment import CaptureMethod, Payment
from counterfoil.domain.schedule import ACTION_LIFE, CLAIM, DOUBT_AFTER, HOLD_LIFE, HOLD_MARGIN
from counterfoil.domain.states import PaymentState
from counterfoil.journey import authorize, operating, reconcile, void
from counterfoil.journey.accept import Accepted
from counterfoil.journey.operating import Asked, Claimed
from counterfoil.journey.void import Wanted
from stripe_sandbox.sandbox import Sandbox, Server

CHALLENGED = "pm_card_threeDSecure2Required"
HOLD_HELD = HOLD_LIFE - HOLD_MARGIN


async def ask(shop: Shop, payment: Payment) -> Asked:
    """Ask for a cancellation, as the gateway does."""
    cancel = shop.stripe.cancellation
    return await void.ask(shop.pool, shop.ids, cancel, Wanted(payment.id, "gateway"), shop.clock.now())


async def claimed(shop: Shop) -> list[Claimed]:
    """Take what is due, as a worker does."""
    return await void.claim_due(shop.pool, shop.ids, shop.stripe.cancellation, claimant(), shop.clock.now())


async def send(shop: Shop, letting: Claimed) -> Payment:
    """Send a cancellation, and record what was heard."""
    heard = await operating.call(shop.stripe, letting, shop.clock)
    (payment,) = await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    return payment


async def canceled(shop: Shop, payment: Payment) -> Payment:
    """Cancel a payment for which Stripe must be told, and tell it."""
    letting = (await ask(shop, payment)).claimed
    assert letting is not None
    return await send(shop, letting)


async def reason(shop: Shop) -> str:
    """Why the payment was canceled, as its fact tells."""
    body = await shop.pool.fetchval("SELECT body FROM facts WHERE name = 'PaymentCanceled'")
    return str(json.loads(body)["reason"])


async def last_facts(shop: Shop, payment: Payment) -> list[str]:
    return [name for _, name, _ in await shop.facts(payment)][-2:]


@pytest.mark.parametrize(("method", "step"), [("pm_card_visa", HOLD_HELD), (CHALLENGED, ACTION_LIFE)])
async def test_what_nobody_took_or_answered_is_let_go_in_its_time(
    shop: Shop, sandbox: Sandbox, method: str, step: timedelta
) -> None:
    """Not a second earlier; Stripe releases it, the fact says that it expired, and the order may be paid anew."""
    payment = await shop.charge(order(method=method, capture_method=CaptureMethod.MANUAL))
    shop.clock.advance(step - timedelta(seconds=1))
    assert await claimed(shop) == []
    shop.clock.advance(timedelta(seconds=1))
    (letting,) = await claimed(shop)
    assert (await send(shop, letting)).state is PaymentState.CANCELED
    assert [one["status"] for one in sandbox.account().payment_intents] == ["canceled"]
    assert await reason(shop) == "EXPIRED"
    assert isinstance((await shop.place(order(2, order_id=payment.order_id)))[0], Accepted)


@pytest.mark.parametrize("method", ["pm_card_visa", CHALLENGED])
async def test_what_is_held_or_waits_is_canceled_on_request(
    shop: Shop, sandbox: Sandbox, peer: Server, method: str
) -> None:
    """At Stripe, under a key of its own; the fact says that it was asked for."""
    payment = await shop.charge(order(method=method, capture_method=CaptureMethod.MANUAL))
    after = await canceled(shop, payment)
    assert (after.state, after.amount_captured, after.hold_ends_at) == (PaymentState.CANCELED, 0, None)
    assert [one["status"] for one in sandbox.account().payment_intents] == ["canceled"]
    request = (await logged(peer))[-1]
    assert (request["idempotency_key"], form_of(request)) == ("event-1:cancel:1", {"cancellation_reason": "abandoned"})
    assert await reason(shop) == "CANCELED_ON_REQUEST"


async def test_what_was_never_sent_is_canceled_at_once(shop: Shop, peer: Server) -> None:
    """Nobody at Stripe has heard of it, and nobody will; nor is it sent afterwards."""
    payment = await shop.accepted(order(), owner=None)
    asked = await ask(shop, payment)
    assert (asked.payment.state, asked.claimed) == (PaymentState.CANCELED, None)
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentCanceled", "order")]
    assert await reason(shop) == "CANCELED_ON_REQUEST"
    shop.clock.advance(CLAIM)
    assert await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now()) == []
    assert await logged(peer) == []


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_chargeDeclined"])
async def test_what_has_ended_otherwise_cannot_be_canceled(shop: Shop, method: str) -> None:
    """What succeeded is to be refunded, what failed has no money to let go."""
    payment = await shop.charge(order(method=method))
    with pytest.raises(WrongState):
        await ask(shop, payment)
    assert await read(shop, payment) == payment


async def test_what_is_not_there_cannot_be_canceled(shop: Shop) -> None:
    """Its id is nobody's."""
    with pytest.raises(NotFound):
        await void.ask(
            shop.pool, shop.ids, shop.stripe.cancellation, Wanted(shop.ids.new(), "gateway"), shop.clock.now()
        )


async def test_a_cancellation_asked_for_again_is_the_same_one(shop: Shop) -> None:
    """While it is under way and when it is done, the payment is shown as it stands, and nothing is sent twice."""
    held = await hold(shop)
    letting = (await ask(shop, held)).claimed
    assert letting is not None
    again = await ask(shop, held)
    assert (again.claimed, again.payment.state) == (None, PaymentState.AUTHORIZED)
    await send(shop, letting)
    late = await ask(shop, held)
    assert (late.claimed, late.payment.state) == (None, PaymentState.CANCELED)


async def test_money_on_its_way_that_nothing_holds_back_is_not_canceled(shop: Shop) -> None:
    """It was sent to be taken at once, and the answer is not there yet."""
    payment = await shop.accepted(order())
    with pytest.raises(WrongState):
        await ask(shop, payment)


@pytest.mark.parametrize("wait", [timedelta(0), DOUBT_AFTER])
async def test_a_hold_on_its_way_is_let_go_when_it_is_there(shop: Shop, wait: timedelta) -> None:
    """Its outcome is learned first, in doubt or not; then it is canceled at Stripe like any other."""
    sending = await shop.sending(order(capture_method=CaptureMethod.MANUAL))
    await authorize.call(shop.stripe, sending, shop.clock)
    shop.clock.advance(wait)
    cancel = shop.stripe.cancellation
    asked = await void.ask(shop.pool, shop.ids, cancel, Wanted(sending.payment_id, "gateway"), shop.clock.now())
    assert asked.claimed is None
    assert await claimed(shop) == []
    shop.clock.advance(CLAIM)
    (again,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    held = await shop.send(again)
    assert (held.state, held.let_go_at) == (PaymentState.AUTHORIZED, shop.clock.now())
    (letting,) = await claimed(shop)
    assert (await send(shop, letting)).state is PaymentState.CANCELED


async def test_a_lost_answer_is_asked_for_again(shop: Shop, peer: Server, sandbox: Sandbox) -> None:
    """Canceled at Stripe and not on record: the worker sends the same again, and hears of it."""
    held = await hold(shop)
    await capture_fault(peer, fault="lose_answer", path="/v1/payment_intents/*/cancel")
    assert (await canceled(shop, held)).state is PaymentState.AUTHORIZED
    assert [one["status"] for one in sandbox.account().payment_intents] == ["canceled"]
    shop.clock.advance(CLAIM)
    (letting,) = await claimed(shop)
    assert (await send(shop, letting)).state is PaymentState.CANCELED
    first, second = (await logged(peer))[-2:]
    assert (first["idempotency_key"], first["body"]) == (second["idempotency_key"], second["body"])


async def test_whoever_dies_between_call_and_record_is_made_up_for(shop: Shop) -> None:
    """Nothing was recorded: once the claim is over a worker does it again."""
    held = await hold(shop)
    letting = (await ask(shop, held)).claimed
    assert letting is not None
    await operating.call(shop.stripe, letting, shop.clock)
    assert await claimed(shop) == []
    shop.clock.advance(CLAIM)
    (again,) = await claimed(shop)
    assert (await send(shop, again)).state is PaymentState.CANCELED
    assert await last_facts(shop, held) == ["PaymentAuthorized", "PaymentCanceled"]


ENDED = ("charge.expired", "payment_intent.canceled")


async def test_a_hold_that_stripe_ends_is_canceled_whichever_event_comes_first(shop: Shop, sandbox: Sandbox) -> None:
    """charge.expired and payment_intent.canceled each alone, and both in either order: one PaymentCanceled, EXPIRED."""
    ends = set()
    for number, told in enumerate([*itertools.permutations(ENDED), *((one,) for one in ENDED)], start=1):
        held = await hold(shop, number)
        made = len(events_of(sandbox))
        await sandbox.advance(HOLD_LIFE.total_seconds())
        notices = {one["type"]: one for one in events_of(sandbox)[made:]}
        for kind in told:
            await keep(shop, notices[kind])
            await conclude(shop)
        body = await shop.pool.fetchval(
            "SELECT body FROM facts WHERE name = 'PaymentCanceled' AND payment_id = $1", held.id
        )
        ends.add((*await last_facts(shop, held), await shop.state(held), json.loads(body)["reason"]))
    assert ends == {("PaymentAuthorized", "PaymentCanceled", "canceled", "EXPIRED")}


async def test_a_hold_that_stripe_ended_unheard_is_found_by_looking(shop: Shop, sandbox: Sandbox) -> None:
    """No webhook came: the look-up says that it is canceled, and why."""
    held = await hold(shop)
    await sandbox.advance(HOLD_LIFE.total_seconds())
    due = await shop.pool.fetchval("SELECT next_check_at FROM payments")
    shop.clock.advance(due - shop.clock.now())
    (trace,) = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    await reconcile.record(shop.pool, shop.ids, [await reconcile.ask(shop.stripe, trace)], shop.clock.now())
    assert (await shop.state(held), await reason(shop)) == ("canceled", "EXPIRED")


async def test_what_somebody_cancels_in_the_dashboard_is_no_expiry(shop: Shop, sandbox: Sandbox) -> None:
    """The fact says that the processor did it."""
    held = await hold(shop)
    request = shop.stripe.cancellation(held.intent_id or "", "by-hand", 1)
    await shop.stripe.send(request, again=False)
    (told,) = [one for one in events_of(sandbox) if one["type"] == "payment_intent.canceled"]
    await keep(shop, told)
    await conclude(shop)
    assert (await shop.state(held), await reason(shop)) == ("canceled", "CANCELED_AT_PROCESSOR")


@pytest.mark.parametrize("asked_for", [True, False])
async def test_news_of_a_hold_that_is_over_changes_nothing(shop: Shop, sandbox: Sandbox, *, asked_for: bool) -> None:
    """Its own events come late, the one that says it is held among them: it stays canceled, and nothing is let go."""
    held = await hold(shop)
    if not asked_for:
        shop.clock.advance(HOLD_HELD)
    letting = (await ask(shop, held)).claimed if asked_for else (await claimed(shop))[0]
    assert letting is not None
    ended = await send(shop, letting)
    await keep(shop, *events_of(sandbox))
    await conclude(shop)
    after = await read(shop, held)
    assert (after.state, after.hold_ends_at, after.let_go_at, after.version) == (ended.state, None, None, ended.version)


def test_the_margin_is_shorter_than_any_hold() -> None:
    """A hold must last, and end before Stripe ends it: the shortest that Stripe grants is of two days."""
    assert timedelta(0) < HOLD_MARGIN < timedelta(days=2) < HOLD_LIFE
