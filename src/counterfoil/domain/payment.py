"""A payment and its attempts, and the one function that moves them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique
from typing import Final
from uuid import UUID

from counterfoil.domain.facts import ON_ENTERING, FactName
from counterfoil.domain.money import Money
from counterfoil.domain.schedule import (
    ABSENCE_PROOF,
    ACTION_LIFE,
    CLAIM,
    DOUBT_AFTER,
    LATE_EFFECT,
    QUIET_LOOKS,
    wait_before,
)
from counterfoil.domain.states import (
    FINAL,
    MOVED_MONEY,
    PAYMENT_RULES,
    AttemptHappening,
    AttemptState,
    PaymentState,
    Standing,
    move,
)
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


@unique
class CaptureMethod(StrEnum):
    """Whether the money is taken at once or held first."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try with the processor.

    ``exposed`` says whether a send of it may have reached the processor: only while it is not does a refusal prove that
    nothing was done. ``unknown_since`` is the first such send that still has no definite answer, ``settling`` how that
    answer is to be learned. ``absent_since`` is the first complete listing that showed nothing of it and counts:
    before ``may_appear_until`` none does. ``expired_at`` is when its customer's time was over, and we began to let it
    go.
    """

    number: int
    state: AttemptState = AttemptState.QUEUED
    charge_id: str | None = None
    decline: Decline | None = None
    action: Action | None = None
    exposed: bool = False
    unknown_since: datetime | None = None
    absent_since: datetime | None = None
    settling: Settling = Settling.RESEND
    may_appear_until: datetime | None = None
    expired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """The client's wish and where it stands.

    ``version`` counts the facts said so far. Amounts are in minor units of ``money.currency``. ``checks`` counts how
    often an open payment was looked at since it last moved, which spaces the look-ups.
    """

    id: UUID
    order_id: str
    event_id: str
    money: Money
    created_at: datetime
    customer_id: str | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    state: PaymentState = PaymentState.REQUESTED
    version: int = 0
    attempts: tuple[Attempt, ...] = ()
    intent_id: str | None = None
    amount_captured: int = 0
    screening: bool = False
    retry_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    next_check_at: datetime | None = None
    checks: int = 0

    @property
    def last_attempt(self) -> Attempt | None:
        """The attempt made last, if any was made."""
        return self.attempts[-1] if self.attempts else None

    def owner_of(self, charge_id: str | None, *, money: bool) -> Attempt | None:
        """Return the attempt a charge belongs to: the one that carries its id, else the first that may still get one.

        Attempts follow one another, so a charge that nobody owns belongs to the oldest attempt still without one; an
        attempt that ended without a charge, and was followed by another, gets none any more. Where every attempt has a
        charge of its own, a further one that moved no money is no news about any of them (None);
        held or captured ``money`` is always somebody's: each confirmation of an intent makes a new charge, and one that
        we did not ask for, after a decline, is the late success of the last attempt.
        """
        if charge_id is None:
            return self.last_attempt
        for attempt in self.attempts:
            if attempt.charge_id == charge_id:
                return attempt
        last = self.last_attempt
        unnamed = next(
            (one for one in self.attempts if one.charge_id is None and (one is last or one.state not in _ENDED)), None
        )
        return self.last_attempt if unnamed is None and money else unnamed

    def about(self, verdict: Verdict) -> Attempt | None:
        """Return the attempt that a verdict not asked for by any of them is about; None where it is no news of any.

        A refusal without a charge (the customer failed to identify themselves) carries nothing that tells attempts
        apart: while the last one is still to be heard of, one that reads like an earlier attempt's is that one's.
        """
        last = self.last_attempt
        if verdict.charge_id is None and verdict.decline is not None and last is not None and last.state in _UNHEARD:
            for earlier in self.attempts[:-1]:
                refused = earlier.decline if earlier.charge_id is None else None
                if refused is not None and refused.code == verdict.decline.code:
                    return earlier
        return self.owner_of(verdict.charge_id, money=verdict.outcome in MOVED_MONEY)

    def overdue(self, now: datetime) -> Attempt | None:
        """Return the attempt whose customer has had all the time there was, if there is one."""
        for attempt in self.attempts:
            ends = attempt.action.expires_at if attempt.action is not None else None
            if attempt.state is AttemptState.REQUIRES_ACTION and ends is not None and ends <= now:
                return attempt
        return None


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that became true. ``payment`` is how the payment stood right after, its ``version`` this fact's."""

    name: FactName
    payment: Payment
    at: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class Advance:
    """A payment after a happening, and what became true by it (nothing, where nothing changed).

    ``alarm`` says what a person must see of it, if anything.
    """

    payment: Payment
    facts: tuple[Fact, ...] = ()
    alarm: str | None = None


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
        state=_derive(asked, now),
        version=1,
        next_check_at=now + CLAIM if claimed else now,
    )
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
    after = replace(_with_attempt(payment, claimed), next_check_at=now + CLAIM)
    return _settle(payment, after, Cause(Source.TIMER, "claim"), now)


