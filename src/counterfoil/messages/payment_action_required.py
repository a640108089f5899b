"""PaymentActionRequired 1.0.0, on ``payments.updates``."""

from datetime import datetime
from typing import Self

from counterfoil.domain.payment import Fact
from counterfoil.domain.states import AttemptState
from counterfoil.messages.envelope import FactMessage, common


class PaymentActionRequired(FactMessage):
    """The customer must do something at ``url`` before the payment can go on."""

    url: str
    expires_at: datetime | None = None
    action_required_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        waiting = (one for one in fact.payment.attempts if one.state is AttemptState.REQUIRES_ACTION)
        action = next((attempt.action for attempt in waiting), None)
        return cls(
            **common(fact),
            url=action.url if action else "",
            expires_at=action.expires_at if action else None,
            action_required_at=fact.at,
        )
