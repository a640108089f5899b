"""RefundProcessed 1.0.0, on ``refunds.processed``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.messages.refund_requested import RefundMessage, told


class RefundProcessed(RefundMessage):
    """The money was given back."""

    processed_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**told(fact), processed_at=fact.at)
