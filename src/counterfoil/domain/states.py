"""The state machine, as tables. Nothing else moves a payment.

An *attempt* is one try with the processor. Its state has a rank, and a happening can only raise it, so the answer to
our call, the webhook, a look-up and an operator may come in any order and any number of times: whichever comes second
changes nothing. A *payment*'s state is derived from its attempts by the first rule that matches.

The SQL checks in ``store/schema.sql``, the pictures in ``docs/concepts/states.md`` and the exhaustive tests are derived
from, or held against, these tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final


@unique
class AttemptState(StrEnum):
    """How far one try with the processor has come."""

    QUEUED = "queued"
    SENT = "sent"  # bytes may have left; while nothing definite was heard, the outcome is unknown
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CANCELED = "canceled"
    CAPTURED = "captured"


RANK: Final[Mapping[AttemptState, int]] = MappingProxyType(
    {
        AttemptState.QUEUED: 0,
        AttemptState.SENT: 1,
        AttemptState.REQUIRES_ACTION: 2,
        AttemptState.PROCESSING: 3,
        AttemptState.AUTHORIZED: 4,
        AttemptState.CANCELED: 5,
        AttemptState.DECLINED: 6,
        AttemptState.CAPTURED: 7,
    },
)
"""Captured money outranks everything: a charge that succeeds after its decline or cancellation is the late success.
What was declined may be canceled afterwards, never the other way round, so a decline outranks the cancellation:
whichever is heard first, the payment failed, and says why."""


@unique
class AttemptHappening(StrEnum):
    """What can befall an attempt: we claim it to send it, or we hear an outcome from the processor."""

    CLAIMED = "claimed"
    UNKNOWN = "unknown"
    ACTION = "action"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CANCELED = "canceled"
    CAPTURED = "captured"


MOVED_MONEY: Final = frozenset({AttemptHappening.AUTHORIZED, AttemptHappening.CAPTURED})
"""Outcomes that are never nobody's."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A happening that changes nothing, with a sequence of events that brings it about."""

    because: str


class ImpossibleHappening(AssertionError):
    """A pair that no sequence of events can bring about was asked for: a mistake of ours, never of the outside."""


_REPEATED = Ignored("claim, answer, then the webhook of the same outcome")
_OVERTAKEN = Ignored("claim, then a later webhook overtakes the one of this outcome")
_RECLAIMED = Ignored("claim, the process dies, the claim expires and another process claims to ask again")
_STILL_UNKNOWN = Ignored("claim, the call times out, a second call times out")
_KNOWN_BETTER = Ignored("claim, webhook of an outcome, then our own call times out")
_ENDED = Ignored("claim, a decline is heard, then the intent is canceled")

_S, _H = AttemptState, AttemptHappening

ATTEMPT_MOVES: Final[Mapping[tuple[AttemptState, AttemptHappening], AttemptState | Ignored]] = MappingProxyType(
    {
        # Only what is queued or sent is ever claimed; the other pairs with `claimed` are missing, and so raise.
        # Hearing of an attempt that was never sent is possible after a restore, which forgets what was sent
        (_S.QUEUED, _H.CLAIMED): _S.SENT,
        (_S.QUEUED, _H.UNKNOWN): _S.SENT,
        (_S.QUEUED, _H.ACTION): _S.REQUIRES_ACTION,
        (_S.QUEUED, _H.PROCESSING): _S.PROCESSING,
        (_S.QUEUED, _H.AUTHORIZED): _S.AUTHORIZED,
        (_S.QUEUED, _H.DECLINED): _S.DECLINED,
        (_S.QUEUED, _H.CANCELED): _S.CANCELED,
        (_S.QUEUED, _H.CAPTURED): _S.CAPTURED,
        (_S.SENT, _H.CLAIMED): _RECLAIMED,
        (_S.SENT, _H.UNKNOWN): _STILL_UNKNOWN,
        (_S.SENT, _H.ACTION): _S.REQUIRES_ACTION,
        (_S.SENT, _H.PROCESSING): _S.PROCESSING,
        (_S.SENT, _H.AUTHORIZED): _S.AUTHORIZED,
        (_S.SENT, _H.DECLINED): _S.DECLINED,
        (_S.SENT, _H.CANCELED): _S.CANCELED,
        (_S.SENT, _H.CAPTURED): _S.CAPTURED,
        (_S.REQUIRES_ACTION, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.REQUIRES_ACTION, _H.ACTION): _REPEATED,
        (_S.REQUIRES_ACTION, _H.PROCESSING): _S.PROCESSING,
        (_S.REQUIRES_ACTION, _H.AUTHORIZED): _S.AUTHORIZED,
        (_S.REQUIRES_ACTION, _H.DECLINED): _S.DECLINED,
        (_S.REQUIRES_ACTION, _H.CANCELED): _S.CANCELED,
        (_S.REQUIRES_ACTION, _H.CAPTURED): _S.CAPTURED,
        (_S.PROCESSING, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.PROCESSING, _H.ACTION): _OVERTAKEN,
        (_S.PROCESSING, _H.PROCESSING): _REPEATED,
        (_S.PROCESSING, _H.AUTHORIZED): _S.AUTHORIZED,
        (_S.PROCESSING, _H.DECLINED): _S.DECLINED,
        (_S.PROCESSING, _H.CANCELED): _S.CANCELED,
        (_S.PROCESSING, _H.CAPTURED): _S.CAPTURED,
        (_S.AUTHORIZED, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.AUTHORIZED, _H.ACTION): _OVERTAKEN,
        (_S.AUTHORIZED, _H.PROCESSING): _OVERTAKEN,
        (_S.AUTHORIZED, _H.AUTHORIZED): _REPEATED,
        (_S.AUTHORIZED, _H.DECLINED): _S.DECLINED,
        (_S.AUTHORIZED, _H.CANCELED): _S.CANCELED,
        (_S.AUTHORIZED, _H.CAPTURED): _S.CAPTURED,
        (_S.DECLINED, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.DECLINED, _H.ACTION): _OVERTAKEN,
        (_S.DECLINED, _H.PROCESSING): _OVERTAKEN,
        (_S.DECLINED, _H.AUTHORIZED): _OVERTAKEN,
        (_S.DECLINED, _H.DECLINED): _REPEATED,
        (_S.DECLINED, _H.CANCELED): _ENDED,
        (_S.DECLINED, _H.CAPTURED): _S.CAPTURED,
        (_S.CANCELED, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.CANCELED, _H.ACTION): _OVERTAKEN,
        (_S.CANCELED, _H.PROCESSING): _OVERTAKEN,
        (_S.CANCELED, _H.AUTHORIZED): _OVERTAKEN,
        (_S.CANCELED, _H.DECLINED): _S.DECLINED,
        (_S.CANCELED, _H.CANCELED): _REPEATED,
        (_S.CANCELED, _H.CAPTURED): _S.CAPTURED,
        (_S.CAPTURED, _H.UNKNOWN): _KNOWN_BETTER,
        (_S.CAPTURED, _H.ACTION): _OVERTAKEN,
        (_S.CAPTURED, _H.PROCESSING): _OVERTAKEN,
        (_S.CAPTURED, _H.AUTHORIZED): _OVERTAKEN,
        (_S.CAPTURED, _H.DECLINED): _OVERTAKEN,
        (_S.CAPTURED, _H.CANCELED): _OVERTAKEN,
        (_S.CAPTURED, _H.CAPTURED): _REPEATED,
    },
)


