"""PaymentCanceled 1.0.0, on ``payments.updates``."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Self

from counterfoil.domain.capturing import CANCELED_ON_REQUEST
from counterfoil.domain.payment import Fact, Payment
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
"""What ended the payment that nobody asked to be canceled, by how it became known."""


class PaymentCanceled(FactMessage):
    """The payment ended without money; ``reason`` names what ended it."""

    reason: str
    canceled_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        return cls(**common(fact), reason=_reason(fact.payment, fact.cause.source), canceled_at=fact.at)


def _reason(payment: Payment, source: Source) -> str:
    """Return what ended a payment: whoever says first that it is gone, it is gone for the same reason.

    What was asked to be canceled was; else what was let go because its time was over, by us or by the processor, has
    expired.
    """
    if payment.cancel_requested_at is not None:
        asked = payment.cancel_reason == CANCELED_ON_REQUEST
        return CANCELED_ON_REQUEST if asked else REASONS[Source.ORDER]
    last = payment.last_attempt
    return REASONS[Source.TIMER if last is not None and last.expired_at is not None else source]
