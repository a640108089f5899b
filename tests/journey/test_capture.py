"""A hold is taken once, whole or in part, whoever asks how often, and whatever becomes of the answers."""

import asyncio
import itertools
import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from tests.journey.test_authorize import form_of, logged
from tests.journey.told_by_webhook import events_of, keep
from tests.journey.told_by_webhook import run as conclude
from tests.orders import Shop, claimant, order

from counterfoil.domain.errors import AmountRefused, NotFound, WrongState
from counterfoil.domain.money import Money
from counterfoil.domain.payment import CaptureMethod, Payment
from counterfoil.domain.schedule import CLAIM, HOLD_LIFE, HOLD_MARGIN, KEY_LIFE, LOOK_UPS_AFTER
from counterfoil.domain.states import PaymentState
from counterfoil.journey import capture, operating, reconcile, void
from counterfoil.journey.capture import Wanted
from counterfoil.journey.operating import Asked, Claimed
from counterfoil.store import payments
from counterfoil.store.operations import Kind, Operation
from stripe_sandbox.sandbox import Sandbox, Server

PARTS = [1, 999, 1999, None]


async def hold(shop: Shop, number: int = 1, **changes: Any) -> Payment:
    """Have the money of an order held."""
    payment = await shop.charge(order(number, capture_method=CaptureMethod.MANUAL, **changes))
    assert payment.state is PaymentState.AUTHORIZED
    return payment


async def ask(shop: Shop, payment: Payment, amount: int | None = None) -> Asked:
    """Ask for a capture, as the gateway does."""
    wanted = Wanted(payment.id, amount, "gateway")
    return await capture.ask(shop.pool, shop.ids, shop.stripe.capture, wanted, shop.clock.now())


async def asked(shop: Shop, payment: Payment, amount: int | None = None) -> Claimed:
    """Ask for a capture that is new, and return what is to be sent."""
    taking = (await ask(shop, payment, amount)).claimed
    assert taking is not None
    return taking


async def send(shop: Shop, taking: Claimed) -> Payment:
    """Send a capture, and record what was heard."""
    heard = await operating.call(shop.stripe, taking, shop.clock)
    (payment,) = await capture.record(shop.pool, shop.ids, [heard], shop.clock.now())
    return payment


async def claimed(shop: Shop) -> list[Claimed]:
    """Take what is due, as a worker does."""
    return await capture.claim_due(shop.pool, shop.ids, shop.stripe.capture, claimant(), shop.clock.now())


async def read(shop: Shop, payment: Payment) -> Payment:
    return (await payments.read(shop.pool, [payment.id]))[payment.id].payment  # type: ignore[arg-type]  # a pool will do


async def fault(peer: Server, **wanted: Any) -> None:
    """Let a capture meet a fault at the sandbox."""
    script = {"method": "POST", "path": "/v1/payment_intents/*/capture", **wanted}
    async with aiohttp.ClientSession() as session, session.post(f"{peer.url}/_sandbox/faults", json=script) as answer:
        answer.raise_for_status()


async def captures(peer: Server) -> list[dict[str, Any]]:
    """Every capture the sandbox was asked for."""
    return [one for one in await logged(peer) if one["path"].endswith("/capture")]


@pytest.mark.parametrize("amount", PARTS)
async def test_a_hold_is_taken_whole_or_in_part(shop: Shop, sandbox: Sandbox, amount: int | None) -> None:
    """PaymentSucceeded tells what was taken, the payment and Stripe's charge say the same; the rest is no refund."""
    held = await hold(shop)
    payment = await send(shop, await asked(shop, held, amount))
    taken = amount or 1999
    (charge,) = sandbox.account().charges
    assert (payment.state, payment.amount_captured, payment.amount_to_capture) == (PaymentState.SUCCEEDED, taken, None)
    assert (charge["captured"], charge["amount_captured"]) == (True, taken)
    assert (payment.amount_refunded, payment.amount_refund_reserved) == (0, 0)
    body = await shop.pool.fetchval("SELECT body FROM facts WHERE name = 'PaymentSucceeded'")
    assert json.loads(body)["amount"] == taken


async def test_the_request_is_what_the_contract_says(shop: Shop, peer: Server) -> None:
    """The event's key with what it is appended, the intent in its path, the amount, and nothing else."""
    held = await hold(shop)
    await send(shop, await asked(shop, held, 500))
    (request,) = await captures(peer)
    assert request["path"] == f"/v1/payment_intents/{held.intent_id}/capture"
    assert (request["idempotency_key"], form_of(request)) == ("event-1:capture:1", {"amount_to_capture": "500"})


