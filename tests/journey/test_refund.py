"""Money is given back: reserved under the payment's lock, sent under its own key, and moved by what Stripe says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import asyncpg
import pytest
from tests.journey import peer as hostile
from tests.journey.peer import Answer, Silence
from tests.orders import Shop, claimant, order
from tests.refunds import Till, by_hand

from counterfoil.domain.errors import AmountRefused, IdempotencyKeyReused, NotFound, WrongState
from counterfoil.domain.order import Mandate
from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.refunding import NEVER_MADE, Wish
from counterfoil.domain.schedule import ABSENCE_PROOF, CLAIM, KEY_LIFE, LATE_EFFECT
from counterfoil.journey import refund
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.store import pauses
from stripe_sandbox.sandbox import Sandbox, Server


@pytest.fixture
def till(shop: Shop) -> Till:
    """Gives money back."""
    return Till(shop)


@pytest.fixture
async def mute() -> AsyncIterator[tuple[hostile.Peer, StripeProcessor]]:
    """Somebody in Stripe's place who answers as a test says, and the processor that speaks to them."""
    async with hostile.listening() as listening:
        processor = StripeProcessor("sk_test_journey", livemode=False, api_base=listening.url)
        yield listening, processor
        await processor.close()


async def fault(peer: Server, **script: Any) -> None:
    """Let the sandbox do this to the next refund that is asked for."""
    async with aiohttp.ClientSession() as session:
        url = f"{peer.url}/_sandbox/faults"
        async with session.post(url, json={"method": "POST", "path": "/v1/refunds", **script}) as answer:
            assert answer.status == 200, await answer.text()


async def posted(peer: Server) -> list[tuple[str, str]]:
    """Key and body of every request for a refund that the sandbox saw."""
    async with aiohttp.ClientSession() as session, session.get(f"{peer.url}/_sandbox/requests") as answer:
        log = (await answer.json())["requests"]
    return [(one["idempotency_key"], one["body"]) for one in log if one["path"] == "/v1/refunds" and one["body"]]


async def test_a_whole_refund_is_processed_and_said(shop: Shop, till: Till) -> None:
    """Asked for, announced, given back, told: each once."""
    payment = await shop.charge(order())

    await till.ask(payment)
    assert await till.totals(payment) == (1999, 0, 1999)
    await till.send()

    assert await till.totals(payment) == (1999, 1999, 0)
    assert await till.said(payment) == ["RefundRequested", "RefundProcessed"]
    assert await shop.state(payment) == "succeeded"


async def test_pitfall_23_row_key_and_request_are_on_record_before_the_call(
    shop: Shop, till: Till, peer: Server
) -> None:
    """The key is the event's with the refund's id, the metadata names both, and the stored bytes are what is sent."""
    payment = await shop.charge(order())
    asked = await till.ask(payment, 500)

    (sending,) = await till.claim()
    stored = await shop.pool.fetchrow("SELECT idempotency_key, request, first_sent_at, last_sent_at FROM refunds")
    assert await posted(peer) == []
    await refund.call(shop.stripe, sending, shop.clock)

    assert stored is not None
    assert tuple(stored.values()) == (sending.request.key, sending.request.body, shop.clock.now(), shop.clock.now())
    ((key, body),) = await posted(peer)
    sent = {name: values[0] for name, values in parse_qs(body).items()}
    assert key == sending.request.key == f"event-1:refund:{asked.refund_id}"
    assert sent == {
        "amount": "500",
        "charge": payment.attempts[0].charge_id,
        "metadata[payment_id]": str(payment.id),
        "metadata[order_id]": "order-1",
        "metadata[event_id]": "event-1",
        "metadata[refund_id]": str(asked.refund_id),
        "metadata[request_key]": "key-1",
    }


