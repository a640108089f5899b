"""PaymentDisputed 1.0.0, on ``payments.updates``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Dispute, DisputeStatus, Fact
from counterfoil.messages.envelope import FactMessage, common


class PaymentDisputed(FactMessage):
    """The customer's bank wants money back, or has decided; ``amount`` is what the dispute is about."""

    dispute_id: str
    status: DisputeStatus
    disputed_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        dispute = fact.about
        assert isinstance(dispute, Dispute)
        told = {**common(fact), "amount": dispute.money.amount, "currency": dispute.money.currency}
        return cls(**told, dispute_id=dispute.id, status=dispute.status, disputed_at=fact.at)