async def test_key_and_bytes_are_on_record_before_they_leave(shop: Shop, peer: Server) -> None:
    """Asked for and not sent: whoever comes next has all it takes, and how much is to be taken."""
    taking = await asked(shop, await hold(shop), 500)
    row = await shop.pool.fetchrow("SELECT kind, number, idempotency_key, request, amount, fence FROM operations")
    assert row is not None
    expected = ("capture", 1, "event-1:capture:1", taking.operation.request.body, 500, 1)
    assert expected == tuple(row.values())
    assert await captures(peer) == []


@pytest.mark.parametrize("amount", [0, 2000, 2**62])
async def test_no_more_is_taken_than_is_held(shop: Shop, amount: int) -> None:
    """Nor nothing; what is refused leaves the hold as it was."""
    held = await hold(shop)
    with pytest.raises(AmountRefused):
        await ask(shop, held, amount)
    assert await read(shop, held) == held


async def test_a_part_of_a_currency_without_coins_is_whole(shop: Shop) -> None:
    """Stripe counts krónur in hundredths and takes none: it would refuse what we refuse at once."""
    held = await hold(shop, money=Money(500_00, "ISK"))
    with pytest.raises(AmountRefused):
        await ask(shop, held, 100_50)
    assert (await send(shop, await asked(shop, held, 100_00))).amount_captured == 100_00


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecure2Required"])
async def test_only_what_is_held_can_be_taken(shop: Shop, method: str) -> None:
    """What has succeeded, failed or waits for its customer is not, nor what is not there."""
    payment = await shop.charge(order(method=method))
    with pytest.raises(WrongState):
        await ask(shop, payment)


async def test_nothing_can_be_taken_of_a_payment_that_is_not_there(shop: Shop) -> None:
    """Its id is nobody's."""
    with pytest.raises(NotFound):
        await capture.ask(
            shop.pool, shop.ids, shop.stripe.capture, Wanted(shop.ids.new(), None, "gateway"), shop.clock.now()
        )


async def test_twenty_who_ask_at_once_ask_for_one_capture(shop: Shop, peer: Server) -> None:
    """One of them is to send it; the others are told that it is under way, and later that it is done."""
    held = await hold(shop)
    answers = await asyncio.gather(*(ask(shop, held, 500) for _ in range(20)))
    (taking,) = [one.claimed for one in answers if one.claimed is not None]
    assert {one.payment.amount_to_capture for one in answers} == {500}
    await send(shop, taking)
    late = await ask(shop, held, 500)
    assert (late.claimed, late.payment.state, late.payment.amount_captured) == (None, PaymentState.SUCCEEDED, 500)
    assert len(await captures(peer)) == 1


async def test_two_amounts_are_two_captures_and_the_second_is_refused(shop: Shop) -> None:
    """While the first is under way and when it is done."""
    held = await hold(shop)
    taking = await asked(shop, held, 500)
    with pytest.raises(WrongState):
        await ask(shop, held, 600)
    await send(shop, taking)
    for amount in (600, None):
        with pytest.raises(WrongState):
            await ask(shop, held, amount)


@pytest.mark.parametrize("lost", ["lose_answer", "cut_body"])
async def test_a_lost_answer_is_asked_for_again(shop: Shop, peer: Server, lost: str) -> None:
    """The hold is shown as a hold until the same request, under the same key, is answered; it is taken once."""
    held = await hold(shop)
    await fault(peer, fault=lost)
    unknown = await send(shop, await asked(shop, held, 500))
    assert (unknown.state, unknown.amount_to_capture) == (PaymentState.AUTHORIZED, 500)
    assert unknown.next_check_at == shop.clock.now() + LOOK_UPS_AFTER[0]
    shop.clock.advance(LOOK_UPS_AFTER[0])
    (taking,) = await claimed(shop)
    payment = await send(shop, taking)
    first, second = await captures(peer)
    assert (first["idempotency_key"], first["body"]) == (second["idempotency_key"], second["body"])
    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 500)
    assert [name for _, name, _ in await shop.facts(held)].count("PaymentSucceeded") == 1