async def test_the_rest_is_what_is_left_under_the_lock(shop: Shop, till: Till) -> None:
    """R08: without an amount it is what was neither given back nor asked back; then there is nothing more."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    await till.send()
    await till.ask(payment, 300, "key-2")

    await till.ask(payment, None, "key-3")

    assert await till.refunds() == [(300, "requested", None), (500, "processed", None), (1199, "requested", None)]
    with pytest.raises(AmountRefused):
        await till.ask(payment, None, "key-4")


async def test_pitfall_23_fifty_at_once_reserve_no_more_than_there_is(shop: Shop, till: Till) -> None:
    """Of fifty who ask 100 back of 1999 at once nineteen get it, and each of these goes through."""
    payment = await shop.charge(order())

    answers = await asyncio.gather(
        *(till.ask(payment, 100, f"key-{number}") for number in range(50)), return_exceptions=True
    )
    assert Counter(type(answer) for answer in answers) == {refund.Asked: 19, AmountRefused: 31}
    assert await till.totals(payment) == (1999, 0, 1900)
    await till.send()

    assert await till.totals(payment) == (1999, 1900, 0)
    assert Counter(await till.refunds()) == {(100, "processed", None): 19}


async def test_a_key_is_one_refund(shop: Shop, till: Till) -> None:
    """R11: the same again is the same refund, with another amount it is refused; another payment has its own keys."""
    payment, other = await shop.charge(order(1)), await shop.charge(order(2))

    first, again = await till.ask(payment, 500), await till.ask(payment, 500)
    await till.ask(other, 700)

    assert (first.repeated, again.repeated, again.refund_id) == (False, True, first.refund_id)
    with pytest.raises(IdempotencyKeyReused):
        await till.ask(payment, 600)
    assert Counter(amount for amount, _, _ in await till.refunds()) == {500: 1, 700: 1}


async def test_more_than_fifty_parts_are_as_good_as_one(shop: Shop, till: Till) -> None:
    """R15: there is no cap, here or at Stripe; sixty are sent, counted from one look, and counted once."""
    payment = await shop.charge(order())
    for number in range(60):
        await till.ask(payment, 10, f"key-{number}")
    await till.send()
    await till.send()
    assert await till.totals(payment) == (1999, 600, 0)

    await till.hint(payment)
    assert await till.recount() == 1

    assert await till.totals(payment) == (1999, 600, 0)
    assert Counter(await till.said(payment)) == {"RefundRequested": 60, "RefundProcessed": 60}


@pytest.mark.parametrize(
    ("method", "capture", "status"),
    [
        ("pm_sepaDebit_success_de", CaptureMethod.AUTOMATIC, "processing"),  # R04
        ("pm_card_threeDSecure2Required", CaptureMethod.AUTOMATIC, "requires_action"),
        ("pm_card_visa", CaptureMethod.MANUAL, "authorized"),
        ("pm_card_visa_chargeDeclined", CaptureMethod.AUTOMATIC, "failed"),  # R05
    ],
)
async def test_only_what_was_taken_can_be_given_back(
    shop: Shop, till: Till, method: str, capture: CaptureMethod, status: str
) -> None:
    """R04, R05: while the outcome is open, and where nothing was taken, it is the wrong state for it."""
    consent = Mandate(accepted_at=shop.clock.now(), ip_address="192.0.2.1", user_agent="test")
    payment = await shop.charge(
        order(method=method, capture_method=capture, mandate=consent if status == "processing" else None)
    )

    with pytest.raises(WrongState) as caught:
        await till.ask(payment, 1)

    assert (caught.value.status, await till.refunds()) == (status, [])


async def test_another_currency_and_another_payment_are_refused(shop: Shop) -> None:
    """A32: an amount in another currency is no amount of this payment; and a payment that is not there has none."""
    payment = await shop.charge(order())
    for currency, expected in (("USD", AmountRefused), ("EUR", None)):
        wish = Wish(payment.id, currency, 1, currency)
        if expected is None:
            await refund.ask(shop.pool, shop.ids, wish, shop.clock.now())
        else:
            with pytest.raises(expected):
                await refund.ask(shop.pool, shop.ids, wish, shop.clock.now())
    with pytest.raises(NotFound):
        await refund.ask(shop.pool, shop.ids, Wish(shop.ids.new(), "key-1"), shop.clock.now())


@pytest.mark.parametrize("status", ["opened", "lost", "won"])
async def test_what_a_bank_takes_back_is_not_given_back_too(shop: Shop, till: Till, status: str) -> None:
    """R12: while a dispute is open, or was lost, a refund would pay twice; won, the money is ours to give back."""
    payment = await shop.charge(order())
    await shop.pool.execute("UPDATE payments SET disputed = true, dispute_status = $1", status)
    if status == "won":
        await till.ask(payment, 500)
        return
    with pytest.raises(WrongState):
        await till.ask(payment, 500)


async def test_the_database_itself_refuses_more_than_was_taken(shop: Shop) -> None:
    """Promise 5 holds whatever the code above it does."""
    payment = await shop.charge(order())
    with pytest.raises(asyncpg.CheckViolationError):
        await shop.pool.execute(
            "UPDATE payments SET amount_refunded = 1000, amount_refund_reserved = 1000 WHERE id = $1", payment.id
        )


async def test_a_refund_that_pends_is_processed_when_stripe_says_so(shop: Shop, till: Till, sandbox: Sandbox) -> None:
    """Until then its amount stays reserved, and nothing is said of it."""
    payment = await shop.charge(order(method="pm_card_pendingRefund"))
    await till.ask(payment, 500)
    await till.send()
    assert (await till.totals(payment), await till.said(payment)) == ((1999, 0, 500), ["RefundRequested"])

    shop.clock.advance(timedelta(days=1))
    await sandbox.advance(0)
    assert await till.recount() == 1

    assert await till.totals(payment) == (1999, 500, 0)
    assert await till.said(payment) == ["RefundRequested", "RefundProcessed"]


async def test_a_processed_refund_fails_when_stripe_says_so(shop: Shop, till: Till, sandbox: Sandbox) -> None:
    """The bank sent it back: what was given back is lowered, RefundFailed is said, and it can be asked back again."""
    payment = await shop.charge(order(method="pm_card_refundFail"))
    await till.ask(payment, 1999)
    await till.send()
    assert await till.totals(payment) == (1999, 1999, 0)

    shop.clock.advance(timedelta(days=1))
    await sandbox.advance(0)
    await till.deliver(sandbox.account().events)
    assert await till.recount() == 1

    assert await till.totals(payment) == (1999, 0, 0)
    assert await till.said(payment) == ["RefundRequested", "RefundProcessed", "RefundFailed"]
    ((_, state, why),) = await till.refunds()
    assert (state, why) == ("failed", "expired_or_canceled_card")
    await till.ask(payment, 1999, "key-2")


@pytest.mark.parametrize("script", [{"fault": "lose_answer"}, {"fault": "cut_body"}, {"fault": "reset"}])
async def test_a_lost_answer_is_asked_for_again_under_its_key(
    shop: Shop, till: Till, peer: Server, script: dict[str, Any]
) -> None:
    """Whether it was carried out or not: the same key and bytes go again, and Stripe gives back once."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    await fault(peer, **script)
    await till.send()
    assert await till.totals(payment) == (1999, 0, 500)

    shop.clock.advance(timedelta(seconds=5))
    await till.send()

    assert await till.totals(payment) == (1999, 500, 0)
    assert len(set(await posted(peer))) == 1
    assert await till.said(payment) == ["RefundRequested", "RefundProcessed"]


