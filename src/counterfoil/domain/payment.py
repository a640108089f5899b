"""A payment and its attempts, and what can be asked of them. What moves them is beside: `acting` and `hearing`."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Final
from uuid import UUID

from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.states import (
    MOVED_MONEY,
    AttemptHappening,
    AttemptState,
    PaymentState,
)
from counterfoil.domain.verdict import Action, Cause, Decline, Settling, Verdict


@unique
class CaptureMethod(StrEnum):
    """Whether the money is taken at once or held first."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


@unique
class ScreeningMode(StrEnum):
    """When a fraud verdict is waited for."""

    NONE = "none"
    BEFORE_CHARGE = "before_charge"
    BEFORE_CAPTURE = "before_capture"


@unique
class FraudDecision(StrEnum):
    """A fraud verdict that decides."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"


@unique
class DisputeStatus(StrEnum):
    """How a dispute stands."""

    OPENED = "opened"
    WON = "won"
    LOST = "lost"


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

    ``stored_method`` says whether the method belongs to a customer at the processor, so that it may be charged again
    without the customer. ``screening`` says that a fraud verdict is awaited, ``reviewing`` that a person's is, until
    ``decide_by``. ``let_go_at`` is when what is held, or waits for its customer, is let go. ``amount_to_capture`` is
    asked for and not yet heard. What is asked back and not yet given back is ``amount_refund_reserved``; what comes in
    after the order was cancelled goes back at once, as the refund ``cancel_refund_id``.
    """

    id: UUID
    order_id: str
    event_id: str
    money: Money
    created_at: datetime
    customer_id: str | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    off_session: bool = False
    stored_method: bool = False
    state: PaymentState = PaymentState.REQUESTED
    version: int = 0
    attempts: tuple[Attempt, ...] = ()
    intent_id: str | None = None
    amount_captured: int = 0
    amount_refunded: int = 0
    amount_refund_reserved: int = 0
    screening: bool = False
    screening_mode: ScreeningMode = ScreeningMode.NONE
    fraud_decision: FraudDecision | None = None
    reviewing: bool = False
    decide_by: datetime | None = None
    hold_ends_at: datetime | None = None
    let_go_at: datetime | None = None
    amount_to_capture: int | None = None
    retry_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None
    cancel_refund_id: UUID | None = None
    disputed: bool = False
    dispute_status: DisputeStatus | None = None
    fee: Money | None = None
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
        if verdict.charge_id is None and verdict.decline is not None and last is not None and last.state in UNHEARD:
            for earlier in self.attempts[:-1]:
                refused = earlier.decline if earlier.charge_id is None else None
                if refused is not None and refused.code == verdict.decline.code:
                    return earlier
        return self.owner_of(verdict.charge_id, money=verdict.outcome in MOVED_MONEY)

    def may_be_old(self, verdict: Verdict) -> bool:
        """Return whether what a notice says may be of an earlier attempt as well as of the last one, which is open.

        A notice may come days late, and one without a charge carries nothing that tells attempts apart. The processor
        can: it knows how the last one stands now.
        """
        last = self.last_attempt
        if verdict.charge_id is not None or last is None or last.number == 1:
            return False
        if verdict.outcome is AttemptHappening.ACTION:
            return last.state in UNHEARD
        return verdict.outcome is AttemptHappening.DECLINED and last.state in UNDER_WAY

    def to_let_go(self, now: datetime) -> Attempt | None:
        """Return the attempt whose hold, or whose wait for the customer, is to end by now; None where there is none."""
        if self.let_go_at is None or self.let_go_at > now:
            return None
        return next((attempt for attempt in self.attempts if attempt.state in HELD_OR_AWAITED), None)


@unique
class RefundState(StrEnum):
    """How far a refund has come."""

    REQUESTED = "requested"  # to be sent, or sent and not answered
    PENDING = "pending"  # the processor took it and has not given the money back yet
    PROCESSED = "processed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back, whole or in part; ``processor_id`` is the processor's name for it, where it is known."""

    id: UUID
    money: Money
    state: RefundState
    processor_id: str | None = None
    reason: str | None = None
    failure_reason: str | None = None


@unique
class Funds(StrEnum):
    """Where the money of a dispute is: nothing was taken from us, it was, or we have it back."""

    UNTOUCHED = "untouched"
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A customer's bank wants the money back; ``id`` is the processor's.

    ``fee`` is what the processor asks for the dispute itself, in the currency of our account; None while it is unknown.
    """

    id: str
    status: DisputeStatus
    money: Money
    charge_id: str
    opened_at: datetime
    reason: str | None = None
    funds: Funds = Funds.UNTOUCHED
    fee: Money | None = None


@unique
class Direction(StrEnum):
    """What is asked of the stock."""

    DECREMENT = "DECREMENT"
    RELEASE = "RELEASE"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What is asked of the stock, and of which items: (sku, quantity)."""

    direction: Direction
    items: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that became true. ``payment`` is how the payment stood right after, its ``version`` this fact's.

    ``about`` is what else the fact is about: the refund, the dispute, what to do with the stock.
    """

    name: FactName
    payment: Payment
    at: datetime
    cause: Cause
    about: "Refund | Dispute | Adjustment | None" = None


@dataclass(frozen=True, slots=True)
class Advance:
    """A payment after a happening, and what became true by it (nothing, where nothing changed).

    ``alarm`` says what a person must see of it, if anything.
    """

    payment: Payment
    facts: tuple[Fact, ...] = ()
    alarm: str | None = None


_ENDED: Final = frozenset({AttemptState.DECLINED, AttemptState.CANCELED})
"""Where an attempt brought no money, unless it brings it late."""

UNHEARD: Final = frozenset({AttemptState.QUEUED, AttemptState.SENT})
"""Where nothing definite was heard of an attempt yet."""

HELD_OR_AWAITED: Final = frozenset({AttemptState.REQUIRES_ACTION, AttemptState.AUTHORIZED})
"""Where an attempt can be let go at the processor."""

UNDER_WAY: Final = frozenset({AttemptState.REQUIRES_ACTION, AttemptState.PROCESSING, AttemptState.AUTHORIZED})
"""Where an attempt is known to have begun, and has not ended."""