async def test_whoever_dies_between_call_and_record_is_made_up_for(shop: Shop, sandbox: Sandbox) -> None:
    """Nothing was recorded: once the claim is over a worker sends the same again, and nobody before."""
    held = await hold(shop)
    await operating.call(shop.stripe, await asked(shop, held, 500), shop.clock)
    assert await claimed(shop) == []
    shop.clock.advance(CLAIM)
    (taking,) = await claimed(shop)
    payment = await send(shop, taking)
    assert (taking.claim.fence, payment.state, payment.amount_captured) == (2, PaymentState.SUCCEEDED, 500)
    assert [one["amount_captured"] for one in sandbox.account().charges] == [500]


async def test_a_claim_that_was_taken_over_records_nothing(shop: Shop, peer: Server) -> None:
    """The frozen process comes back late, having heard nothing: what the other one learned stands."""
    held = await hold(shop)
    frozen = await asked(shop, held)
    await fault(peer, fault="error", status=503, effect="none")
    heard = await operating.call(shop.stripe, frozen, shop.clock)
    shop.clock.advance(CLAIM)
    (taking,) = await claimed(shop)
    (payment,) = await capture.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert payment.next_check_at == shop.clock.now() + CLAIM, "the other one still holds it"
    assert (await send(shop, taking)).state is PaymentState.SUCCEEDED


async def test_nothing_is_sent_once_the_claim_is_over(shop: Shop, peer: Server) -> None:
    """The machine stood still between claim and call: another one is at it by now."""
    taking = await asked(shop, await hold(shop))
    shop.clock.advance(CLAIM)
    assert (await send(shop, taking)).state is PaymentState.AUTHORIZED
    assert await captures(peer) == []


@pytest.mark.parametrize("effect", ["none", "done", "later"])
async def test_a_500_is_asked_about_and_then_sent_anew(shop: Shop, sandbox: Sandbox, peer: Server, effect: str) -> None:
    """Under its own key it would only be given again; the intent tells what it did, and is taken once in the end."""
    held = await hold(shop)
    await fault(peer, fault="error", status=500, effect=effect, **({"after_seconds": 1} if effect == "later" else {}))
    payment = await send(shop, await asked(shop, held, 500))
    if effect != "done":
        assert payment.state is PaymentState.AUTHORIZED
        shop.clock.advance(LOOK_UPS_AFTER[0])
        (taking,) = await claimed(shop)
        assert taking.operation.request.key == "event-1:capture:2"
        payment = await send(shop, taking)
    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 500)
    assert [one["amount_captured"] for one in sandbox.account().charges] == [500]


async def test_a_key_of_23_hours_is_never_sent_again(shop: Shop, peer: Server) -> None:
    """Stripe may have forgotten it: the next capture has a key of its own."""
    held = await hold(shop)
    await asked(shop, held, 500)
    shop.clock.advance(KEY_LIFE)
    (taking,) = await claimed(shop)
    assert taking.operation.request.key == "event-1:capture:2"
    assert (await send(shop, taking)).state is PaymentState.SUCCEEDED
    assert len(await captures(peer)) == 1


async def test_a_hold_that_ended_while_its_capture_was_asked_for_is_canceled(shop: Shop, sandbox: Sandbox) -> None:
    """Stripe refuses the capture for the state of its intent, and shows it: canceled, for nobody took it in time."""
    held = await hold(shop)
    taking = await asked(shop, held)
    await sandbox.advance(HOLD_LIFE.total_seconds())
    payment = await send(shop, taking)
    assert (payment.state, payment.amount_captured, payment.amount_to_capture) == (PaymentState.CANCELED, 0, None)
    body = await shop.pool.fetchval("SELECT body FROM facts WHERE name = 'PaymentCanceled'")
    assert json.loads(body)["reason"] == "EXPIRED"


async def test_what_somebody_else_took_is_on_record_as_it_is(shop: Shop, sandbox: Sandbox) -> None:
    """In the dashboard, in another amount, just before us: that is the money there is, and a person hears of it."""
    held = await hold(shop)
    taking = await asked(shop, held, 500)
    await at_stripe(sandbox, held, 700)
    payment = await send(shop, taking)
    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 700)


async def at_stripe(sandbox: Sandbox, payment: Payment, amount: int) -> None:
    """Capture in the dashboard."""
    async with sandbox.serve() as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/v1/payment_intents/{payment.intent_id}/capture"
        headers = {"Authorization": "Bearer sk_test_journey"}
        async with session.post(url, data={"amount_to_capture": amount}, headers=headers) as answer:
            answer.raise_for_status()


