"""PaymentCanceled 1.0.0, on ``payments.updates``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.messages.envelope import FactMessage, common


class PaymentCanceled(FactMessage):
    """The payment ended without money; ``reason`` names what ended it."""

    reason: str
    canceled_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**common(fact), reason=fact.cause.source.value, canceled_at=fact.at)
