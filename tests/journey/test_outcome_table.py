"""The outcome table: what each answer to a POST means for the payment, first sent and sent again, by bytes on a socket.

A row is an answer; beside it stands how the payment stands after it, and how what is still open is settled. Everything
else follows from these two and is asserted for every row: when the next look is due, and what the peer is asked then.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
import pytest_asyncio
from tests.journey.peer import Answer, Peer, Silence, listening, no_tls
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import Payment
from counterfoil.domain.schedule import ABSENCE_PROOF, DOUBT_AFTER, KEY_LIFE, LATE_EFFECT, wait_before
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Settling
from counterfoil.journey import authorize, reconcile
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.ids import Ids
from counterfoil.store import pauses
from counterfoil.store.pool import Pool

CREATE, LIST, RETRIEVE = "POST /v1/payment_intents", "GET /v1/payment_intents", "GET /v1/payment_intents/pi_1"
NOBODY_LISTENS, NO_SUCH_HOST, NO_TLS = "http://127.0.0.1:9", "http://nowhere.invalid", "https"
PATIENCE_SECONDS = 1.0
"""Of the processor in these tests: long for a loopback, and short enough to wait for an answer that never comes."""

PAID = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "currency": "eur",
    "amount_received": 1999,
    "latest_charge": "ch_1",
}


def refusal(
    status: int, type_: str = "invalid_request_error", headers: dict[str, str] | None = None, **said: Any
) -> Answer:
    return Answer(status, {"error": {"type": type_, "message": "No.", **said}}, headers or {})


@dataclass(frozen=True, slots=True)
class Stands:
    """How a payment stands after an answer; ``settling`` is None where nothing is open any more."""

    state: PaymentState
    settling: Settling | None = None
    alarm: bool = False


SUCCEEDED, FAILED = Stands(PaymentState.SUCCEEDED), Stands(PaymentState.FAILED)
FAILED_BY_US = Stands(PaymentState.FAILED, alarm=True)
ASKED_ABOUT = Stands(PaymentState.PROCESSING, Settling.ASK)
ASKED_WITH_ALARM = Stands(PaymentState.PROCESSING, Settling.ASK, alarm=True)
STOPPED = Stands(PaymentState.IN_DOUBT, Settling.STOP, alarm=True)
RETRIED = Stands(PaymentState.PROCESSING, Settling.RETRY)
RETRIED_WITH_ALARM = Stands(PaymentState.PROCESSING, Settling.RETRY, alarm=True)
RESENT = Stands(PaymentState.PROCESSING, Settling.RESEND)

NOT_BLINDLY = {"Stripe-Should-Retry": "false"}

ROWS: dict[str, tuple[Answer | Silence | str, Stands, Stands]] = {
    # the answer, or where nothing could answer: first send, replay
    "200": (Answer(200, PAID), SUCCEEDED, SUCCEEDED),
    "200 replayed": (Answer(200, PAID, {"Idempotent-Replayed": "true"}), SUCCEEDED, SUCCEEDED),
    "200 that is no payment": (Answer(200, {"surprise": 1}), ASKED_WITH_ALARM, ASKED_WITH_ALARM),
    "402 card_error": (refusal(402, "card_error", code="card_declined", charge="ch_1"), FAILED, FAILED),
    "400 validation": (refusal(400, code="parameter_unknown", param="x"), FAILED_BY_US, ASKED_WITH_ALARM),
    "400 the object moved on": (
        refusal(400, code="payment_intent_unexpected_state", payment_intent=PAID),
        SUCCEEDED,
        SUCCEEDED,
    ),
    "400 the object moved on, unseen": (
        refusal(400, code="charge_already_captured"),
        ASKED_ABOUT,
        ASKED_ABOUT,
    ),
    "400 the method is gone": (refusal(400, code="resource_missing", param="payment_method"), FAILED, ASKED_ABOUT),
    "400 idempotency_error": (refusal(400, "idempotency_error"), STOPPED, STOPPED),
    "401": (refusal(401), RETRIED_WITH_ALARM, RETRIED_WITH_ALARM),
    "403": (refusal(403), RETRIED_WITH_ALARM, RETRIED_WITH_ALARM),
    "404 a referenced object": (refusal(404, code="resource_missing", param="customer"), FAILED, ASKED_ABOUT),
    "409 the key is in use": (refusal(409, "idempotency_error", code="idempotency_key_in_use"), RETRIED, RETRIED),
    "424": (refusal(424, "api_error"), ASKED_ABOUT, ASKED_ABOUT),
    "429 rate limit": (
        refusal(429, code="rate_limit", headers={"Stripe-Rate-Limited-Reason": "endpoint-rate"}),
        RETRIED,
        RETRIED,
    ),
    "429 lock_timeout": (refusal(429, code="lock_timeout"), RETRIED, RETRIED),
    "500": (refusal(500, "api_error"), ASKED_ABOUT, ASKED_ABOUT),
    "502": (refusal(502, "api_error"), RESENT, RESENT),
    "503": (refusal(503, "api_error"), RESENT, RESENT),
    "504": (refusal(504, "api_error"), RESENT, RESENT),
    "418, which nobody documents": (refusal(418), ASKED_ABOUT, ASKED_ABOUT),
    "connection refused": (NOBODY_LISTENS, RETRIED, RETRIED),
    "no such host": (NO_SUCH_HOST, RETRIED, RETRIED),
    "no TLS": (NO_TLS, RETRIED, RETRIED),
    "reset after the request": (Silence.RESET, RESENT, RESENT),
    "end of file": (Silence.END, RESENT, RESENT),
    "no answer in time": (Silence.NOTHING, RESENT, RESENT),
    "half an answer": (Silence.HALF_A_BODY, RESENT, RESENT),
    "503, not to be sent blindly": (refusal(503, "api_error", NOT_BLINDLY), ASKED_ABOUT, ASKED_ABOUT),
    "409, not to be sent blindly": (
        refusal(409, "idempotency_error", NOT_BLINDLY, code="idempotency_key_in_use"),
        ASKED_ABOUT,
        ASKED_ABOUT,
    ),
    "429, not to be sent blindly": (refusal(429, headers=NOT_BLINDLY, code="rate_limit"), ASKED_ABOUT, ASKED_ABOUT),
}
each_row = pytest.mark.parametrize("row", ROWS)


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    async with listening() as listens:
        yield listens


def processor_at(url: str) -> StripeProcessor:
    back = "https://shop.example/back"
    return StripeProcessor("sk_test", livemode=False, api_base=url, return_url=back, timeout_seconds=PATIENCE_SECONDS)


@pytest_asyncio.fixture
async def shop(pool: Pool, clock: Any, ids: Ids, peer: Peer) -> AsyncIterator[Shop]:
    stripe = processor_at(peer.url)
    yield Shop(pool, clock, ids, stripe)
    await stripe.close()


async def send(
    shop: Shop, peer: Peer, sending: authorize.Sending, answer: Answer | Silence | str
) -> tuple[Payment, bool]:
    """Send, be answered so, and record; return the payment, and whether a person was called."""
    if isinstance(answer, str):
        async with no_tls() as plain:
            away = processor_at(plain if answer == NO_TLS else answer)
            heard = await authorize.call(away, sending, shop.clock)
            await away.close()
    else:
        peer.posts.append(answer)
        heard = await authorize.call(shop.stripe, sending, shop.clock)
    (payment,) = await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    return payment, heard.verdict.alarm is not None


async def resent(shop: Shop) -> authorize.Sending:
    """Take over what was sent without a definite answer, once it is due."""
    shop.clock.advance(await wait(shop))
    (sending,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    return sending


async def wait(shop: Shop) -> timedelta:
    due = await shop.pool.fetchval("SELECT next_check_at FROM payments")
    assert due is not None, "nothing is due any more"
    left: timedelta = due - shop.clock.now()
    return left


async def one_round(shop: Shop, peer: Peer) -> list[str]:
    """Do what is due now, as the worker does; return what the peer was asked by it. Whatever is sent again succeeds."""
    before = len(peer.seen)
    peer.posts.append(Answer(200, PAID))
    now = shop.clock.now()
    for sending in await authorize.claim_due(shop.pool, shop.ids, claimant(), now):
        await shop.send(sending)
    traces = await reconcile.claim_due(shop.pool, claimant(), now)
    heard = [await reconcile.ask(shop.stripe, trace) for trace in traces]
    await reconcile.record(shop.pool, shop.ids, heard, now)
    return peer.seen[before:]


async def demand(shop: Shop, peer: Peer, payment: Payment, stands: Stands, looks: int) -> None:
    """Assert how it stands, when it is looked at next, and what the peer is asked then."""
    assert stands.state is payment.state
    if stands.settling is None:
        assert payment.next_check_at is None
        assert await one_round(shop, peer) == []
        return
    asking = stands.settling in (Settling.ASK, Settling.STOP)
    expected = timedelta(0) if asking else wait_before(stands.settling, looks, payment.id)
    assert (AttemptState.SENT, stands.settling, expected) == (
        payment.attempts[-1].state,
        payment.attempts[-1].settling,
        await wait(shop),
    )
    if not asking:
        shop.clock.advance(expected - timedelta(microseconds=1))
        assert await one_round(shop, peer) == []
        shop.clock.advance(timedelta(microseconds=1))
        peer.posts.clear()
    assert await one_round(shop, peer) == [LIST if asking else CREATE]


def same_bytes(peer: Peer) -> bool:
    """Whether everything that was sent was one request under one key."""
    return len({(one.key, one.body) for one in peer.asked if one.method == "POST"}) <= 1


@each_row
async def test_what_a_first_answer_means(shop: Shop, peer: Peer, row: str) -> None:
    """Before anything else was sent a refusal is proof; whatever is not explicit leaves the outcome open."""
    answer, expected, _ = ROWS[row]
    payment, alarm = await send(shop, peer, await shop.sending(order()), answer)
    assert peer.seen == [] if isinstance(answer, str) else [CREATE]
    assert expected.alarm == alarm
    await demand(shop, peer, payment, expected, looks=0)
    assert same_bytes(peer)


@each_row
async def test_what_an_answer_to_a_replay_means(shop: Shop, peer: Peer, row: str) -> None:
    """The first send got no answer, so it may have been executed: a refusal of the second proves nothing about it."""
    answer, _, expected = ROWS[row]
    await send(shop, peer, await shop.sending(order()), Silence.RESET)
    payment, alarm = await send(shop, peer, await resent(shop), answer)
    assert peer.seen == [CREATE] if isinstance(answer, str) else [CREATE, CREATE]
    assert expected.alarm == alarm
    await demand(shop, peer, payment, expected, looks=1)
    assert same_bytes(peer)


async def test_pitfall_09_a_key_older_than_23_hours_is_never_sent(shop: Shop, peer: Peer) -> None:
    """No POST at all: the list is read, and the payment is in doubt."""
    payment, _ = await send(shop, peer, await shop.sending(order()), Silence.RESET)
    shop.clock.advance(KEY_LIFE)
    assert await one_round(shop, peer) == [LIST]
    assert peer.seen == [CREATE, LIST]
    assert await shop.state(payment) == "in_doubt"


async def test_pitfall_09_what_a_500_left_is_asked_about_for_two_days_before_absence_counts(
    shop: Shop, peer: Peer
) -> None:
    """Nothing is sent again; nothing is in Stripe's list; only after 48 hours two listings an hour apart are proof."""
    payment, _ = await send(shop, peer, await shop.sending(order()), refusal(500, "api_error"))
    began = shop.clock.now()
    while shop.clock.now() < began + LATE_EFFECT:
        assert await one_round(shop, peer) == [LIST]
        assert await shop.state(payment) == ("in_doubt" if shop.clock.now() - began >= DOUBT_AFTER else "processing")
        shop.clock.advance(await wait(shop))
    assert (await one_round(shop, peer), await wait(shop)) == ([LIST], ABSENCE_PROOF)
    shop.clock.advance(ABSENCE_PROOF)
    await one_round(shop, peer)
    assert await shop.state(payment) == "failed"
    assert peer.seen.count(CREATE) == 1


