"""A hold is taken, whole or in part, or a payment is canceled: what is asked for, and what is heard of it."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from counterfoil.domain.errors import WrongState
from counterfoil.domain.hearing import answered
from counterfoil.domain.money import Money, refuse_if_no_part_of
from counterfoil.domain.payment import Advance, Attempt, CaptureMethod, Payment, ScreeningMode
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.standing import settle, with_attempt
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState, move
from counterfoil.domain.verdict import Cause, Source, Verdict

CANCELED_ON_REQUEST: Final = "CANCELED_ON_REQUEST"
"""Why a payment was canceled that nobody's order was canceled for: its caller asked for it."""


def ask_to_capture(payment: Payment, amount: int | None, now: datetime) -> Advance:
    """Return the payment with so much of its hold (None: all of it) to be captured; the same again changes nothing.

    Raises:
        WrongState: nothing is held, or it is being let go, judged or captured in another amount, or is wanted whole.
        AmountRefused: it is more than is held, or no amount of this currency.
    """
    wanted = Money(payment.money.amount if amount is None else amount, payment.money.currency)
    if payment.state is not PaymentState.AUTHORIZED:
        raise WrongState(payment.state, "captured")
    if payment.let_go_at is not None and payment.let_go_at <= now:
        raise WrongState(payment.state, "captured: it is being let go")
    if payment.screening or payment.reviewing:
        raise WrongState(payment.state, "captured before it is decided whether it is fraud")
    if payment.amount_to_capture is not None:
        if payment.amount_to_capture != wanted.amount:
            raise WrongState(payment.state, "captured in another amount than is being captured")
        return Advance(payment)
    refuse_if_no_part_of(wanted, payment.money)
    if payment.capture_method is CaptureMethod.AUTOMATIC and wanted != payment.money:
        raise WrongState(payment.state, "captured in part: its order wants all of it taken")
    after = replace(payment, amount_to_capture=wanted.amount, checks=0, next_check_at=now)
    return settle(payment, after, _asked(payment), now)


def ask_to_cancel(payment: Payment, reason: str, now: datetime) -> Advance:
    """Return the payment with its cancellation asked for; the same again changes nothing.

    What was never sent is canceled by this. A retry that was to come is dropped. What is held, or waits for its
    customer, is to be let go at the processor; so is what may yet be held, once that is known.

    Raises:
        WrongState: it is paid, failed or being captured, or money may be on its way that nothing holds back.
    """
    state, last = payment.state, payment.last_attempt
    if state in _ENDED_OTHERWISE:
        raise WrongState(state, "canceled")
    if state is PaymentState.CANCELED or payment.cancel_requested_at is not None:
        return Advance(payment)
    if payment.amount_to_capture is not None:
        raise WrongState(state, "canceled: it is being captured")
    after = replace(payment, cancel_requested_at=now, cancel_reason=reason, retry_at=None)
    if last is not None and last.state is AttemptState.QUEUED:
        ended = replace(last, state=move(last.state, AttemptHappening.CANCELED))
        after = replace(with_attempt(after, ended), screening=False, reviewing=False)
    elif state not in _LET_GO_AT_ONCE and payment.retry_at is None and not _is_held_first(payment):
        raise WrongState(state, "canceled before the processor has answered")
    return settle(payment, after, _asked(payment), now)


def begin(payment: Payment, now: datetime) -> Advance:
    """Return the payment about to be captured by whoever now holds it for a claim."""
    return Advance(replace(payment, next_check_at=now + CLAIM))


def heard(payment: Payment, number: int, verdict: Verdict, now: datetime) -> Advance:
    """Return the payment after the processor answered that its hold be captured, which attempt ``number`` has.

    What was refused for good is asked for no more: the hold stands as it stood, and a person must see why.
    """
    return answered(replace(payment, amount_to_capture=None) if verdict.refused else payment, number, verdict, now)


def hold_of(payment: Payment) -> Attempt:
    """Return the attempt that holds the money of an authorized payment."""
    return next(attempt for attempt in payment.attempts if attempt.state is AttemptState.AUTHORIZED)


def _is_held_first(payment: Payment) -> bool:
    manual = payment.capture_method is CaptureMethod.MANUAL
    return manual or payment.screening_mode is ScreeningMode.BEFORE_CAPTURE


def _asked(payment: Payment) -> Cause:
    return Cause(Source.ORDER, payment.event_id)


_ENDED_OTHERWISE: Final = frozenset({PaymentState.SUCCEEDED, PaymentState.FAILED})

_LET_GO_AT_ONCE: Final = frozenset({PaymentState.REQUIRES_ACTION, PaymentState.AUTHORIZED})
