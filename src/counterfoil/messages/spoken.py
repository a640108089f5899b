"""Which message tells which fact."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from counterfoil.domain.facts import FactName
from counterfoil.domain.payment import Fact
from counterfoil.messages.envelope import FactMessage
from counterfoil.messages.inventory_adjustment_requested import InventoryAdjustmentRequested
from counterfoil.messages.payment_action_required import PaymentActionRequired
from counterfoil.messages.payment_attempt_failed import PaymentAttemptFailed
from counterfoil.messages.payment_authorized import PaymentAuthorized
from counterfoil.messages.payment_canceled import PaymentCanceled
from counterfoil.messages.payment_disputed import PaymentDisputed
from counterfoil.messages.payment_failed import PaymentFailed
from counterfoil.messages.payment_in_doubt import PaymentInDoubt
from counterfoil.messages.payment_processing import PaymentProcessing
from counterfoil.messages.payment_requested import PaymentRequested
from counterfoil.messages.payment_succeeded import PaymentSucceeded
from counterfoil.messages.refund_failed import RefundFailed
from counterfoil.messages.refund_processed import RefundProcessed
from counterfoil.messages.refund_requested import RefundRequested

_TELLERS: Final[Mapping[FactName, Callable[[Fact], FactMessage]]] = MappingProxyType(
    {
        FactName.PAYMENT_REQUESTED: PaymentRequested.of,
        FactName.PAYMENT_PROCESSING: PaymentProcessing.of,
        FactName.PAYMENT_ACTION_REQUIRED: PaymentActionRequired.of,
        FactName.PAYMENT_AUTHORIZED: PaymentAuthorized.of,
        FactName.PAYMENT_SUCCEEDED: PaymentSucceeded.of,
        FactName.PAYMENT_FAILED: PaymentFailed.of,
        FactName.PAYMENT_CANCELED: PaymentCanceled.of,
        FactName.PAYMENT_IN_DOUBT: PaymentInDoubt.of,
        FactName.PAYMENT_ATTEMPT_FAILED: PaymentAttemptFailed.of,
        FactName.PAYMENT_DISPUTED: PaymentDisputed.of,
        FactName.REFUND_REQUESTED: RefundRequested.of,
        FactName.REFUND_PROCESSED: RefundProcessed.of,
        FactName.REFUND_FAILED: RefundFailed.of,
        FactName.INVENTORY_ADJUSTMENT_REQUESTED: InventoryAdjustmentRequested.of,
    },
)


def message_of(fact: Fact) -> FactMessage:
    """Return the message that tells this fact."""
    return _TELLERS[fact.name](fact)