async def test_capture_and_cancel_exclude_one_another(shop: Shop) -> None:
    """Whoever asks first is served; all that is asked at once comes to one end."""
    for number in range(1, 6):
        held = await hold(shop, number)
        cancel = void.ask(
            shop.pool, shop.ids, shop.stripe.cancellation, void.Wanted(held.id, "gateway"), shop.clock.now()
        )
        answers = await asyncio.gather(ask(shop, held), cancel, return_exceptions=True)
        (refused,) = [one for one in answers if isinstance(one, BaseException)]
        (served,) = [one for one in answers if not isinstance(one, BaseException)]
        assert isinstance(refused, WrongState)
        after = await read(shop, held)
        assert served.claimed is not None
        asked_for = (after.amount_to_capture is not None, after.cancel_requested_at is not None)
        expected = {Kind.CAPTURE: (True, False), Kind.CANCEL: (False, True)}
        assert asked_for == expected[served.claimed.operation.kind]


async def test_a_capture_and_an_orders_cancellation_at_once_come_to_one_end(shop: Shop, sandbox: Sandbox) -> None:
    """Both are at Stripe: whichever comes first there is what happened, and both answers say the same."""
    for number, first in enumerate(["capture", "cancel"], start=1):
        held = await hold(shop, number)
        taking = await asked(shop, held)
        await shop.pool.execute(
            "UPDATE payments SET cancel_requested_at = $2, let_go_at = $2, next_check_at = $2 WHERE id = $1",
            held.id,
            shop.clock.now(),
        )
        cancel = shop.stripe.cancellation
        (letting,) = await void.claim_due(shop.pool, shop.ids, cancel, claimant(), shop.clock.now())
        if first == "capture":
            taken = await operating.call(shop.stripe, taking, shop.clock)
            let_go = await operating.call(shop.stripe, letting, shop.clock)
        else:
            let_go = await operating.call(shop.stripe, letting, shop.clock)
            taken = await operating.call(shop.stripe, taking, shop.clock)
        await void.record(shop.pool, shop.ids, [let_go], shop.clock.now())
        await capture.record(shop.pool, shop.ids, [taken], shop.clock.now())
        assert await shop.state(held) == ("succeeded" if first == "capture" else "canceled")
    assert [one["captured"] for one in sandbox.account().charges] == [True, False]


@pytest.mark.parametrize("amount", [500, None])
async def test_every_order_of_news_of_a_capture_ends_the_same(shop: Shop, sandbox: Sandbox, amount: int | None) -> None:
    """The answer, charge.captured and payment_intent.succeeded, each before each other: one PaymentSucceeded."""
    ends = set()
    for number, order_of_news in enumerate(itertools.permutations(range(3)), start=1):
        held = await hold(shop, number)
        made = len(events_of(sandbox))
        heard = await operating.call(shop.stripe, await asked(shop, held, amount), shop.clock)
        notices = [one for one in events_of(sandbox)[made:] if one["type"] in TOLD_BY]
        assert sorted(one["type"] for one in notices) == sorted(TOLD_BY)
        for which in order_of_news:
            if which == 2:
                await capture.record(shop.pool, shop.ids, [heard], shop.clock.now())
            else:
                await keep(shop, notices[which])
                await conclude(shop)
        payment = await read(shop, held)
        said = tuple(name for _, name, _ in await shop.facts(held))
        ends.add((payment.state, payment.amount_captured, payment.amount_to_capture, payment.hold_ends_at, said))
    expected = ("PaymentRequested", "PaymentAuthorized", "PaymentSucceeded")
    assert ends == {(PaymentState.SUCCEEDED, amount or 1999, None, None, expected)}


TOLD_BY = ("charge.captured", "payment_intent.succeeded")


