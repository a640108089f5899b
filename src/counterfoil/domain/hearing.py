"""What the processor says moves a payment: answers, notices and look-ups alike, whichever comes first."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from counterfoil.domain.payment import UNHEARD, Advance, Attempt, CaptureMethod, FraudDecision, Payment
from counterfoil.domain.retrying import plan_retry
from counterfoil.domain.schedule import ABSENCE_PROOF, ACTION_LIFE, LATE_EFFECT, QUIET_LOOKS, hold_ends
from counterfoil.domain.standing import looked_at, settle, with_attempt
from counterfoil.domain.states import FINAL, MOVED_MONEY, AttemptHappening, AttemptState, move
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Settling, Source, Verdict

NEVER_ARRIVED: Final = Decline(
    FailureReason.NETWORK_ERROR,
    code="never_arrived",
    message="The processor has no trace of this payment.",
    can_retry=True,
)
NEVER_SENT: Final = Decline(
    FailureReason.NETWORK_ERROR,
    code="never_sent",
    message="The processor could not be reached for three days.",
    can_retry=True,
)

NOT_PASSED: Final = Decline(
    FailureReason.FRAUD_SUSPECTED,
    code="fraud_screening",
    message="The payment did not pass its fraud screening.",
    can_retry=False,
)

TAKEN_ALL_THE_SAME: Final = "its fraud check declined it, and its money was taken"
"""By hand, or before the check: whether it goes back is for a person to say, whichever of the two was heard first."""


def hear(payment: Payment, number: int, verdict: Verdict, now: datetime) -> Advance:
    """Return the payment after hearing a verdict on one of its attempts.

    A verdict that only repeats what is known changes no state and says nothing; it may still teach us the processor's
    names for the payment and its charge, and a look-up or an unknown answer sets the next time to look. One that
    contradicts what was asked for raises an alarm: money of another amount is recorded as it is, money of another
    currency is nothing that we could record.
    """
    verdict = _let_go_for_fraud(payment, number, verdict)
    alarm = _contradiction(payment, verdict)
    if verdict.currency not in (None, payment.money.currency):
        unmoved = payment if payment.state in FINAL else looked_at(payment, now)
        return replace(settle(payment, unmoved, verdict.cause, now), alarm=alarm)
    attempt = payment.attempts[number - 1]
    state = move(attempt.state, verdict.outcome)
    known = _learned(attempt, verdict, now)
    proven = attempt.absent_since is not None and now - attempt.absent_since >= ABSENCE_PROOF
    if verdict.absent and proven and attempt.settling is not Settling.STOP:
        return give_up(payment, number, NEVER_ARRIVED, verdict.cause, now)
    named = replace(
        payment,
        intent_id=payment.intent_id or verdict.intent_id,
        hold_ends_at=_hold_ends_at(payment, attempt, verdict, now),
    )
    if state is attempt.state:
        after = with_attempt(named, known)
        if known.settling in _ASKING and attempt.settling not in _ASKING:
            after = replace(after, checks=0, next_check_at=now)  # ask at once what sending could not tell
        elif verdict.outcome is AttemptHappening.UNKNOWN or verdict.cause.source is Source.LOOK_UP:
            after = looked_at(after, now)
    else:
        after = _moved(named, known, state, verdict, now)
    after = plan_retry(payment, after, number, verdict, now)
    return replace(settle(payment, after, verdict.cause, now), alarm=alarm)


def answered(payment: Payment, number: int, verdict: Verdict, now: datetime) -> Advance:
    """Return the payment after the processor answered a request of ours about one of its attempts.

    What it answers with may be money that an earlier attempt brought after all: then that one has it, and this one,
    which the processor refused because of it, was never tried.
    """
    owners = (attempt for attempt in payment.attempts if attempt.charge_id is not None)
    owner = next((attempt for attempt in owners if attempt.charge_id == verdict.charge_id), None)
    if owner is None or owner.number == number:
        return hear(payment, number, verdict, now)
    if verdict.outcome not in MOVED_MONEY:
        return hear(payment, number, replace(verdict, charge_id=None), now)
    first = hear(payment, owner.number, verdict, now)
    second = hear(first.payment, number, Verdict(AttemptHappening.CANCELED, verdict.cause), now)
    return Advance(second.payment, first.facts + second.facts, first.alarm)


def give_up(payment: Payment, number: int, decline: Decline, cause: Cause, now: datetime) -> Advance:
    """Return the payment after an attempt ended that, as is proven, the processor never carried out."""
    return hear(payment, number, Verdict(AttemptHappening.DECLINED, cause, decline=decline), now)


def _let_go_for_fraud(payment: Payment, number: int, verdict: Verdict) -> Verdict:
    """Return what a cancellation means: a decline, where the fraud check's decline is why we asked for it."""
    canceled = verdict.outcome is AttemptHappening.CANCELED
    already = payment.attempts[number - 1].state is AttemptState.CANCELED
    if not canceled or already or payment.fraud_decision is not FraudDecision.DECLINED:
        return verdict
    return replace(verdict, outcome=AttemptHappening.DECLINED, decline=NOT_PASSED)


