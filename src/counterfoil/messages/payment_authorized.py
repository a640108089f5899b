"""PaymentAuthorized 1.0.0, on ``payments.updates``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.messages.envelope import FactMessage, common


class PaymentAuthorized(FactMessage):
    """The amount is held; nothing was taken yet."""

    authorized_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**common(fact), authorized_at=fact.at)
