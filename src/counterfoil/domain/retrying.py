"""A stored method that was declined is tried again by ourselves, without its customer: when, and when not."""

from dataclasses import replace
from datetime import datetime

from counterfoil.domain.facts import FactName
from counterfoil.domain.payment import Advance, Attempt, Fact, Payment
from counterfoil.domain.schedule import TRIES_OF_OURS, TRY_ANEW_AFTER
from counterfoil.domain.standing import derive, settle
from counterfoil.domain.states import FINAL, AttemptHappening, AttemptState
from counterfoil.domain.verdict import Cause, Source, Verdict

_DUE = Cause(Source.TIMER, "retry")


def plan_retry(before: Payment, after: Payment, number: int, verdict: Verdict, now: datetime) -> Payment:
    """Return the payment after a verdict, with a retry planned where there is to be one, and none where its end came.

    Only the verdict that declines the last attempt plans one. What was canceled at the processor cannot be confirmed
    there any more, so a cancellation heard meanwhile ends the plan.
    """
    if verdict.outcome is AttemptHappening.CANCELED:
        return replace(after, retry_at=None)
    if not (_was_just_declined(before, after, number) and verdict.may_pass and _may_be_charged_alone(after)):
        return after
    retry_at = now + TRY_ANEW_AFTER
    return replace(after, retry_at=retry_at, next_check_at=retry_at)


def try_once_more(payment: Payment, now: datetime) -> Advance:
    """Return a payment whose retry is due with a further attempt, queued for whoever sends, and its announcement."""
    assert payment.retry_at is not None, "only what was planned is tried again"
    attempts = (*payment.attempts, Attempt(number=len(payment.attempts) + 1))
    asked = replace(payment, attempts=attempts, retry_at=None, checks=0, next_check_at=now)
    said = replace(asked, state=derive(asked, now), version=payment.version + 1)
    return Advance(said, (Fact(FactName.PAYMENT_REQUESTED, said, now, _DUE),))


def give_up_retrying(payment: Payment, now: datetime) -> Advance:
    """Return the payment after its planned retry turned out to be impossible: the last decline is final."""
    return settle(payment, replace(payment, retry_at=None), _DUE, now)


def _was_just_declined(before: Payment, after: Payment, number: int) -> bool:
    """Return whether this moved the last attempt of an open payment to its decline.

    One that was canceled before is left alone, and so is a payment that has ended: its order may have another by now.
    """
    was, became = before.attempts[number - 1].state, after.attempts[number - 1].state
    moved = became is AttemptState.DECLINED and was not in (AttemptState.DECLINED, AttemptState.CANCELED)
    return moved and number == len(after.attempts) and before.state not in FINAL


def _may_be_charged_alone(payment: Payment) -> bool:
    return payment.off_session and payment.stored_method and len(payment.attempts) < TRIES_OF_OURS