def move(state: AttemptState, happening: AttemptHappening) -> AttemptState:
    """Return the state after the happening (the same one where the happening is ignored).

    Raises:
        ImpossibleHappening: the pair is in no row of the table.
    """
    try:
        after = ATTEMPT_MOVES[state, happening]
    except KeyError:
        raise ImpossibleHappening(f"an attempt that is {state} cannot be {happening}") from None
    return state if isinstance(after, Ignored) else after


@unique
class PaymentState(StrEnum):
    """Where a payment stands. The API shows these very words as its ``status``."""

    REQUESTED = "requested"
    SCREENING = "screening"
    PROCESSING = "processing"
    IN_DOUBT = "in_doubt"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


FINAL: Final = frozenset({PaymentState.SUCCEEDED, PaymentState.FAILED, PaymentState.CANCELED})
"""Nothing more is awaited. A late success may still follow ``failed`` and ``canceled``."""

FREES_THE_ORDER: Final = frozenset({PaymentState.FAILED, PaymentState.CANCELED})
"""An order whose payment stands here may be paid by another payment."""


@unique
class Standing(StrEnum):
    """What the rules below look for, in words."""

    ANY_CAPTURED = "any attempt captured"
    ANY_AUTHORIZED = "any attempt authorized"
    ANY_REQUIRES_ACTION = "any attempt requires action"
    STOPPED = "an attempt sent, and stopped because its key was used for another request"
    UNKNOWN_TOO_LONG = "an attempt sent, and its outcome unknown for 15 minutes"
    ANY_OPEN = "any attempt processing or sent"
    RETRY_AHEAD = "a further attempt queued, or a retry scheduled"
    LAST_DECLINED = "the last attempt declined"
    LAST_CANCELED = "the last attempt canceled, or none was ever sent and the order is canceled"
    VERDICT_AWAITED = "a fraud verdict or a review is awaited"
    NOTHING_YET = "nothing sent yet"


PAYMENT_RULES: Final[tuple[tuple[Standing, PaymentState], ...]] = (
    (Standing.ANY_CAPTURED, PaymentState.SUCCEEDED),
    (Standing.ANY_AUTHORIZED, PaymentState.AUTHORIZED),
    (Standing.ANY_REQUIRES_ACTION, PaymentState.REQUIRES_ACTION),
    (Standing.STOPPED, PaymentState.IN_DOUBT),
    (Standing.UNKNOWN_TOO_LONG, PaymentState.IN_DOUBT),
    (Standing.ANY_OPEN, PaymentState.PROCESSING),
    (Standing.RETRY_AHEAD, PaymentState.PROCESSING),
    (Standing.LAST_DECLINED, PaymentState.FAILED),
    (Standing.LAST_CANCELED, PaymentState.CANCELED),
    (Standing.VERDICT_AWAITED, PaymentState.SCREENING),
    (Standing.NOTHING_YET, PaymentState.REQUESTED),
)
"""The first rule whose standing holds gives the payment's state."""
