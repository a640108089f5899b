"""RefundFailed 1.0.0, on ``refunds.processed``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact, Refund
from counterfoil.messages.refund_requested import RefundMessage, told


class RefundFailed(RefundMessage):
    """The money was not given back, or came back; it may be said of a refund that was processed before."""

    reason: str
    failed_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        assert isinstance(fact.about, Refund)
        return cls(**told(fact), reason=fact.about.failure_reason or "unknown", failed_at=fact.at)