def try_again(payment: Payment, now: datetime) -> Advance:
    """Return a failed payment with a further attempt, claimed by whoever is about to send it, and its announcement."""
    assert payment.state is PaymentState.FAILED
    state = move(AttemptState.QUEUED, AttemptHappening.CLAIMED)
    attempt = Attempt(number=len(payment.attempts) + 1, state=state, exposed=True, unknown_since=now)
    asked = replace(payment, attempts=(*payment.attempts, attempt), retry_at=None, checks=0)
    said = replace(asked, state=_derive(asked, now), version=payment.version + 1, next_check_at=now + CLAIM)
    cause = Cause(Source.ORDER, payment.event_id)
    return Advance(said, (Fact(FactName.PAYMENT_REQUESTED, said, now, cause),))


def hear(payment: Payment, number: int, verdict: Verdict, now: datetime) -> Advance:
    """Return the payment after hearing a verdict on one of its attempts.

    A verdict that only repeats what is known changes no state and says nothing; it may still teach us the processor's
    names for the payment and its charge, and a look-up or an unknown answer sets the next time to look. One that
    contradicts what was asked for raises an alarm: money of another amount is recorded as it is, money of another
    currency is nothing that we could record.
    """
    alarm = _contradiction(payment, verdict)
    if verdict.currency not in (None, payment.money.currency):
        return Advance(payment if payment.state in FINAL else _looked_at(payment, now), alarm=alarm)
    attempt = payment.attempts[number - 1]
    state = move(attempt.state, verdict.outcome)
    known = _learned(attempt, verdict, now)
    if verdict.absent and attempt.absent_since is not None and now - attempt.absent_since >= ABSENCE_PROOF:
        return give_up(payment, number, NEVER_ARRIVED, verdict.cause, now)
    named = replace(payment, intent_id=payment.intent_id or verdict.intent_id)
    if state is attempt.state:
        after = _with_attempt(named, known)
        if known.settling in _ASKING and attempt.settling not in _ASKING:
            after = replace(after, checks=0, next_check_at=now)  # ask at once what sending could not tell
        elif verdict.outcome is AttemptHappening.UNKNOWN or verdict.cause.source is Source.LOOK_UP:
            after = _looked_at(after, now)
        return replace(_settle(payment, after, verdict.cause, now), alarm=alarm)
    after = _moved(named, known, state, verdict, now)
    return replace(_settle(payment, after, verdict.cause, now), alarm=alarm)


def answered(payment: Payment, number: int, verdict: Verdict, now: datetime) -> Advance:
    """Return the payment after the processor answered a request of ours about one of its attempts.

    What it answers with may be money that an earlier attempt brought after all: then that one has it, and this one,
    which the processor refused because of it, was never tried.
    """
    owners = (attempt for attempt in payment.attempts if attempt.charge_id is not None)
    owner = next((attempt for attempt in owners if attempt.charge_id == verdict.charge_id), None)
    if owner is None or owner.number == number or verdict.outcome not in MOVED_MONEY:
        return hear(payment, number, verdict, now)
    first = hear(payment, owner.number, verdict, now)
    second = hear(first.payment, number, Verdict(AttemptHappening.CANCELED, verdict.cause), now)
    return Advance(second.payment, first.facts + second.facts, first.alarm)


def expire(payment: Payment, number: int, now: datetime) -> Advance:
    """Return the payment about to be let go by whoever now holds it for a claim: its customer's time is over."""
    attempt = payment.attempts[number - 1]
    marked = replace(attempt, expired_at=attempt.expired_at or now)
    return Advance(replace(_with_attempt(payment, marked), checks=0, next_check_at=now + CLAIM))


def give_up(payment: Payment, number: int, decline: Decline, cause: Cause, now: datetime) -> Advance:
    """Return the payment after an attempt ended that, as is proven, the processor never carried out."""
    return hear(payment, number, Verdict(AttemptHappening.DECLINED, cause, decline=decline), now)


def look_at(payment: Payment, now: datetime) -> Advance:
    """Return the payment after its time to be looked at came and nothing could be heard."""
    return _settle(payment, _looked_at(payment, now), Cause(Source.TIMER, "check"), now)


def ask_soon(payment: Payment, intent_id: str | None, now: datetime) -> Advance:
    """Return the payment, due to be asked about now: a hint came that it moved, but not how."""
    return Advance(replace(payment, intent_id=payment.intent_id or intent_id, next_check_at=now))


