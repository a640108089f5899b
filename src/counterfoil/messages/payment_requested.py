"""PaymentRequested 1.0.0, on ``payments.requested``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.messages.envelope import FactMessage, common


class PaymentRequested(FactMessage):
    """A payment was accepted and its attempt is about to be made."""

    customer_id: str | None = None
    requested_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**common(fact), customer_id=fact.payment.customer_id, requested_at=fact.at)
