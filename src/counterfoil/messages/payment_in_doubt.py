"""PaymentInDoubt 1.0.0, on ``payments.updates``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.messages.envelope import FactMessage, common


class PaymentInDoubt(FactMessage):
    """The outcome has been unknown for a quarter of an hour; it is being looked up."""

    next_check_at: datetime | None = None
    in_doubt_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**common(fact), next_check_at=fact.payment.next_check_at, in_doubt_at=fact.at)
