"""Which message tells which fact."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from counterfoil.domain.facts import FactName
from counterfoil.domain.payment import Fact
from counterfoil.messages.envelope import FactMessage
from counterfoil.messages.payment_action_required import PaymentActionRequired
from counterfoil.messages.payment_authorized import PaymentAuthorized
from counterfoil.messages.payment_canceled import PaymentCanceled
from counterfoil.messages.payment_failed import PaymentFailed
from counterfoil.messages.payment_in_doubt import PaymentInDoubt
from counterfoil.messages.payment_processing import PaymentProcessing
from counterfoil.messages.payment_requested import PaymentRequested
from counterfoil.messages.payment_succeeded import PaymentSucceeded

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
    },
)


def message_of(fact: Fact) -> FactMessage:
    """Return the message that tells this fact."""
    return _TELLERS[fact.name](fact)
