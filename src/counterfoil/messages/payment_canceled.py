"""PaymentCanceled 1.0.0, on ``payments.updates``."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Self

from counterfoil.domain.payment import Fact
from counterfoil.domain.verdict import Source
from counterfoil.messages.envelope import FactMessage, common

REASONS: Final[Mapping[Source, str]] = MappingProxyType(
    {
        Source.ORDER: "ORDER_CANCELLED",
        Source.ANSWER: "CANCELED_AT_PROCESSOR",
        Source.NOTICE: "CANCELED_AT_PROCESSOR",
        Source.LOOK_UP: "CANCELED_AT_PROCESSOR",
        Source.TIMER: "EXPIRED",
    },
)
"""What ended the payment, by how it became known. What we let go because its time was over has expired, whoever says
first that it is gone."""


class PaymentCanceled(FactMessage):
    """The payment ended without money; ``reason`` names what ended it."""

    reason: str
    canceled_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        last = fact.payment.last_attempt
        source = Source.TIMER if last is not None and last.expired_at is not None else fact.cause.source
        return cls(**common(fact), reason=REASONS[source], canceled_at=fact.at)