async def test_what_a_500_did_after_all_is_found(shop: Shop, peer: Peer) -> None:
    """Stripe carried it out behind its own error: the list shows it, and the payment succeeds."""
    payment, _ = await send(shop, peer, await shop.sending(order()), refusal(500, "api_error"))
    made = PAID | {"metadata": {"payment_id": str(payment.id)}}
    peer.gets = Answer(200, {"object": "list", "data": [made], "has_more": False, "url": "/v1/payment_intents"})
    await one_round(shop, peer)
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "look-up")]


@pytest.mark.parametrize("status", [400, 500])
async def test_a_further_attempt_asks_the_intent_at_once(shop: Shop, peer: Peer, status: int) -> None:
    """Where the intent is known and sending again would tell nothing, it is fetched with the same breath."""
    request = await shop.stripe.request_again(shop.ids.new(), "pi_1", 2, order())
    peer.posts.append(refusal(status, code="payment_intent_unexpected_state" if status == 400 else "oops"))
    peer.gets = Answer(200, PAID)
    verdict = await shop.stripe.send(request, again=False)
    assert peer.seen == ["POST /v1/payment_intents/pi_1/confirm", RETRIEVE]
    assert verdict.amount_captured == 1999


async def test_what_a_500_did_hours_later_is_found_by_when_it_may_have_been_made(shop: Shop, peer: Peer) -> None:
    """The list is read up to the end of the time in which Stripe may still carry it out, and not of the send."""
    payment, _ = await send(shop, peer, await shop.sending(order()), refusal(500, "api_error"))
    await one_round(shop, peer)
    (asked,) = [one for one in peer.asked if one.method == "GET"]
    window = dict(parse_qsl(asked.path.partition("?")[2]))
    assert int(window["created[lte]"]) >= (payment.created_at + LATE_EFFECT).timestamp()


