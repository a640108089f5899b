"""PaymentProcessing 1.0.0, on ``payments.updates``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.messages.envelope import FactMessage, common


class PaymentProcessing(FactMessage):
    """The processor took the payment in and will say later how it ended: a bank debit, as a rule."""

    processing_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**common(fact), processing_at=fact.at)