def _contradiction(payment: Payment, verdict: Verdict) -> str | None:
    """Return in what a verdict contradicts what was asked for, if it does."""
    captured, asked = verdict.amount_captured, payment.amount_to_capture or payment.money.amount
    others = [attempt.charge_id for attempt in payment.attempts if attempt.state is AttemptState.CAPTURED]
    if captured is not None and others and verdict.charge_id is not None and verdict.charge_id not in others:
        return "the processor took the money once more, by another charge"
    if captured is not None and not others and payment.fraud_decision is FraudDecision.DECLINED:
        return TAKEN_ALL_THE_SAME
    if verdict.currency not in (None, payment.money.currency):
        return "the processor speaks of another currency than was asked for"
    elsewhere = payment.capture_method is CaptureMethod.MANUAL and payment.amount_to_capture is None
    in_part = elsewhere and captured is not None and captured < asked
    if captured is not None and captured != asked and not in_part:
        return "the processor took another amount than was asked for"
    return verdict.alarm


def _learned(attempt: Attempt, verdict: Verdict, now: datetime) -> Attempt:
    """Return the attempt with everything a verdict teaches of it, but for its state."""
    known = replace(attempt, charge_id=attempt.charge_id or verdict.charge_id)
    if verdict.outcome is AttemptHappening.UNKNOWN and verdict.cause.source is Source.ANSWER:
        known = replace(known, settling=verdict.settling if attempt.state in UNHEARD else known.settling)
    if verdict.lingers:  # from now on, whatever was not to be seen before
        known = replace(known, may_appear_until=now + LATE_EFFECT, absent_since=None)
    if verdict.expired:
        known = replace(known, expired_at=known.expired_at or now)
    if not verdict.executed:
        known = replace(known, exposed=False, unknown_since=None)
    if verdict.absent and (known.may_appear_until is None or now >= known.may_appear_until):
        known = replace(known, absent_since=known.absent_since or now)
    return known


def _hold_ends_at(payment: Payment, attempt: Attempt, verdict: Verdict, now: datetime) -> datetime | None:
    """Return when the hold is let go: seven days from when it was first heard of, or before the processor ends it."""
    if verdict.outcome is not AttemptHappening.AUTHORIZED:
        return payment.hold_ends_at
    ends = hold_ends(now, verdict.hold_ends_at)
    known = payment.hold_ends_at if attempt.state is AttemptState.AUTHORIZED else None
    return ends if known is None else min(known, ends)


def _moved(payment: Payment, known: Attempt, state: AttemptState, verdict: Verdict, now: datetime) -> Payment:
    """Return the payment with an attempt in another state, and its next look set."""
    definite = state is not AttemptState.SENT
    action = verdict.action
    if verdict.outcome is AttemptHappening.ACTION:
        action = action or Action(url="")  # how is not known, until when is
        action = replace(action, expires_at=action.expires_at or now + ACTION_LIFE)
    moved = replace(
        known,
        state=state,
        charge_id=verdict.charge_id or known.charge_id,  # the charge that moved it
        decline=verdict.decline,
        action=action,
        unknown_since=None if definite else known.unknown_since or now,
        absent_since=None,
        settling=Settling.RESEND if definite else known.settling,
        may_appear_until=None,
    )
    after = replace(with_attempt(payment, moved), checks=QUIET_LOOKS if definite else 0)
    if verdict.amount_captured is not None:
        after = replace(after, amount_captured=verdict.amount_captured)
    return looked_at(after, now)


_ASKING: Final = frozenset({Settling.ASK, Settling.STOP})
"""Where an outcome is learned without sending again."""
