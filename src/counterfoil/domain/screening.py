"""Whether a payment may have its money: what a fraud check found, what a person decides, and what comes of it.

The first word that decides is final, whoever says it; a person is asked where a check could not tell, or none came.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique
from math import ceil
from typing import Final
from uuid import UUID

from counterfoil.domain.hearing import NOT_PASSED, TAKEN_ALL_THE_SAME, give_up
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Advance, CaptureMethod, FraudDecision, Payment, ScreeningMode
from counterfoil.domain.schedule import ATTEMPTS_WITHIN, MOST_ATTEMPTS_WITHIN, REVIEW_LIFE, VERDICT_WITHIN
from counterfoil.domain.standing import settle
from counterfoil.domain.states import FINAL, AttemptState, PaymentState
from counterfoil.domain.verdict import Cause, Decline, FailureReason, Source

AUTO_BLOCK: Final = 90
"""From this risk score on a check declines, whatever else it says, unless the settings say another."""

TOO_MANY_ATTEMPTS: Final = Decline(
    FailureReason.FRAUD_SUSPECTED,
    code="attempt_limit",
    message="This customer has tried too often within the hour.",
    can_retry=False,
)


@unique
class Finding(StrEnum):
    """What a fraud check says of a payment."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    MANUAL_REVIEW = "MANUAL_REVIEW"


@dataclass(frozen=True, slots=True)
class Screening:
    """How payments are screened: when their verdict is waited for and how long, and which risk is never taken."""

    mode: ScreeningMode = ScreeningMode.NONE
    timeout: timedelta = VERDICT_WITHIN
    auto_block: int = AUTO_BLOCK

    def of(self, payment_id: UUID, order: Order, now: datetime) -> Payment:
        """Return the payment that an order asks for, not accepted yet: no attempts, and its check awaited if any."""
        awaited = self.mode is not ScreeningMode.NONE
        return Payment(
            id=payment_id,
            order_id=order.order_id,
            event_id=order.event_id,
            money=order.money,
            created_at=now,
            customer_id=order.customer_id,
            capture_method=order.capture_method,
            off_session=order.off_session,
            screening=awaited,
            screening_mode=self.mode,
            decide_by=now + self.timeout if awaited else None,
        )

    def finding(self, finding: Finding, risk_score: float | None) -> Finding:
        """Return what a check comes to, whatever it finds, at that risk (0 to 100; None where it names none)."""
        blocked = risk_score is not None and risk_score >= self.auto_block
        return Finding.DECLINED if blocked else finding


NO_SCREENING: Final = Screening()


def as_asked(order: Order, mode: ScreeningMode) -> Order:
    """Return the order as the processor is asked for it: to hold, where the capture waits for a fraud check."""
    return replace(order, capture_method=CaptureMethod.MANUAL) if mode is ScreeningMode.BEFORE_CAPTURE else order


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that a check looked at, and how much it counted."""

    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why a check found what it found, in its own words, for the person who may have to decide."""

    reasons: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of a payment, which need not be here yet. ``note`` is a person's, where it was one."""

    payment_id: UUID
    finding: Finding
    cause: Cause
    risk_score: float | None = None
    note: str | None = None
    grounds: Grounds | None = None


def hear_check(payment: Payment, check: Check, now: datetime) -> Advance:
    """Return the payment after a check. The first that decides is final; where none is asked for, nothing changes.

    Money may be held already: it is then captured, or let go.
    """
    if payment.screening_mode is ScreeningMode.NONE or payment.fraud_decision is not None:
        return Advance(payment)
    if check.finding is Finding.MANUAL_REVIEW:
        return _begin_review(payment, check.cause, now)
    return decide(payment, FraudDecision(check.finding), check.cause, now)


def is_under_review(payment: Payment) -> bool:
    """Return whether a person is to decide on the payment."""
    return payment.reviewing and payment.state not in FINAL