async def test_whoever_takes_over_sends_the_same_and_the_late_one_records_nothing(shop: Shop, till: Till) -> None:
    """A worker froze before recording: its claim ended, another one sent again, and what it heard then is stale."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    (sending,) = await till.claim()
    frozen = await refund.call(shop.stripe, sending, shop.clock)
    assert await till.claim() == [], "it is claimed"

    shop.clock.advance(CLAIM)
    (again,) = await till.claim()
    assert (again.request, again.again) == (sending.request, True)
    await refund.record(shop.pool, shop.ids, [frozen], shop.clock.now())
    assert await till.totals(payment) == (1999, 0, 500)
    heard = await refund.call(shop.stripe, again, shop.clock)
    await refund.record(shop.pool, shop.ids, [heard], shop.clock.now())

    assert await till.totals(payment) == (1999, 500, 0)
    late = await refund.call(shop.stripe, sending, shop.clock)
    assert late.verdict.cause.reference == "not sent", "its claim is over"


async def test_after_its_key_is_too_old_it_is_only_looked_for(shop: Shop, till: Till, peer: Server) -> None:
    """23 hours without an answer: it is found among the charge's refunds by its metadata, and not sent again."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    await fault(peer, fault="lose_answer")
    await till.send()
    sent = await posted(peer)

    shop.clock.advance(KEY_LIFE)
    assert await till.claim() == []
    assert await till.recount() == 1

    assert (await till.totals(payment), await posted(peer)) == ((1999, 500, 0), sent)


