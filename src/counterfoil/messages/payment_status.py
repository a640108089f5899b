"""GetPaymentStatus: how an order's payment stands, in the four words of those who only want to know that."""

from enum import StrEnum, unique
from typing import Final

from counterfoil.domain.states import PaymentState


@unique
class PaymentStatus(StrEnum):
    """What is asked most often: is it paid?"""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUNDED = "refunded"


def status_of(state: PaymentState, amount_captured: int, amount_refunded: int) -> PaymentStatus:
    """Return the status of a payment; it is refunded once all that was captured was given back, and not before."""
    if state is PaymentState.SUCCEEDED and 0 < amount_captured <= amount_refunded:
        return PaymentStatus.REFUNDED
    return _STATUSES.get(state, PaymentStatus.PENDING)


_STATUSES: Final = {
    PaymentState.SUCCEEDED: PaymentStatus.COMPLETED,
    PaymentState.FAILED: PaymentStatus.FAILED,
    PaymentState.CANCELED: PaymentStatus.FAILED,
}