def decide(
    payment: Payment,
    decision: FraudDecision,
    cause: Cause,
    now: datetime,
    *,
    decline: Decline = NOT_PASSED,
) -> Advance:
    """Return the payment after it was decided on, for good.

    One that is declined and of which certainly nothing reached the processor fails at once, with ``decline``; what is
    held, or may be, is let go first.
    """
    decided = replace(payment, fraud_decision=decision, screening=False, reviewing=False, decide_by=now)
    if decision is FraudDecision.APPROVED:
        due = payment.state is PaymentState.SCREENING
        return settle(payment, replace(decided, next_check_at=now, checks=0) if due else decided, cause, now)
    last = decided.last_attempt
    if last is not None and last.state in _UNSENT and not last.exposed:
        return give_up(decided, last.number, decline, cause, now)
    took = payment.state is PaymentState.SUCCEEDED
    return replace(settle(payment, decided, cause, now), alarm=TAKEN_ALL_THE_SAME if took else None)


def time_out(payment: Payment, now: datetime) -> Advance:
    """Return the payment after nobody decided in time: a person is asked, and what no person approved is declined."""
    if not payment.screening or payment.decide_by is None or payment.decide_by > now:
        return Advance(payment)
    if payment.state in FINAL:  # it ended by something else, so there is nothing to decide
        return Advance(replace(payment, screening=False, reviewing=False))
    if payment.reviewing:
        return decide(payment, FraudDecision.DECLINED, Cause(Source.TIMER, "review"), now)
    return _begin_review(payment, Cause(Source.TIMER, "fraud check"), now)


def _begin_review(payment: Payment, cause: Cause, now: datetime) -> Advance:
    """Return the payment waiting for a person; until an hour before its hold would end, where it has one."""
    if payment.reviewing or payment.state in FINAL:
        return Advance(payment)
    asked = replace(payment, screening=True, reviewing=True, decide_by=now + REVIEW_LIFE)
    return settle(payment, asked, cause, now)


@dataclass(frozen=True, slots=True)
class Foreknown:
    """What is known of payments before they are here.

    ``late`` are attempts too many of their customers, with the seconds until one is not; ``checks`` came early.
    """

    late: Mapping[UUID, int]
    checks: Mapping[UUID, Check]

    def bars(self, payment_id: UUID) -> bool:
        """Return whether the payment is refused, so that nobody may send it."""
        check = self.checks.get(payment_id)
        return payment_id in self.late or (check is not None and check.finding is Finding.DECLINED)

    def judge(self, payment: Payment, now: datetime) -> Advance | None:
        """Return what becomes of the payment at once; None where nothing is known of it."""
        if payment.id in self.late:
            cause = Cause(Source.FRAUD_CHECK, TOO_MANY_ATTEMPTS.code)
            return decide(payment, FraudDecision.DECLINED, cause, now, decline=TOO_MANY_ATTEMPTS)
        check = self.checks.get(payment.id)
        return None if check is None else hear_check(payment, check, now)


@dataclass(frozen=True, slots=True)
class Tried:
    """How often a customer tried within the hour, and when first."""

    attempts: int
    first_at: datetime


def over_the_limit(
    wishes: Iterable[tuple[UUID, Order]],
    tried: Mapping[str, Tried],
    known: Collection[str],
    now: datetime,
) -> dict[UUID, int]:
    """Return which of these payments are one attempt too many of their customer, and in how many seconds one is not.

    Args:
        wishes: the payments about to be, in order.
        tried: by customer, what was tried before.
        known: events that have their payment already; they count no second time.
        now: the time.
    """
    counts = {customer: one.attempts for customer, one in tried.items()}
    seen = set(known)
    late: dict[UUID, int] = {}
    for payment_id, order in wishes:
        customer = order.customer_id
        if customer is None or order.event_id in seen:
            continue
        seen.add(order.event_id)
        if counts.get(customer, 0) >= MOST_ATTEMPTS_WITHIN:
            first_at = tried[customer].first_at if customer in tried else now
            late[payment_id] = seconds_until_free(first_at, now)
        else:
            counts[customer] = counts.get(customer, 0) + 1
    return late


def seconds_until_free(first_at: datetime, now: datetime) -> int:
    """Return in how many seconds, rounded up, a customer may try again who tried first at that time."""
    return max(1, ceil((first_at + ATTEMPTS_WITHIN - now).total_seconds()))


_UNSENT: Final = frozenset({AttemptState.QUEUED, AttemptState.SENT})
