"""What the processor said of an attempt, in our words.

Unknown is a verdict: what was not explicitly called a success or a failure stays open.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from counterfoil.domain.states import AttemptHappening


@unique
class Source(StrEnum):
    """How we came to know of something."""

    ORDER = "order"  # the caller asked for it; the reference is the event id
    ANSWER = "answer"  # the processor answered our call; the reference is its request id
    NOTICE = "notice"  # a webhook told us; the reference is the event id
    LOOK_UP = "look-up"  # we asked again; the reference is the request id
    TIMER = "timer"  # time passed and nothing was heard
    FRAUD_CHECK = "fraud check"  # a fraud check spoke; the reference is its transaction id
    REVIEW = "review"  # a person decided; the reference is the name of the token they came with


@unique
class Settling(StrEnum):
    """How an outcome that is not known is to be learned."""

    RESEND = "resend"  # the same request under the same key: its answer is the first one's
    RETRY = "retry"  # the same, soon, and then ever more slowly: this send was turned away before any work
    ASK = "ask"  # to send again could tell nothing more, so the processor is asked what became of it
    STOP = "stop"  # the same, and something is wrong that a person must see: in doubt at once


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a fact became true: no state changes without one."""

    source: Source
    reference: str


@unique
class FailureReason(StrEnum):
    """Why a payment failed, as the PaymentFailed message names it."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    CARD_DECLINED = "card_declined"
    EXPIRED_CARD = "expired_card"
    FRAUD_SUSPECTED = "fraud_suspected"
    NETWORK_ERROR = "network_error"
    INVALID_PAYMENT_METHOD = "invalid_payment_method"
    AUTHENTICATION_REQUIRED = "authentication_required"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Decline:
    """An explicit refusal.

    ``code`` is the processor's own word, kept as it came; ``can_retry`` says whether the customer may try again with a
    new method.
    """

    reason: FailureReason
    code: str
    message: str
    can_retry: bool


@dataclass(frozen=True, slots=True)
class Action:
    """What the customer must do, and until when, before the attempt can go on.

    ``expires_at`` is None where the processor names no end: then it is ours, set when the action is heard of.
    """

    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing heard of one attempt.

    ``outcome`` is any happening but ``claimed``. ``amount_captured`` is in minor units of ``currency`` and set with a
    capture. ``intent_id`` and ``charge_id`` are the processor's names for the payment and for this attempt's charge,
    where it gave them. ``hold_ends_at`` is when the processor ends a hold by itself, where it said so; ``expired`` is
    set with a cancellation that came of that.

    Of an unknown outcome, ``settling`` says how to learn it. ``executed`` is False where it is certain that no request
    of ours was carried out: then there is no reason to doubt. ``lingers`` is set where what was sent may still be
    carried out long after this answer. ``absent`` is set where a complete listing of what could have become of the
    attempt shows nothing. ``refused`` is set where what else we asked about the attempt was refused for good, and the
    attempt stands as it stood. ``key_refused`` is set where the processor does not accept our credentials. ``may_pass``
    is set with a refusal that time alone may lift, so that the same method may be tried a little later. ``alarm`` says
    what a person must see.
    """

    outcome: AttemptHappening
    cause: Cause
    intent_id: str | None = None
    charge_id: str | None = None
    amount_captured: int | None = None
    decline: Decline | None = None
    action: Action | None = None
    currency: str | None = None
    settling: Settling = Settling.RESEND
    executed: bool = True
    lingers: bool = False
    absent: bool = False
    refused: bool = False
    key_refused: bool = False
    may_pass: bool = False
    hold_ends_at: datetime | None = None
    expired: bool = False
    alarm: str | None = None

    def __post_init__(self) -> None:
        assert self.outcome is not AttemptHappening.CLAIMED, "a claim is ours to make, not the processor's"
        assert (self.outcome is AttemptHappening.DECLINED) == (self.decline is not None)
        assert self.decline is not None or not self.may_pass, "only a refusal passes"
        assert (self.outcome is AttemptHappening.CAPTURED) == (self.amount_captured is not None)