async def test_what_is_in_no_listing_for_an_hour_was_never_made(shop: Shop, till: Till, peer: Server) -> None:
    """Two complete listings an hour apart without it: it failed, and its amount may be asked back again."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    await fault(peer, fault="reset")
    await till.send()
    shop.clock.advance(KEY_LIFE)
    await till.recount()
    assert await till.totals(payment) == (1999, 0, 500)

    shop.clock.advance(ABSENCE_PROOF)
    await till.recount()

    assert (await till.totals(payment), await till.refunds()) == ((1999, 0, 0), [(500, "failed", NEVER_MADE)])
    assert await till.said(payment) == ["RefundRequested", "RefundFailed"]


async def test_an_error_of_stripes_own_settles_nothing(shop: Shop, till: Till, peer: Server, sandbox: Sandbox) -> None:
    """A 500 whose work is done ten minutes later: it is not sent again, and a look finds it; absence did not count."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    await fault(peer, fault="error", status=500, effect="later", after_seconds=600)
    await till.send()
    assert await till.recount() == 1
    assert await till.totals(payment) == (1999, 0, 500)
    assert await shop.pool.fetchval("SELECT absent_since FROM refunds") is None
    assert await shop.pool.fetchval("SELECT may_appear_until FROM refunds") == shop.clock.now() + LATE_EFFECT

    shop.clock.advance(timedelta(hours=1))
    await sandbox.advance(0)
    await till.recount()

    assert await till.totals(payment) == (1999, 500, 0)
    assert len(await posted(peer)) == 1


async def test_a_refusal_frees_what_was_reserved(shop: Shop, till: Till, peer: Server) -> None:
    """Somebody gave 1500 back in Stripe's dashboard: ours of 1000 is refused, and theirs is counted."""
    payment = await shop.charge(order())
    await till.ask(payment, 1000)
    await by_hand(peer, payment.attempts[0].charge_id, 1500)
    await till.send()
    assert await till.said(payment) == ["RefundRequested", "RefundFailed"]

    assert await till.recount() == 1, "what was refused may be refused because of what was given back elsewhere"

    assert await till.totals(payment) == (1999, 1500, 0)
    assert sorted(await till.refunds()) == [(1000, "failed", "invalid_request"), (1500, "processed", None)]


async def test_already_refunded_is_ours_only_if_our_metadata_says_so(shop: Shop, till: Till, peer: Server) -> None:
    """R13: where somebody else gave it all back ours has failed; where it was our own lost send it is processed."""
    theirs, lost = await shop.charge(order(1)), await shop.charge(order(2))
    await till.ask(theirs)
    await by_hand(peer, theirs.attempts[0].charge_id, 1999)
    await till.send()
    assert (await till.refunds())[0] == (1999, "failed", "charge_already_refunded")

    await till.ask(lost)
    (sending,) = await till.claim()
    await by_hand(peer, lost.attempts[0].charge_id, 1999, refund_id=str(sending.refund_id))
    heard = await refund.call(shop.stripe, sending, shop.clock)
    await refund.record(shop.pool, shop.ids, [heard], shop.clock.now())

    assert await till.totals(lost) == (1999, 1999, 0)
    assert await till.said(lost) == ["RefundRequested", "RefundProcessed"]


