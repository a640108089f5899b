"""PaymentFailed 1.0.0, on ``payments.failed``: final, said only when no retry of ours is scheduled."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any, Final, Self

from counterfoil.domain.payment import Fact
from counterfoil.domain.verdict import FailureReason
from counterfoil.messages.envelope import FactMessage, common


@unique
class Reason(StrEnum):
    """The four reasons that order services tell apart; ``failure_reason`` says more."""

    CARD_DECLINED = "CARD_DECLINED"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    EXPIRED_CARD = "EXPIRED_CARD"
    PROCESSING_ERROR = "PROCESSING_ERROR"


REASONS: Final[Mapping[FailureReason, Reason]] = MappingProxyType(
    {
        FailureReason.INSUFFICIENT_FUNDS: Reason.INSUFFICIENT_FUNDS,
        FailureReason.CARD_DECLINED: Reason.CARD_DECLINED,
        FailureReason.FRAUD_SUSPECTED: Reason.CARD_DECLINED,
        FailureReason.EXPIRED_CARD: Reason.EXPIRED_CARD,
        FailureReason.NETWORK_ERROR: Reason.PROCESSING_ERROR,
        FailureReason.INVALID_PAYMENT_METHOD: Reason.PROCESSING_ERROR,
        FailureReason.AUTHENTICATION_REQUIRED: Reason.PROCESSING_ERROR,
        FailureReason.OTHER: Reason.PROCESSING_ERROR,
    },
)


class PaymentFailed(FactMessage):
    """The payment failed for good; ``can_retry`` says whether the customer may try again with a new method."""

    reason: Reason
    failed_at: datetime
    failure_reason: FailureReason
    failure_message: str
    can_retry: bool
    attempt_number: int
    max_attempts: int

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**cls.told(fact))

    @classmethod
    def told(cls, fact: Fact) -> dict[str, Any]:
        """Return the fields by their names."""
        attempt = fact.payment.last_attempt
        assert attempt is not None, "a payment fails by an attempt"
        decline = attempt.decline
        assert decline is not None, "an attempt fails by a decline"
        return {
            **common(fact),
            "reason": REASONS[decline.reason],
            "failed_at": fact.at,
            "failure_reason": decline.reason,
            "failure_message": decline.message,
            "can_retry": decline.can_retry,
            "attempt_number": attempt.number,
            "max_attempts": attempt.number,
        }
