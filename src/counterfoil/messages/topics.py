"""The topics: what is said on each and in which version, who says it, and who hears it here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from counterfoil.messages.cloud_event import schema_name
from counterfoil.messages.fraud_check_completed import FraudCheckCompleted
from counterfoil.messages.inventory_adjustment_requested import InventoryAdjustmentRequested
from counterfoil.messages.order_cancelled import OrderCancelled
from counterfoil.messages.order_placed import OrderPlaced
from counterfoil.messages.order_refused import OrderRefused
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
from counterfoil.messages.process_payment import ProcessPayment
from counterfoil.messages.refund_failed import RefundFailed
from counterfoil.messages.refund_payment import RefundPayment
from counterfoil.messages.refund_processed import RefundProcessed
from counterfoil.messages.refund_requested import RefundRequested

DEAD_LETTERS: Final = ".dlq"
"""What the name of a topic ends with that has what could not be worked on of another."""


@unique
class Direction(StrEnum):
    """Whether we hear what is on a topic, or say it."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message in one version."""

    model: type[BaseModel]
    version: str

    @property
    def name(self) -> str:
        """What it is called: the CloudEvents ``type``."""
        return self.model.__name__

    @property
    def schema_name(self) -> str:
        """The name of its schema: the CloudEvents ``dataschema``."""
        return schema_name(self.name, self.version)

    @property
    def file_name(self) -> str:
        """The file that its schema is checked in as."""
        return f"{self.name}-{self.version}.json"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic. Those that we hear have a second one, ``.dlq``, for what cannot be worked on."""

    name: str
    direction: Direction
    messages: tuple[Spoken, ...]
    purpose: str

    @property
    def dead_letters(self) -> str | None:
        """Where what cannot be worked on goes, with the reason in its headers; None for what we say ourselves."""
        return f"{self.name}{DEAD_LETTERS}" if self.direction is Direction.IN else None


def _heard(name: str, purpose: str, *messages: Spoken) -> Topic:
    return Topic(name, Direction.IN, messages, purpose)


def _said(name: str, purpose: str, *models: type[BaseModel]) -> Topic:
    return Topic(name, Direction.OUT, tuple(Spoken(model, "1.0.0") for model in models), purpose)


TOPICS: Final = (
    _heard("orders.placed", "Orders to be paid. The dispatcher hears them.", Spoken(OrderPlaced, "1.0.0")),
    _heard("orders.cancelled", "Orders not wanted any more. The worker hears them.", Spoken(OrderCancelled, "1.0.0")),
    _heard(
        "payments.commands",
        "Payments and refunds asked for. The worker hears them.",
        Spoken(ProcessPayment, "0.0.1"),
        Spoken(RefundPayment, "0.0.1"),
    ),
    _heard("fraud.checks", "What fraud checks found. The worker hears them.", Spoken(FraudCheckCompleted, "0.0.1")),
    _said("payments.requested", "A payment, or a further attempt of one, is about to be made.", PaymentRequested),
    _said("payments.completed", "The money is there.", PaymentSucceeded),
    _said("payments.failed", "There will be no money, for all we know.", PaymentFailed, OrderRefused),
    _said(
        "payments.updates",
        "What else became true of payments.",
        PaymentAuthorized,
        PaymentAttemptFailed,
        PaymentActionRequired,
        PaymentProcessing,
        PaymentInDoubt,
        PaymentCanceled,
        PaymentDisputed,
    ),
    _said("refunds.requested", "A refund is about to be made.", RefundRequested),
    _said("refunds.processed", "How refunds ended.", RefundProcessed, RefundFailed),
    _said("inventory.adjustments", "What the stock is asked for.", InventoryAdjustmentRequested),
)
"""All of them, in the order of a payment's life."""


def spoken() -> Iterator[tuple[Topic, Spoken]]:
    """Yield every message with its topic."""
    for topic in TOPICS:
        for message in topic.messages:
            yield topic, message


TOPIC_OF: Final[Mapping[str, str]] = MappingProxyType({message.name: topic.name for topic, message in spoken()})
"""By the name of a message, where it is said."""
