"""An order is cancelled: whatever its payment has come to, it ends without the money, or gives it back."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique
from uuid import UUID

from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.standing import settle
from counterfoil.domain.verdict import Cause, Source


@unique
class CancelReason(StrEnum):
    """Why an order was cancelled, in the words of whoever cancelled it."""

    CUSTOMER_REQUESTED = "CUSTOMER_REQUESTED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    FRAUD = "FRAUD"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """An order that is not wanted any more. ``cancelled_at`` is when, as its owner says."""

    order_id: str
    reason: CancelReason
    cancelled_at: datetime | None = None


def cancel(payment: Payment, cancellation: Cancellation, refund_id: UUID, now: datetime) -> Advance:
    """Return the payment of a cancelled order; cancelled twice is cancelled once.

    What was never sent ends here. What is unresolved, or with a bank, is settled first; what is held, or waits for its
    customer, is let go at the processor; what was taken goes back. `settle` sees to all of it, now and whenever more
    is heard, because the cancellation stays on the payment.

    Args:
        payment: as it stands, locked.
        cancellation: of its order.
        refund_id: what the refund is called, should there be money to give back, now or late.
        now: when this is heard.
    """
    if payment.cancel_reason in set(CancelReason):
        return Advance(payment)
    asked = replace(
        payment,
        cancel_requested_at=payment.cancel_requested_at or now,
        cancel_reason=cancellation.reason.value,
        cancel_refund_id=refund_id,
    )
    return settle(payment, asked, Cause(Source.ORDER, payment.order_id), now)