@pytest.mark.parametrize(
    ("answer", "state", "again"),
    [
        (Answer(429, {"error": {"type": "invalid_request_error", "code": "lock_timeout"}}), "requested", "anew"),
        (Answer(401, {"error": {"type": "invalid_request_error"}}), "requested", "anew"),
        (Answer(409, {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}), "requested", "again"),
        (Answer(503, {}), "requested", "again"),
        (Silence.RESET, "requested", "again"),
        (Silence.HALF_A_BODY, "requested", "again"),
        (Answer(404, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}), "failed", ""),
        (Answer(402, {"error": {"type": "card_error", "code": "balance_insufficient"}}), "failed", ""),
        (Answer(400, {"error": {"type": "invalid_request_error", "code": "charge_disputed"}}), "failed", ""),
    ],
    ids=lambda value: str(value.status if isinstance(value, Answer) else value)[:40],
)
async def test_what_each_answer_means_for_a_first_send(  # noqa: PLR0913, PLR0917 - the row of the table, and fixtures
    shop: Shop,
    till: Till,
    mute: tuple[hostile.Peer, StripeProcessor],
    answer: Answer | Silence,
    state: str,
    again: str,
) -> None:
    """Explicit refusals end it; all else leaves it open, and what was turned away before any work was never sent."""
    listening, processor = mute
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    listening.posts.append(answer)

    await till.send(processor)

    assert [one[1] for one in await till.refunds()] == [state]
    shop.clock.advance(timedelta(seconds=10))
    assert {"again" if one.again else "anew" for one in await till.claim()} == ({again} if again else set())


async def test_a_refusal_of_a_repeat_proves_nothing_about_the_first(
    shop: Shop, till: Till, mute: tuple[hostile.Peer, StripeProcessor]
) -> None:
    """The first answer was lost; the second says the request is wrong: only the list of refunds can tell."""
    listening, processor = mute
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    invalid = Answer(400, {"error": {"type": "invalid_request_error", "code": "charge_disputed"}})
    listening.posts.extend([Silence.RESET, invalid])
    await till.send(processor)
    shop.clock.advance(timedelta(seconds=10))

    await till.send(processor)

    assert (await till.totals(payment), await till.refunds()) == ((1999, 0, 500), [(500, "requested", None)])
    assert [one.partition(" ")[0] for one in listening.seen] == ["POST", "POST", "GET"]
    assert await till.recount() == 1, "and it is looked for, in Stripe's own list"


async def test_a_key_used_for_another_request_stops_it(
    shop: Shop, till: Till, mute: tuple[hostile.Peer, StripeProcessor]
) -> None:
    """It is neither sent again nor given up: a person must look."""
    listening, processor = mute
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    listening.posts.append(Answer(400, {"error": {"type": "idempotency_error"}}))
    (heard,) = await till.send(processor)
    assert heard.verdict.alarm is not None
    for _ in range(3):
        shop.clock.advance(ABSENCE_PROOF)
        assert await till.recount() == 1
    assert await till.refunds() == [(500, "requested", None)]


async def test_nothing_is_sent_while_the_key_is_paused(shop: Shop, till: Till) -> None:
    """Neither refunds nor questions about them."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    now = shop.clock.now()
    await till.hint(payment)
    async with shop.pool.acquire() as connection:
        await pauses.begin(connection, claimant().credential, "refused", now, now)
        assert (await till.claim(), await till.recount()) == ([], 0)
        await pauses.finish(connection, claimant().credential)
    assert len(await till.claim()) == 1
