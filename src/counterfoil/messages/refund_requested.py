"""RefundRequested 1.0.0, on ``refunds.requested``, and what all messages about refunds have in common."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from counterfoil.domain.payment import Fact, Refund
from counterfoil.messages.envelope import FactMessage, common


class RefundMessage(FactMessage):
    """Something became true of a refund; ``amount`` is the refund's own."""

    refund_id: UUID


def told(fact: Fact) -> dict[str, Any]:
    """Return the fields that every message about a refund carries."""
    refund = fact.about
    assert isinstance(refund, Refund)
    return {**common(fact), "amount": refund.money.amount, "currency": refund.money.currency, "refund_id": refund.id}


class RefundRequested(RefundMessage):
    """A refund was asked for; its amount is reserved, and it is about to be made."""

    reason: str | None = None
    requested_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        assert isinstance(fact.about, Refund)
        return cls(**told(fact), reason=fact.about.reason, requested_at=fact.at)