async def test_a_key_known_for_another_request_is_never_taken_for_unused(shop: Shop, peer: Peer) -> None:
    """However often nothing of ours is listed: what the key did is not known, so it stays in doubt."""
    payment, _ = await send(shop, peer, await shop.sending(order()), refusal(400, "idempotency_error"))
    for _ in range(20):
        assert await one_round(shop, peer) == [LIST]
        shop.clock.advance(await wait(shop))
    assert await shop.state(payment) == "in_doubt"


async def test_who_thaws_after_the_claim_sends_nothing(shop: Shop, peer: Peer) -> None:
    """The key may be forgotten by then, and the POST would be a new charge."""
    sending = await shop.sending(order())
    shop.clock.advance(sending.claim.expires_at - shop.clock.now())
    heard = await authorize.call(shop.stripe, sending, shop.clock)
    assert (peer.seen, heard.verdict.outcome) == ([], AttemptHappening.UNKNOWN)


async def test_doubt_is_shown_although_a_pause_lasts(shop: Shop, peer: Peer) -> None:
    """While our key is refused nobody is asked, and yet an unknown outcome is in doubt after a quarter of an hour."""
    payment, _ = await send(shop, peer, await shop.sending(order()), Silence.RESET)
    now = shop.clock.advance(DOUBT_AFTER)
    async with shop.pool.acquire() as connection:
        await pauses.begin(connection, claimant().credential, "refused", now, now)
    assert await one_round(shop, peer) == []
    await reconcile.show_doubt(shop.pool, shop.ids, claimant().credential, now)
    assert await shop.state(payment) == "in_doubt"