def _contradiction(payment: Payment, verdict: Verdict) -> str | None:
    """Return in what a verdict contradicts what was asked for, if it does."""
    captured, asked = verdict.amount_captured, payment.money.amount
    if verdict.currency not in (None, payment.money.currency):
        return "the processor speaks of another currency than was asked for"
    in_part = payment.capture_method is CaptureMethod.MANUAL and captured is not None and captured < asked
    if captured is not None and captured != asked and not in_part:
        return "the processor took another amount than was asked for"
    return verdict.alarm


def _learned(attempt: Attempt, verdict: Verdict, now: datetime) -> Attempt:
    """Return the attempt with everything a verdict teaches of it, but for its state."""
    known = replace(attempt, charge_id=attempt.charge_id or verdict.charge_id)
    if verdict.outcome is AttemptHappening.UNKNOWN and verdict.cause.source is Source.ANSWER:
        known = replace(known, settling=verdict.settling if attempt.state in _UNHEARD else known.settling)
    if verdict.lingers:
        known = replace(known, may_appear_until=now + LATE_EFFECT)
    if not verdict.executed:
        known = replace(known, exposed=False, unknown_since=None)
    if verdict.absent and (known.may_appear_until is None or now >= known.may_appear_until):
        known = replace(known, absent_since=known.absent_since or now)
    return known


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
    after = replace(_with_attempt(payment, moved), checks=QUIET_LOOKS if definite else 0)
    if verdict.amount_captured is not None:
        after = replace(after, amount_captured=verdict.amount_captured)
    return _looked_at(after, now)


def _settle(before: Payment, after: Payment, cause: Cause, now: datetime) -> Advance:
    """Derive the state and say what changed."""
    state = _derive(after, now)
    after = replace(after, state=state, next_check_at=None if state in FINAL else after.next_check_at)
    names: list[FactName] = []
    if _began_processing(before, after):
        names.append(FactName.PAYMENT_PROCESSING)
    if state is not before.state and state in ON_ENTERING:
        names.append(ON_ENTERING[state])
    after = replace(after, version=before.version + len(names))
    facts = tuple(
        Fact(name, replace(after, version=version), now, cause)
        for version, name in enumerate(names, before.version + 1)
    )
    return Advance(after, facts)


def _began_processing(before: Payment, after: Payment) -> bool:
    was = {attempt.number for attempt in before.attempts if attempt.state is AttemptState.PROCESSING}
    return after.state is PaymentState.PROCESSING and any(
        attempt.state is AttemptState.PROCESSING and attempt.number not in was for attempt in after.attempts
    )


def _looked_at(payment: Payment, now: datetime) -> Payment:
    """Return the payment with one more look counted and the next one set."""
    last = payment.last_attempt
    wait = wait_before(Settling.RESEND if last is None else last.settling, payment.checks, payment.id)
    marks = [moment for attempt in payment.attempts for moment in _marks(attempt) if moment > now]
    return replace(payment, checks=payment.checks + 1, next_check_at=min([now + wait, *marks]))


def _marks(attempt: Attempt) -> list[datetime]:
    """Return when an attempt is to be looked at whatever the schedule says.

    Doubt is to be seen when it begins, absence to be proven as soon as it can be, and who left to be let go in time.
    """
    ends = attempt.action.expires_at if attempt.action is not None else None
    moments = (
        attempt.unknown_since + DOUBT_AFTER if attempt.unknown_since is not None else None,
        attempt.absent_since + ABSENCE_PROOF if attempt.absent_since is not None else None,
        attempt.may_appear_until,
        ends if attempt.state is AttemptState.REQUIRES_ACTION else None,
    )
    return [moment for moment in moments if moment is not None]


def _with_attempt(payment: Payment, attempt: Attempt) -> Payment:
    before, behind = payment.attempts[: attempt.number - 1], payment.attempts[attempt.number :]
    return replace(payment, attempts=(*before, attempt, *behind))


def _derive(payment: Payment, now: datetime) -> PaymentState:
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
        Standing.VERDICT_AWAITED: payment.screening,
        Standing.NOTHING_YET: True,
    }
    return standings | {standing for standing, true in holds.items() if true}


_ENDED: Final = frozenset({AttemptState.DECLINED, AttemptState.CANCELED})
"""Where an attempt brought no money, unless it brings it late."""

_UNHEARD: Final = frozenset({AttemptState.QUEUED, AttemptState.SENT})
"""Where nothing definite was heard of an attempt yet."""

_ASKING: Final = frozenset({Settling.ASK, Settling.STOP})
"""Where an outcome is learned without sending again."""

_ANY: Final = {
    AttemptState.CAPTURED: Standing.ANY_CAPTURED,
    AttemptState.AUTHORIZED: Standing.ANY_AUTHORIZED,
    AttemptState.REQUIRES_ACTION: Standing.ANY_REQUIRES_ACTION,
    AttemptState.PROCESSING: Standing.ANY_OPEN,
    AttemptState.SENT: Standing.ANY_OPEN,
}
