"""Money given back: reserved when it is asked for, then moved by what the processor says of it, whoever made it.

The amounts stand on the payment: what is asked back and not yet given back is reserved, so that however many ask at
once, no more is ever asked back than was taken. A refund made elsewhere counts from when the processor shows it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final
from uuid import UUID

from counterfoil.domain.errors import AmountReason, AmountRefused, WrongState
from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money, refuse_if_not_a_multiple
from counterfoil.domain.payment import Advance, DisputeStatus, Fact, Payment, Refund, RefundState
from counterfoil.domain.schedule import ABSENCE_PROOF, KEY_LIFE, LATE_EFFECT, QUIET_LOOKS, wait_before
from counterfoil.domain.states import Ignored, PaymentState
from counterfoil.domain.verdict import Cause, Settling, Source


@unique
class RefundHappening(StrEnum):
    """What the processor may say of a refund."""

    UNKNOWN = "unknown"
    PENDING = "pending"
    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundVerdict:
    """One thing heard of one refund; the fields beyond ``failure_reason`` mean what they mean in a `Verdict`."""

    outcome: RefundHappening
    cause: Cause
    processor_id: str | None = None
    failure_reason: str | None = None
    settling: Settling = Settling.RESEND
    executed: bool = True
    lingers: bool = False
    key_refused: bool = False
    alarm: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A refund as the processor lists it; ``refund_id`` is the one of ours that its metadata names.

    ``request_key`` is the key of the wish that it fulfils, where its metadata has that.
    """

    refund_id: UUID | None
    money: Money
    reason: str | None
    verdict: RefundVerdict
    request_key: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All refunds of a charge, in one look at it; what was only let go of a hold is not among them.

    ``complete`` is False where they could not all be read; then ``shown`` is empty and proves nothing.
    """

    cause: Cause
    shown: tuple[Shown, ...] = ()
    complete: bool = False
    key_refused: bool = False
    alarm: str | None = None


@dataclass(frozen=True, slots=True)
class Repayment:
    """What a processor has to be told to give money back."""

    refund_id: UUID
    payment_id: UUID
    order_id: str
    event_id: str
    intent_id: str | None
    charge_id: str | None
    amount: int
    reason: str | None
    request_key: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """Money asked back; the whole rest where no ``amount`` is named. ``key`` tells one wish from another."""

    payment_id: UUID
    key: str
    amount: int | None = None
    currency: str | None = None
    reason: str | None = None

    def fingerprint(self) -> bytes:
        """Return 32 bytes that are the same for every wish that means the same refund."""
        meant = [self.amount, self.currency, self.reason]
        return hashlib.sha256(json.dumps(meant, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True, slots=True)
class Course:
    """A refund, and how we are seeing to it.

    ``first_sent_at`` is when a send of it may first have reached the processor. ``settling`` says how its outcome is to
    be learned; the other times are what they are of an attempt. ``request_key`` is set where a refund is taken down
    that the processor shows, and that fulfils a wish of that key which is not on record.
    """

    refund: Refund
    first_sent_at: datetime | None = None
    last_sent_at: datetime | None = None
    settling: Settling = Settling.RESEND
    absent_since: datetime | None = None
    may_appear_until: datetime | None = None
    checks: int = 0
    next_check_at: datetime | None = None
    request_key: str | None = None

    def is_sendable(self, now: datetime) -> bool:
        """Return whether its outcome is to be learned by sending it, first or again."""
        young = self.first_sent_at is None or now - self.first_sent_at < KEY_LIFE
        return self.refund.state is RefundState.REQUESTED and self.settling in _SENDING and young


@dataclass(frozen=True, slots=True)
class Moved:
    """A payment and one of its refunds after something befell it; ``alarm`` is what a person must see of it."""

    payment: Payment
    course: Course
    facts: tuple[Fact, ...] = ()
    alarm: str | None = None


_REPEATED = Ignored("claim, answer, then a look shows the same refund")
_OVERTAKEN = Ignored("a look shows how the refund ended, then an answer from before is recorded")
_STILL_UNKNOWN = Ignored("claim, the call times out, a second call times out")
_KNOWN_BETTER = Ignored("a look shows the refund, then our own call times out")

_S, _H = RefundState, RefundHappening

REFUND_MOVES: Final[Mapping[tuple[RefundState, RefundHappening], RefundState | Ignored]] = MappingProxyType(
    {
        (_S.REQUESTED, _H.UNKNOWN): _STILL_UNKNOWN,
        (_S.REQUESTED, _H.PENDING): _S.PENDING,
        (_S.REQUESTED, _H.PROCESSED): _S.PROCESSED,
        (_S.REQUESTED, _H.FAILED): _S.FAILED,
        (_S.PENDING, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.PENDING, _H.PENDING): _REPEATED,
        (_S.PENDING, _H.PROCESSED): _S.PROCESSED,
        (_S.PENDING, _H.FAILED): _S.FAILED,
        # A processed refund may fail: the customer's bank sends the money back, days later
        (_S.PROCESSED, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.PROCESSED, _H.PENDING): _OVERTAKEN,
        (_S.PROCESSED, _H.PROCESSED): _REPEATED,
        (_S.PROCESSED, _H.FAILED): _S.FAILED,
        (_S.FAILED, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.FAILED, _H.PENDING): _OVERTAKEN,
        (_S.FAILED, _H.PROCESSED): _OVERTAKEN,
        (_S.FAILED, _H.FAILED): _REPEATED,
    },
)
"""Where a refund stands after what was heard of it. A failure that the processor itself told is never taken back; one
that we concluded, because the processor refused or had no trace of it, is, should it be there after all."""


def reserve(payment: Payment, wish: Wish, refund_id: UUID, cause: Cause, now: datetime) -> Moved:
    """Return the payment with what is asked back reserved, the refund to be made, and its announcement.

    Raises:
        WrongState: the payment has no money to give back, or not yet, or a bank is taking it back already.
        AmountRefused: more is asked back than is left, or in another currency, or in no whole coins.
    """
    if payment.state is not PaymentState.SUCCEEDED:
        raise WrongState(payment.state, "refunded")
    if payment.dispute_status in _WITH_THE_BANK:
        raise WrongState(payment.state, f"refunded once a dispute is {payment.dispute_status}")
    if wish.currency not in (None, payment.money.currency):
        raise AmountRefused(AmountReason.CURRENCY_DIFFERS, "the payment has another currency")
    left = rest(payment)
    if not left.amount:
        raise AmountRefused(AmountReason.TOO_LARGE, "nothing is left that could be refunded")
    amount = left.amount if wish.amount is None else wish.amount
    if amount > left.amount:
        raise AmountRefused(AmountReason.TOO_LARGE, f"at most {left.format()} can be refunded now")
    money = Money(amount, payment.money.currency)
    if wish.amount is not None:
        refuse_if_not_a_multiple(money)
    return _reserved(payment, Refund(refund_id, money, RefundState.REQUESTED, reason=wish.reason), cause, now)


def rest(payment: Payment) -> Money:
    """Return what was taken, and was neither given back nor asked back."""
    left = payment.amount_captured - payment.amount_refunded - payment.amount_refund_reserved
    return Money(max(0, left), payment.money.currency)


def give_back(advance: Advance, cause: Cause, now: datetime) -> Advance:
    """Return an advance by which a cancelled order was found paid, with the refund of all that is left; once for each.

    The last thing that is said of it is the refund's announcement, which the store makes the refund from.
    """
    payment = advance.payment
    owed = payment.cancel_refund_id is not None and payment.state is PaymentState.SUCCEEDED
    left = rest(payment)
    if not owed or not left.amount or payment.dispute_status in _WITH_THE_BANK:
        return advance
    assert payment.cancel_refund_id is not None
    refund = Refund(payment.cancel_refund_id, left, RefundState.REQUESTED, reason=payment.cancel_reason)
    moved = _reserved(replace(payment, cancel_refund_id=None), refund, cause, now)
    return Advance(moved.payment, advance.facts + moved.facts, advance.alarm)


def hear(payment: Payment, course: Course, verdict: RefundVerdict, now: datetime) -> Moved:
    """Return payment and refund after the processor spoke of the refund; the same heard twice says nothing."""
    before = course.refund
    concluded = before.state is RefundState.FAILED and before.processor_id is None
    late = concluded and verdict.outcome in (RefundHappening.PENDING, RefundHappening.PROCESSED)
    moved = REFUND_MOVES[RefundState.REQUESTED if late else before.state, verdict.outcome]
    known = _learned(course, verdict, now)
    if isinstance(moved, Ignored):
        return Moved(
            payment, known if before.state in OPEN else replace(course, refund=known.refund), (), verdict.alarm
        )
    given_up = before.state is RefundState.PENDING and before.failure_reason is not None
    failure = (verdict.failure_reason or "unknown") if moved is RefundState.FAILED else None
    if late and moved is RefundState.PENDING:  # that it had been said to have failed is not said again, should it fail
        failure = before.failure_reason
    after = replace(known.refund, state=moved, failure_reason=failure)
    checks = QUIET_LOOKS if moved is RefundState.PENDING else 0
    ahead = now + wait_before(Settling.ASK, checks, after.id) if moved in OPEN else None
    seen_to = replace(
        known, refund=after, settling=Settling.RESEND, absent_since=None, checks=checks + 1, next_check_at=ahead
    )
    counted, alarm = _counted(payment, after.money.amount, before.state, moved)
    fact = None if given_up and moved is RefundState.FAILED else _SAYS.get(moved)
    told, facts = _told(counted, fact, after, verdict.cause, now)
    return Moved(told, seen_to, facts, verdict.alarm or alarm or (MADE_LATE if late else None))


def adopt(payment: Payment, shown: Shown, refund_id: UUID, now: datetime) -> Moved:
    """Return the payment after the processor showed a refund that is not on record, and the refund as it is kept.

    Nobody asked us for it, so it is said only once it is processed; one that has failed already is nobody's news.
    """
    verdict = shown.verdict
    state = _ADOPTED[verdict.outcome]
    failure = verdict.failure_reason if state is RefundState.FAILED else None
    refund = Refund(refund_id, shown.money, state, verdict.processor_id, shown.reason, failure)
    ahead = now + wait_before(Settling.ASK, QUIET_LOOKS, refund_id) if state in OPEN else None
    key = shown.request_key
    course = Course(refund, settling=Settling.ASK, checks=QUIET_LOOKS + 1, next_check_at=ahead, request_key=key)
    counted, alarm = _counted(payment, shown.money.amount, None, state)
    fact = FactName.REFUND_PROCESSED if state is RefundState.PROCESSED else None
    told, facts = _told(counted, fact, refund, verdict.cause, now)
    return Moved(told, course, facts, verdict.alarm or alarm)


def compare(
    payment: Payment, courses: Sequence[Course], listing: Listing, new_id: Callable[[], UUID], now: datetime
) -> list[Moved]:
    """Return what a complete listing comes to, refund by refund; the last one's payment is how the payment stands.

    Ours are known by our name in their metadata or by the processor's own; all others were made elsewhere. One of ours
    that only the processor can tell of, and that is in no listing for long enough, was never made.

    Args:
        payment: as it stands, locked.
        courses: all its refunds.
        listing: what the processor shows.
        new_id: names a refund made elsewhere.
        now: when this is heard.
    """
    assert listing.complete, "half a list proves nothing"
    by_id = {course.refund.id: course for course in courses}
    by_name = {course.refund.processor_id: course for course in courses if course.refund.processor_id is not None}
    moves: list[Moved] = []
    for shown in listing.shown:
        ours = by_name.get(shown.verdict.processor_id or "")
        named = by_id.get(shown.refund_id) if shown.refund_id is not None else None
        if ours is None and named is not None and named.refund.processor_id is None:
            ours = named
        if ours is None:
            moves.append(adopt(payment, shown, new_id(), now))
        else:
            del by_id[ours.refund.id]
            moves.append(hear(payment, ours, shown.verdict, now))
        payment = moves[-1].payment
    for course in by_id.values():
        if course.refund.state in OPEN and not course.is_sendable(now):
            moves.append(_missed(payment, course, listing.cause, now))
            payment = moves[-1].payment
    return _recounted(moves, courses)


def _recounted(moves: list[Moved], courses: Sequence[Course]) -> list[Moved]:
    """Return the moves with amounts that are the sums of all refunds as they stand after them.

    What was counted refund by refund was cut where, for a while, more seemed to go back than was taken; what was cut
    must be there again once one of them has failed.
    """
    if not moves:
        return moves
    payment = moves[-1].payment
    refunds = {course.refund.id: course.refund for course in (*courses, *(moved.course for moved in moves))}
    refunded = sum(one.money.amount for one in refunds.values() if one.state is RefundState.PROCESSED)
    reserved = sum(one.money.amount for one in refunds.values() if one.state in OPEN)
    within = min(refunded, payment.amount_captured)
    counted = replace(
        payment, amount_refunded=within, amount_refund_reserved=min(reserved, payment.amount_captured - within)
    )
    if refunded == within:
        moves = [replace(moved, alarm=None) if moved.alarm == OVERPAID else moved for moved in moves]
    return [*moves[:-1], replace(moves[-1], payment=counted)]


def _missed(payment: Payment, course: Course, cause: Cause, now: datetime) -> Moved:
    """Return what it means that a refund only the processor can tell of is not in a complete listing."""
    counts = course.may_appear_until is None or now >= course.may_appear_until
    since = (course.absent_since or now) if counts else None
    if since is not None and now - since >= ABSENCE_PROOF and course.settling is not Settling.STOP:
        gone = RefundVerdict(RefundHappening.FAILED, cause, failure_reason=NEVER_MADE)
        return hear(payment, course, gone, now)
    wait = wait_before(Settling.ASK, course.checks, course.refund.id)
    ahead = now + wait if since is None else min(now + wait, max(since + ABSENCE_PROOF, now))
    return Moved(payment, replace(course, absent_since=since, checks=course.checks + 1, next_check_at=ahead))


def _learned(course: Course, verdict: RefundVerdict, now: datetime) -> Course:
    """Return the refund with everything a verdict teaches of it, but for its state; and its next look."""
    refund = course.refund
    named = replace(refund, processor_id=refund.processor_id or verdict.processor_id)
    known = replace(course, refund=named)
    if refund.state is RefundState.REQUESTED and verdict.outcome is RefundHappening.UNKNOWN:
        first = verdict.settling not in _SENDING and course.settling in _SENDING
        known = replace(
            known,
            settling=verdict.settling if verdict.cause.source is Source.ANSWER else course.settling,
            first_sent_at=course.first_sent_at if verdict.executed else None,
            may_appear_until=now + LATE_EFFECT if verdict.lingers else course.may_appear_until,
            checks=0 if first else course.checks,
        )
        if first:  # ask at once what sending could not tell
            return replace(known, next_check_at=now)
    wait = wait_before(known.settling, known.checks, refund.id)
    return replace(known, checks=known.checks + 1, next_check_at=now + wait)


def _reserved(payment: Payment, refund: Refund, cause: Cause, now: datetime) -> Moved:
    reserved = replace(payment, amount_refund_reserved=payment.amount_refund_reserved + refund.money.amount)
    told, facts = _told(reserved, FactName.REFUND_REQUESTED, refund, cause, now)
    return Moved(told, Course(refund, next_check_at=now), facts)


def _counted(
    payment: Payment, amount: int, before: RefundState | None, after: RefundState
) -> tuple[Payment, str | None]:
    """Return the payment with a refund's amount counted where it stands now, and what is alarming about it.

    What was taken is never exceeded: where a refund made elsewhere takes the room of one of ours that is not made yet,
    less stays reserved, and the processor refuses ours; should the other one fail, the next listing tells (`compare`).
    """
    refunded = payment.amount_refunded
    refunded += amount * ((after is RefundState.PROCESSED) - (before is RefundState.PROCESSED))
    reserved = max(0, payment.amount_refund_reserved - amount * (before in OPEN)) + amount * (after in OPEN)
    within = min(max(0, refunded), payment.amount_captured)
    counted = replace(
        payment, amount_refunded=within, amount_refund_reserved=min(reserved, payment.amount_captured - within)
    )
    return counted, OVERPAID if refunded > within else None


def _told(
    payment: Payment, name: FactName | None, refund: Refund, cause: Cause, now: datetime
) -> tuple[Payment, tuple[Fact, ...]]:
    if name is None:
        return payment, ()
    told = replace(payment, version=payment.version + 1)
    return told, (Fact(name, told, now, cause, refund),)


OPEN: Final = frozenset({RefundState.REQUESTED, RefundState.PENDING})
"""Where the money of a refund is reserved: asked back, and not given back yet."""

NEVER_MADE: Final = "never_arrived"
"""Why a refund failed of which the processor has no trace."""

OVERPAID: Final = "the processor gave back more than it took, as far as we know"
"""A refund made elsewhere may have failed since; the charge can tell."""

MADE_LATE: Final = "a refund that had been given up was made after all"
"""Whoever heard that it failed may have asked for another one since."""

_SENDING: Final = frozenset({Settling.RESEND, Settling.RETRY})

_WITH_THE_BANK: Final = frozenset({DisputeStatus.OPENED, DisputeStatus.LOST})
"""The customer's bank has taken the money back, or has it until the dispute is won: to refund it would pay twice."""

_SAYS: Final = MappingProxyType(
    {RefundState.PROCESSED: FactName.REFUND_PROCESSED, RefundState.FAILED: FactName.REFUND_FAILED}
)

_ADOPTED: Final = MappingProxyType(
    {
        RefundHappening.UNKNOWN: RefundState.PENDING,
        RefundHappening.PENDING: RefundState.PENDING,
        RefundHappening.PROCESSED: RefundState.PROCESSED,
        RefundHappening.FAILED: RefundState.FAILED,
    }
)
