"""A payment and its attempts, and the one function that moves them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final
from uuid import UUID

from counterfoil.domain.facts import ON_ENTERING, FactName
from counterfoil.domain.money import Money
from counterfoil.domain.states import FINAL, PAYMENT_RULES, AttemptHappening, AttemptState, PaymentState, Standing, move
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Source, Verdict

DOUBT_AFTER: Final = timedelta(minutes=15)
"""An outcome unknown for this long is shown as ``in_doubt``: long enough for every ordinary retry, short enough for a
person to hear of it the same hour."""

LOOK_UPS_AFTER: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)
"""When to ask again about an open payment, counted from the last time we asked; then every LOOK_UP_EVERY."""

LOOK_UP_EVERY: Final = timedelta(hours=6)
"""Bank debits take days: four looks a day cost nothing and find what a lost webhook did not say."""

QUIET_LOOKS: Final = 3
"""Where the processor itself said that it waits (for the customer, for a bank, for our capture) the first, hasty looks
of the schedule are skipped: a webhook is the rule, the look-up the exception."""

ABSENCE_PROOF: Final = timedelta(hours=1)
"""Two complete listings this far apart prove that a send did nothing: one alone could run before a late effect."""

KEY_LIFE: Final = timedelta(hours=23)
"""Stripe may forget a key after 24 hours; a POST with a forgotten key is a new charge. The hour is for our clocks."""

NEVER_SENT_FOR: Final = timedelta(hours=72)
"""An order that could not be sent for three days is given up: nobody waits for it any more."""

CLAIM: Final = timedelta(seconds=120)
"""How long a process may work on what it claimed. Four times the processor's timeout, so a live one never loses it."""


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
    nothing was done. ``unknown_since`` is the first such send that still has no definite answer, ``absent_since`` the
    first complete listing that showed nothing of it.
    """

    number: int
    state: AttemptState = AttemptState.QUEUED
    charge_id: str | None = None
    decline: Decline | None = None
    action: Action | None = None
    exposed: bool = False
    unknown_since: datetime | None = None
    absent_since: datetime | None = None


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
        """Return the attempt a charge belongs to: the one that carries its id, else the first that carries none yet.

        Attempts follow one another, so a charge that nobody owns belongs to the oldest attempt still without one. Where
        every attempt has a charge of its own, a further one that moved no money is no news about any of them (None);
        held or captured ``money`` is always somebody's: each confirmation of an intent makes a new charge, and one that
        we did not ask for, after a decline, is the late success of the last attempt.
        """
        if charge_id is None:
            return self.last_attempt
        for attempt in self.attempts:
            if attempt.charge_id == charge_id:
                return attempt
        unnamed = next((attempt for attempt in self.attempts if attempt.charge_id is None), None)
        return self.last_attempt if unnamed is None and money else unnamed


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that became true. ``payment`` is how the payment stood right after, its ``version`` this fact's."""

    name: FactName
    payment: Payment
    at: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class Advance:
    """A payment after a happening, and what became true by it (nothing, where nothing changed)."""

    payment: Payment
    facts: tuple[Fact, ...] = ()


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


def hear(payment: Payment, number: int, verdict: Verdict, now: datetime) -> Advance:
    """Return the payment after hearing a verdict on one of its attempts.

    A verdict that only repeats what is known changes no state and says nothing; it may still teach us the processor's
    names for the payment and its charge, and a look-up or an unknown answer sets the next time to look.
    """
    attempt = payment.attempts[number - 1]
    state = move(attempt.state, verdict.outcome)
    named = replace(payment, intent_id=payment.intent_id or verdict.intent_id)
    known = replace(attempt, charge_id=attempt.charge_id or verdict.charge_id)
    if not verdict.executed:
        known = replace(known, exposed=False, unknown_since=None)
    if verdict.absent:
        if known.absent_since is not None and now - known.absent_since >= ABSENCE_PROOF:
            return give_up(payment, number, NEVER_ARRIVED, verdict.cause, now)
        known = replace(known, absent_since=known.absent_since or now)
    if state is attempt.state:
        after = _with_attempt(named, known)
        looked = verdict.outcome is AttemptHappening.UNKNOWN or verdict.cause.source is Source.LOOK_UP
        return _settle(payment, _looked_at(after, now) if looked else after, verdict.cause, now)
    definite = state is not AttemptState.SENT
    moved = replace(
        known,
        state=state,
        charge_id=verdict.charge_id or known.charge_id,  # the charge that moved it
        decline=verdict.decline,
        action=verdict.action,
        unknown_since=None if definite else known.unknown_since or now,
        absent_since=None,
    )
    after = replace(_with_attempt(named, moved), checks=QUIET_LOOKS if definite else 0)
    if verdict.amount_captured is not None:
        after = replace(after, amount_captured=verdict.amount_captured)
    return _settle(payment, _looked_at(after, now), verdict.cause, now)


def give_up(payment: Payment, number: int, decline: Decline, cause: Cause, now: datetime) -> Advance:
    """Return the payment after an attempt ended that, as is proven, the processor never carried out."""
    return hear(payment, number, Verdict(AttemptHappening.DECLINED, cause, decline=decline), now)


def look_at(payment: Payment, now: datetime) -> Advance:
    """Return the payment after its time to be looked at came and nothing could be heard."""
    return _settle(payment, _looked_at(payment, now), Cause(Source.TIMER, "check"), now)


def ask_soon(payment: Payment, intent_id: str | None, now: datetime) -> Advance:
    """Return the payment, due to be asked about now: a hint came that it moved, but not how."""
    return Advance(replace(payment, intent_id=payment.intent_id or intent_id, next_check_at=now))


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
    wait = LOOK_UPS_AFTER[payment.checks] if payment.checks < len(LOOK_UPS_AFTER) else LOOK_UP_EVERY
    # Doubt is to be seen when it begins, and absence to be proven as soon as it can be.
    marks = [attempt.unknown_since + DOUBT_AFTER for attempt in payment.attempts if attempt.unknown_since is not None]
    marks += [attempt.absent_since + ABSENCE_PROOF for attempt in payment.attempts if attempt.absent_since is not None]
    due = min([now + wait, *(moment for moment in marks if moment > now)])
    return replace(payment, checks=payment.checks + 1, next_check_at=due)


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


_ANY: Final = {
    AttemptState.CAPTURED: Standing.ANY_CAPTURED,
    AttemptState.AUTHORIZED: Standing.ANY_AUTHORIZED,
    AttemptState.REQUIRES_ACTION: Standing.ANY_REQUIRES_ACTION,
    AttemptState.PROCESSING: Standing.ANY_OPEN,
    AttemptState.SENT: Standing.ANY_OPEN,
}
