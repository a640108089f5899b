"""Payments that a state machine drives: the steps it asks for, what each waits for, and what becomes of its tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from counterfoil.domain.effects import MOST_TRIES, WAITS, EffectKind
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.states import FINAL


@unique
class TaskStep(StrEnum):
    """What a machine asks for with a task token."""

    PAYMENT = "payment"  # take the order, and see it through
    RETRY = "retry"  # try what was declined once more, now
    RECORD = "record"  # say what is on record
    RECEIPT = "receipt"
    INVENTORY = "inventory"
    NOTIFY = "notify"  # all that follows from an end without money


OUTCOME_STEPS: Final = frozenset({TaskStep.PAYMENT, TaskStep.RETRY})
"""Those that wait for what becomes of the money."""

FOLLOWING_STEPS: Final[Mapping[TaskStep, tuple[EffectKind, ...]]] = MappingProxyType(
    {
        TaskStep.RECORD: (),
        TaskStep.RECEIPT: (EffectKind.RECEIPT,),
        TaskStep.INVENTORY: (EffectKind.STOCK_DECREMENT,),
        TaskStep.NOTIFY: (EffectKind.CUSTOMER_NOTICE, EffectKind.STOCK_RELEASE),
    },
)
"""Which effects each of the others asks for, and waits for."""

CALLED_STEPS: Final[Mapping[TaskStep, tuple[EffectKind, ...]]] = MappingProxyType(
    {**FOLLOWING_STEPS, TaskStep.INVENTORY: (EffectKind.STOCK_RELEASE, EffectKind.STOCK_DECREMENT)},
)
"""Which effects are due with each: also what has to go before, where money came late and nobody asked for it yet."""

HEARTBEATS: Final = 3
"""In the time in which a machine wants to hear one: two may be lost."""

CLAIM: Final = timedelta(seconds=30)
"""How long a process may work on a token it claimed: three times what a call may take. Short, for a machine that hears
nothing of a token meanwhile gives it up."""


@unique
class TokenOutcome(StrEnum):
    """How a token ended; until then it lives."""

    SUCCEEDED = "succeeded"  # the machine took our success
    FAILED = "failed"  # the machine took our failure
    DEAD = "dead"  # it timed out, was used, or its execution is gone: nobody waits for it
    PARKED = "parked"  # the machine could not be told, however often it was tried


@unique
class Reception(StrEnum):
    """What came of telling a machine something."""

    TAKEN = "taken"
    DEAD = "dead"
    REFUSED = "refused"  # to say the same again would be refused again
    FAILED = "failed"  # it may be said again


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it, and why, in our own words: never the token, nor what was said."""

    reception: Reception
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TokenStanding:
    """How a token stands after that: ended, or with its next moment. ``failures`` counts those in a row."""

    outcome: TokenOutcome | None
    reason: str | None
    next_try_at: datetime | None
    failures: int


def retry_now(payment: Payment, now: datetime) -> Advance:
    """Return a payment whose planned retry is due now, because its machine says so; nothing is said of it."""
    assert payment.retry_at is not None, "only what was planned is tried again"
    return Advance(replace(payment, retry_at=now, next_check_at=now))


def asks_for_another(payment: Payment, declined: int | None) -> bool:
    """Return whether a retry that comes now is to bring about the one that is planned.

    Not where it follows upon an earlier decline than the last: then what it asks for was made already, by a worker or
    for another token, and the next one has its own time.

    Args:
        payment: as it stands.
        declined: the attempt whose decline the machine heard of; None where it does not say.
    """
    return payment.retry_at is not None and (declined is None or declined >= len(payment.attempts))


def attempt_awaited(payment: Payment, step: TaskStep, declined: int | None = None) -> int | None:
    """Return the number of the attempt whose outcome a token that comes now waits for; None where it waits for none.

    A retry waits for the attempt that it brings about; where that is there already, for that one. ``declined`` is the
    attempt whose decline the machine heard of, where it says so.
    """
    if step not in OUTCOME_STEPS:
        return None
    tried = len(payment.attempts)
    if step is not TaskStep.RETRY or asks_for_another(payment, declined):
        return tried + (step is TaskStep.RETRY)
    return tried if declined is None else min(tried, declined + 1)


def attempts_answered(payment: Payment) -> int | None:
    """Return up to which attempt there is something to tell a machine: every one, once the payment has ended.

    While a retry is planned, those that were declined. None where there is nothing to tell: what is open, in doubt, or
    waits for its customer or its bank keeps its machine waiting.
    """
    if payment.state in FINAL:
        return EVERY_ATTEMPT
    return len(payment.attempts) if payment.retry_at is not None else None


EVERY_ATTEMPT: Final = 1_000
"""More than there can be of one payment."""


def next_heartbeat(heartbeat_seconds: int | None, now: datetime) -> datetime | None:
    """Return when a token that is waited with is to give a sign of life; None where its machine wants none."""
    return None if heartbeat_seconds is None else now + timedelta(seconds=heartbeat_seconds / HEARTBEATS)


def after_answer(failures: int, told: Told, now: datetime, *, was_failure: bool) -> TokenStanding:
    """Return how a token stands after its answer was sent, having failed to be so often before.

    Args:
        failures: how often in a row it could not be sent.
        told: what came of this time.
        now: when that was.
        was_failure: whether the answer was that the task had failed.
    """
    if told.reception is Reception.TAKEN:
        return TokenStanding(TokenOutcome.FAILED if was_failure else TokenOutcome.SUCCEEDED, None, None, failures)
    if told.reception is Reception.DEAD:
        return TokenStanding(TokenOutcome.DEAD, told.reason, None, failures)
    if told.reception is Reception.REFUSED or failures + 1 >= MOST_TRIES:
        return TokenStanding(TokenOutcome.PARKED, told.reason, None, failures + 1)
    return TokenStanding(None, told.reason, now + WAITS[failures], failures + 1)


def after_heartbeat(failures: int, heartbeat_seconds: int | None, told: Told, now: datetime) -> TokenStanding:
    """Return how a token stands after its sign of life: dead, if that is what the machine says, else waiting on.

    An answer that could not be sent before is none any more, or there would have been no sign of life: the next one
    counts its own failures.
    """
    if told.reception is Reception.DEAD:
        return TokenStanding(TokenOutcome.DEAD, told.reason, None, failures)
    return TokenStanding(None, None, next_heartbeat(heartbeat_seconds, now), 0)
