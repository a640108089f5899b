"""Where a payment stands after something befell it: its state, its facts, and when it is looked at next."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from counterfoil.domain.facts import ON_ENTERING, FactName
from counterfoil.domain.payment import (
    UNHEARD,
    Advance,
    Attempt,
    CaptureMethod,
    Fact,
    FraudDecision,
    Payment,
    ScreeningMode,
)
from counterfoil.domain.refunding import give_back
from counterfoil.domain.schedule import ABSENCE_PROOF, DOUBT_AFTER, REVIEW_MARGIN, wait_before
from counterfoil.domain.states import (
    FINAL,
    PAYMENT_RULES,
    AttemptHappening,
    AttemptState,
    PaymentState,
    Standing,
    move,
)
from counterfoil.domain.verdict import Cause, Settling


def settle(before: Payment, after: Payment, cause: Cause, now: datetime) -> Advance:
    """Derive the state, when what is held is let go, and say what changed.

    Where the order was cancelled, what was certainly not carried out is not tried any more, and what is paid all the
    same is given back.
    """
    after = _without_what_is_not_wanted(after)
    after = replace(after, retry_at=_retry_at(after))
    state = derive(after, now)
    after = replace(after, state=state)
    if state in FINAL:
        after = replace(after, next_check_at=None, hold_ends_at=None, amount_to_capture=None)
    after = _screened(before, after, now)
    after = replace(after, let_go_at=_let_go_at(after, now))
    if after.let_go_at is not None and after.let_go_at != before.let_go_at:
        after = replace(after, next_check_at=min(after.next_check_at or now, max(after.let_go_at, now)))
    names: list[FactName] = []
    if _began_processing(before, after):
        names.append(FactName.PAYMENT_PROCESSING)
    if after.retry_at is not None and before.retry_at is None:
        names.append(FactName.PAYMENT_ATTEMPT_FAILED)
    if state is not before.state and state in ON_ENTERING:
        names.append(ON_ENTERING[state])
    after = replace(after, version=before.version + len(names))
    facts = tuple(
        Fact(name, replace(after, version=version), now, cause)
        for version, name in enumerate(names, before.version + 1)
    )
    return give_back(Advance(after, facts), cause, now)


def _without_what_is_not_wanted(payment: Payment) -> Payment:
    """Return a payment whose order was cancelled without the attempts that nobody has carried out, nor will."""
    if payment.cancel_requested_at is None:
        return payment
    attempts = tuple(
        replace(attempt, state=move(attempt.state, AttemptHappening.CANCELED))
        if attempt.state in UNHEARD and not attempt.exposed
        else attempt
        for attempt in payment.attempts
    )
    return replace(payment, attempts=attempts, retry_at=None)


def _retry_at(payment: Payment) -> datetime | None:
    """Return when the payment is tried again by ourselves, unless it has its money or nobody wants it any more."""
    unwanted = payment.cancel_requested_at is not None or payment.fraud_decision is FraudDecision.DECLINED
    paid = any(attempt.state is AttemptState.CAPTURED for attempt in payment.attempts)
    return None if unwanted or paid else payment.retry_at


def _let_go_at(payment: Payment, now: datetime) -> datetime | None:
    """Return when the payment is let go at the processor, unless something else befalls it before.

    A hold whose capture is asked for is not let go for its age: until the processor ends it, it may still be taken.
    """
    if payment.state not in _MAY_BE_LET_GO:
        return None
    awaited = (attempt.action for attempt in payment.attempts if attempt.state is AttemptState.REQUIRES_ACTION)
    moments = [action.expires_at for action in awaited if action is not None]
    if payment.state is PaymentState.AUTHORIZED and payment.amount_to_capture is None:
        moments.append(payment.hold_ends_at)
    if payment.cancel_requested_at is not None or payment.fraud_decision is FraudDecision.DECLINED:
        moments.append(payment.let_go_at if payment.let_go_at is not None and payment.let_go_at <= now else now)
    return min((moment for moment in moments if moment is not None), default=None)


def _screened(before: Payment, payment: Payment, now: datetime) -> Payment:
    """Return the payment with what its screening comes to where it stands now.

    What is held is captured once it is approved, whichever comes first, and decided on before the hold would end. It is
    asked for by the second of the two alone: a capture that was refused for good is not asked for again by itself.
    """
    if payment.state is PaymentState.SCREENING:
        return replace(payment, next_check_at=payment.decide_by)
    if payment.state is not PaymentState.AUTHORIZED or payment.screening_mode is not ScreeningMode.BEFORE_CAPTURE:
        return payment
    if payment.screening and payment.decide_by is not None and payment.hold_ends_at is not None:
        last = payment.hold_ends_at - REVIEW_MARGIN
        return replace(payment, decide_by=last if payment.reviewing else min(payment.decide_by, last))
    second = before.state is not PaymentState.AUTHORIZED or before.fraud_decision is None
    wanted = payment.fraud_decision is FraudDecision.APPROVED and payment.cancel_requested_at is None
    if second and wanted and payment.capture_method is CaptureMethod.AUTOMATIC and payment.amount_to_capture is None:
        return replace(payment, amount_to_capture=payment.money.amount, next_check_at=now)
    return payment


def _began_processing(before: Payment, after: Payment) -> bool:
    was = {attempt.number for attempt in before.attempts if attempt.state is AttemptState.PROCESSING}
    return after.state is PaymentState.PROCESSING and any(
        attempt.state is AttemptState.PROCESSING and attempt.number not in was for attempt in after.attempts
    )


def looked_at(payment: Payment, now: datetime) -> Payment:
    """Return the payment with one more look counted and the next one set."""
    last = payment.last_attempt
    wait = wait_before(Settling.RESEND if last is None else last.settling, payment.checks, payment.id)
    moments = [moment for attempt in payment.attempts for moment in _marks(attempt)]
    moments += [moment for moment in (payment.let_go_at, payment.retry_at) if moment is not None]
    marks = [moment for moment in moments if moment > now]
    return replace(payment, checks=payment.checks + 1, next_check_at=min([now + wait, *marks]))


def _marks(attempt: Attempt) -> list[datetime]:
    """Return when an attempt is to be looked at whatever the schedule says.

    Doubt is to be seen when it begins, and absence to be proven as soon as it can be.
    """
    moments = (
        attempt.unknown_since + DOUBT_AFTER if attempt.unknown_since is not None else None,
        attempt.absent_since + ABSENCE_PROOF if attempt.absent_since is not None else None,
        attempt.may_appear_until,
    )
    return [moment for moment in moments if moment is not None]


def with_attempt(payment: Payment, attempt: Attempt) -> Payment:
    """Return the payment with that attempt in the place of the one with its number."""
    before, behind = payment.attempts[: attempt.number - 1], payment.attempts[attempt.number :]
    return replace(payment, attempts=(*before, attempt, *behind))


def derive(payment: Payment, now: datetime) -> PaymentState:
    """Return the state of the first rule whose standing holds."""
    standings = _standings(payment, now)
    return next(state for standing, state in PAYMENT_RULES if standing in standings)


def _standings(payment: Payment, now: datetime) -> set[Standing]:
    """Return everything that holds of the payment, in the words of the rules."""
    attempts, last = payment.attempts, payment.last_attempt
    standings = {_ANY[attempt.state] for attempt in attempts if attempt.state in _ANY}
    holds = {
        Standing.STOPPED: any(
            attempt.state is AttemptState.SENT and attempt.settling is Settling.STOP for attempt in attempts
        ),
        Standing.UNKNOWN_TOO_LONG: any(
            attempt.unknown_since is not None and now - attempt.unknown_since >= DOUBT_AFTER for attempt in attempts
        ),
        Standing.RETRY_AHEAD: payment.retry_at is not None
        or (last is not None and last.number > 1 and last.state is AttemptState.QUEUED),
        Standing.LAST_DECLINED: last is not None and last.state is AttemptState.DECLINED,
        Standing.LAST_CANCELED: payment.cancel_requested_at is not None
        if last is None
        else last.state is AttemptState.CANCELED,
        Standing.VERDICT_AWAITED: payment.screening and payment.screening_mode is not ScreeningMode.BEFORE_CAPTURE,
        Standing.NOTHING_YET: True,
    }
    return standings | {standing for standing, true in holds.items() if true}


_MAY_BE_LET_GO: Final = frozenset({PaymentState.REQUIRES_ACTION, PaymentState.AUTHORIZED})

_ANY: Final = {
    AttemptState.CAPTURED: Standing.ANY_CAPTURED,
    AttemptState.AUTHORIZED: Standing.ANY_AUTHORIZED,
    AttemptState.REQUIRES_ACTION: Standing.ANY_REQUIRES_ACTION,
    AttemptState.PROCESSING: Standing.ANY_OPEN,
    AttemptState.SENT: Standing.ANY_OPEN,
}
