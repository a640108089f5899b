"""Facts: things that became true of a payment. What is published is exactly these."""

from collections.abc import Mapping
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from counterfoil.domain.states import PaymentState


@unique
class FactName(StrEnum):
    """The name of a fact, and of the message that tells it."""

    PAYMENT_REQUESTED = "PaymentRequested"
    PAYMENT_PROCESSING = "PaymentProcessing"
    PAYMENT_ACTION_REQUIRED = "PaymentActionRequired"
    PAYMENT_AUTHORIZED = "PaymentAuthorized"
    PAYMENT_SUCCEEDED = "PaymentSucceeded"
    PAYMENT_FAILED = "PaymentFailed"
    PAYMENT_CANCELED = "PaymentCanceled"
    PAYMENT_IN_DOUBT = "PaymentInDoubt"
    PAYMENT_ATTEMPT_FAILED = "PaymentAttemptFailed"
    PAYMENT_DISPUTED = "PaymentDisputed"
    REFUND_REQUESTED = "RefundRequested"
    REFUND_PROCESSED = "RefundProcessed"
    REFUND_FAILED = "RefundFailed"
    INVENTORY_ADJUSTMENT_REQUESTED = "InventoryAdjustmentRequested"


ON_ENTERING: Final[Mapping[PaymentState, FactName]] = MappingProxyType(
    {
        PaymentState.REQUIRES_ACTION: FactName.PAYMENT_ACTION_REQUIRED,
        PaymentState.AUTHORIZED: FactName.PAYMENT_AUTHORIZED,
        PaymentState.SUCCEEDED: FactName.PAYMENT_SUCCEEDED,
        PaymentState.FAILED: FactName.PAYMENT_FAILED,
        PaymentState.CANCELED: FactName.PAYMENT_CANCELED,
        PaymentState.IN_DOUBT: FactName.PAYMENT_IN_DOUBT,
    },
)
"""What entering a state says. ``requested`` is said at accept; ``processing`` says something only when the processor
itself called the attempt processing, not when we merely sent it."""
