"""What we do of our own accord, or are asked to do, and what becomes of the payment by it."""

from dataclasses import replace
from datetime import datetime

from counterfoil.domain.facts import FactName
from counterfoil.domain.payment import Advance, Attempt, Fact, Payment, ScreeningMode
from counterfoil.domain.schedule import CLAIM, VERDICT_WITHIN
from counterfoil.domain.standing import derive, looked_at, settle, with_attempt
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState, move
from counterfoil.domain.verdict import Cause, Source


def accept(payment: Payment, *, claimed: bool, now: datetime) -> Advance:
    """Return the new payment with its first attempt, and the fact that announces it.

    Args:
        payment: as the order asks for it: no attempts, version 0.
        claimed: whether the accepting process sends the attempt itself, at once.
        now: when it was accepted.
    """
    assert payment.version == 0
    assert not payment.attempts
    state = move(AttemptState.QUEUED, AttemptHappening.CLAIMED) if claimed else AttemptState.QUEUED
    attempt = Attempt(number=1, state=state, exposed=claimed, unknown_since=now if claimed else None)
    asked = replace(payment, attempts=(attempt,))
    cause = Cause(Source.ORDER, payment.event_id)
    said = replace(
        asked,
        state=derive(asked, now),
        version=1,
        next_check_at=now + CLAIM if claimed else now,
    )
    if said.state is PaymentState.SCREENING:
        said = replace(said, next_check_at=said.decide_by)
    return Advance(said, (Fact(FactName.PAYMENT_REQUESTED, said, now, cause),))


def claim(payment: Payment, number: int, now: datetime) -> Advance:
    """Return the payment with that attempt claimed, about to be sent (again)."""
    attempt = payment.attempts[number - 1]
    claimed = replace(
        attempt,
        state=move(attempt.state, AttemptHappening.CLAIMED),
        exposed=True,
        unknown_since=attempt.unknown_since or now,
    )
    after = replace(with_attempt(payment, claimed), next_check_at=now + CLAIM)
    return settle(payment, after, Cause(Source.TIMER, "claim"), now)


def try_again(payment: Payment, now: datetime) -> Advance:
    """Return a failed payment with a further attempt, claimed by whoever is about to send it, and its announcement."""
    assert payment.state is PaymentState.FAILED
    state = move(AttemptState.QUEUED, AttemptHappening.CLAIMED)
    attempt = Attempt(number=len(payment.attempts) + 1, state=state, exposed=True, unknown_since=now)
    # What is paid with now was given in answer to a failure, by somebody who is told how it ends: no retries of ours.
    tried = (*payment.attempts, attempt)
    asked = replace(_screened_anew(payment, now), attempts=tried, retry_at=None, stored_method=False, checks=0)
    said = replace(asked, state=derive(asked, now), version=payment.version + 1, next_check_at=now + CLAIM)
    cause = Cause(Source.ORDER, payment.event_id)
    return Advance(said, (Fact(FactName.PAYMENT_REQUESTED, said, now, cause),))


def _screened_anew(payment: Payment, now: datetime) -> Payment:
    """Return a failed payment waiting for its fraud check again, where it stopped waiting because it had failed."""
    undecided = payment.screening_mode is not ScreeningMode.NONE and payment.fraud_decision is None
    if not undecided or payment.screening:
        return payment
    return replace(payment, screening=True, decide_by=now + VERDICT_WITHIN)


def expire(payment: Payment, number: int, now: datetime) -> Advance:
    """Return the payment about to be let go by whoever now holds it for a claim: its customer's time is over."""
    attempt = payment.attempts[number - 1]
    first = attempt.expired_at is None
    marked = replace(attempt, expired_at=now if first else attempt.expired_at)
    checks = 0 if first else payment.checks
    return Advance(replace(with_attempt(payment, marked), checks=checks, next_check_at=now + CLAIM))


def doubt(payment: Payment, now: datetime) -> Advance:
    """Return the payment as it is shown now, where nobody may look at it: only time has passed."""
    return settle(payment, payment, Cause(Source.TIMER, "doubt"), now)


def look_at(payment: Payment, now: datetime) -> Advance:
    """Return the payment after its time to be looked at came and nothing could be heard."""
    return settle(payment, looked_at(payment, now), Cause(Source.TIMER, "check"), now)


def ask_soon(payment: Payment, intent_id: str | None, now: datetime) -> Advance:
    """Return the payment, due to be asked about now: a hint came that it moved, but not how."""
    return Advance(replace(payment, intent_id=payment.intent_id or intent_id, next_check_at=now))
