"""An order as the wish that accept takes: with what the processor is asked for it, and how it is screened."""

from dataclasses import replace
from uuid import UUID

from counterfoil.config import Settings
from counterfoil.domain.errors import MethodRefused
from counterfoil.domain.order import Order
from counterfoil.domain.payment import ScreeningMode
from counterfoil.domain.screening import Screening, as_asked
from counterfoil.journey.accept import Wish
from counterfoil.processors.port import Processor


def screening_of(settings: Settings) -> Screening:
    """Return how payments are screened with these settings."""
    return Screening(ScreeningMode(settings.fraud_screening.value), settings.fraud_timeout, settings.fraud_auto_block)


async def wish_for(
    processor: Processor, payment_id: UUID, settled: Order, screening: Screening, owner: str | None
) -> Wish:
    """Return the order with its request, which holds first what is captured only once its fraud check approves it.

    Where the method cannot hold, the check comes before the charge.

    Raises:
        Refused: the order cannot be charged.
        Unavailable: the processor does not say what its method is.
    """
    if settled.payment_method is None:
        raise MethodRefused("is missing, and there is no default to charge instead")
    holds = screening.mode is not ScreeningMode.BEFORE_CAPTURE or await processor.can_hold(settled.method)
    if not holds:
        screening = replace(screening, mode=ScreeningMode.BEFORE_CHARGE)
    request = await processor.request_for(payment_id, as_asked(settled, screening.mode))
    stored = processor.may_charge_again(request)
    return Wish(payment_id, settled, request, processor.livemode, owner, stored, screening)