async def test_a_capture_that_stripe_refuses_for_good_leaves_the_hold(shop: Shop, peer: Server) -> None:
    """It is asked for no more, so that another amount may be; its hold is let go in its time."""
    held = await hold(shop)
    taking = await asked(shop, held, 500)
    await shop.pool.execute("UPDATE operations SET amount = 2500")
    forged = shop.stripe.capture(held.intent_id or "", "event-1", 1, 2500)
    operation = Operation(held.id, Kind.CAPTURE, 1, 1, forged, 2500)
    payment = await send(shop, Claimed(operation, taking.claim))
    assert (payment.state, payment.amount_to_capture) == (PaymentState.AUTHORIZED, None)
    assert payment.let_go_at == payment.hold_ends_at is not None
    again = await asked(shop, held, 600)
    assert again.operation.request.key == "event-1:capture:2"
    assert (await send(shop, again)).amount_captured == 600
    assert len(await captures(peer)) == 2


async def test_while_the_key_is_refused_no_capture_is_taken(shop: Shop) -> None:
    """A paused credential keeps workers from it; it waits, and so do the questions about it."""
    held = await hold(shop)
    await asked(shop, held)
    shop.clock.advance(CLAIM)
    await shop.pool.execute("INSERT INTO pauses VALUES ('test key', now(), 'refused', now())")
    assert await claimed(shop) == []
    assert await reconcile.claim_due(shop.pool, claimant(), shop.clock.now()) == []


async def test_a_hold_is_let_go_an_hour_before_stripe_does(shop: Shop, peer: Server) -> None:
    """The answer itself says until when it is held, for the request asks for the charge."""
    held = await hold(shop)
    (request,) = await logged(peer)
    assert form_of(request)["expand[0]"] == "latest_charge"
    assert held.hold_ends_at == held.let_go_at == shop.clock.now() + HOLD_LIFE - HOLD_MARGIN


async def test_a_charge_taken_at_once_is_asked_for_as_before(shop: Shop, peer: Server) -> None:
    """Nothing is held, so nothing more is asked for."""
    payment = await shop.charge(order())
    (request,) = await logged(peer)
    assert ("expand[0]" in form_of(request), payment.hold_ends_at) == (False, None)


async def test_a_hold_of_which_only_a_notice_told_ends_after_seven_days_or_as_the_charge_says(
    shop: Shop, sandbox: Sandbox
) -> None:
    """The intent's own event names the charge and not its end; the charge's event does."""
    sending = await shop.sending(order(capture_method=CaptureMethod.MANUAL))
    await shop.stripe.send(sending.request, again=False)
    told = {one["type"]: one for one in events_of(sandbox)}
    await keep(shop, told["payment_intent.amount_capturable_updated"])
    await conclude(shop)
    first = await shop.pool.fetchval("SELECT hold_ends_at FROM payments")
    later = shop.clock.advance(timedelta(minutes=5))
    await keep(shop, told["charge.succeeded"])
    await conclude(shop)
    second = await shop.pool.fetchrow("SELECT hold_ends_at, let_go_at FROM payments")
    assert second is not None
    heard = later - timedelta(minutes=5)
    assert (first, *second.values()) == (heard + HOLD_LIFE, *[heard + HOLD_LIFE - HOLD_MARGIN] * 2)


async def test_a_look_up_tells_until_when_too(shop: Shop) -> None:
    """A hold that was on record before its end was: the next look learns it."""
    held = await hold(shop)
    await shop.pool.execute(
        "UPDATE payments SET hold_ends_at = NULL, let_go_at = NULL, next_check_at = $1", held.created_at
    )
    (trace,) = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    await reconcile.record(shop.pool, shop.ids, [await reconcile.ask(shop.stripe, trace)], shop.clock.now())
    assert (await read(shop, held)).let_go_at == held.let_go_at


async def test_what_is_to_be_taken_is_not_let_go_for_its_age(shop: Shop) -> None:
    """Its capture may be lost on the way for an hour; as long as Stripe holds the money, it may still be taken."""
    held = await hold(shop)
    shop.clock.advance(HOLD_LIFE - HOLD_MARGIN - timedelta(seconds=1))
    await asked(shop, held)
    shop.clock.advance(CLAIM)
    cancel = shop.stripe.cancellation
    assert await void.claim_due(shop.pool, shop.ids, cancel, claimant(), shop.clock.now()) == []
    (taking,) = await claimed(shop)
    assert (await send(shop, taking)).state is PaymentState.SUCCEEDED


async def test_what_is_being_let_go_is_not_taken_any_more(shop: Shop) -> None:
    """Its time is over; whoever asks then is told so."""
    held = await hold(shop)
    shop.clock.advance(HOLD_LIFE)
    with pytest.raises(WrongState, match="let go"):
        await ask(shop, held)
