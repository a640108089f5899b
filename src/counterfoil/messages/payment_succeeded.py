"""PaymentSucceeded 1.0.0, on ``payments.completed``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.domain.states import AttemptState
from counterfoil.messages.envelope import FactMessage, common


class PaymentSucceeded(FactMessage):
    """The money was captured; ``amount`` is what was captured, ``processor_reference`` its charge."""

    processor_reference: str | None = None
    succeeded_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        captured = [attempt for attempt in fact.payment.attempts if attempt.state is AttemptState.CAPTURED]
        fields = common(fact) | {"amount": fact.payment.amount_captured}
        return cls(**fields, processor_reference=captured[0].charge_id, succeeded_at=fact.at)
