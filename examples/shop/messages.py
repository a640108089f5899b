"""What the shop says and hears, as it stands in Kafka.

What it says is snake_case in OrderPlaced and camelCase in OrderCancelled; what it hears is camelCase. Fields that are
not read here are passed over: Counterfoil may add some at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from examples.shop.orders import Adjusted, Fact, Paid, Refund, Refunded, Refused, Stock, Unpaid

TOPICS: Final = (
    "payments.completed",
    "payments.failed",
    "payments.updates",
    "refunds.processed",
    "inventory.adjustments",
)
"""What is heard. Of `payments.updates` only PaymentCanceled: a customer who never came back is no PaymentFailed."""

LARGEST_AMOUNT: Final = 99_999_999
"""In cents: the largest that Stripe takes."""

Cents = Annotated[int, Field(ge=0, le=LARGEST_AMOUNT)]
Name = Annotated[str, Field(min_length=1, max_length=255)]


def order_placed(  # noqa: PLR0913 - all by keyword, each a field of the message
    *,
    event_id: UUID,
    order_id: str,
    amount_cents: int,
    currency: str,
    customer_id: str,
    email: str,
    lines: Mapping[str, int],
    payment_method: str,
    off_session: bool,
) -> dict[str, Any]:
    """Return OrderPlaced 1.0.0. The event's id is what the payment is known by: the same id is charged once."""
    return {
        "event_id": str(event_id),
        "order_id": order_id,
        "amount_cents": amount_cents,
        "currency": currency,
        "customer_id": customer_id,
        "customer_email": email,
        "items": [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()],
        "payment_method": payment_method,
        "off_session": off_session,
        "schema_version": "1.0.0",
    }


def order_cancelled(*, order_id: str, reason: str, cancelled_at: datetime) -> dict[str, Any]:
    """Return OrderCancelled 1.0.0."""
    return {"orderId": order_id, "reason": reason, "cancelledAt": cancelled_at.isoformat()}


@dataclass(frozen=True, slots=True)
class Record:
    """A message as it came off a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact, whose order it is about, and the id by which it is known should it come again."""

    message_id: str
    order_id: str
    fact: Fact


class Unreadable(Exception):
    """A message is not what its topic promises. The sentence says what is wrong, and quotes nothing of it."""


class _Message(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, strict=False)

    order_id: Name


class _PaymentSucceeded(_Message):
    payment_id: UUID
    amount: Cents

    def fact(self, _sequence: int) -> Fact:
        return Paid(self.payment_id, self.amount)


class _PaymentEnded(_Message):
    payment_id: UUID
    reason: Name

    def fact(self, _sequence: int) -> Fact:
        return Unpaid(self.payment_id, self.reason)


class _OrderRefused(_Message):
    reason: Name

    def fact(self, _sequence: int) -> Fact:
        return Refused(self.reason)


class _RefundEnded(_Message):
    refund_id: UUID
    amount: Cents


class _RefundProcessed(_RefundEnded):
    def fact(self, sequence: int) -> Fact:
        return Refunded(self.refund_id, Refund(sequence, self.amount, processed=True))


class _RefundFailed(_RefundEnded):
    def fact(self, sequence: int) -> Fact:
        return Refunded(self.refund_id, Refund(sequence, self.amount, processed=False))


class _InventoryAdjustmentRequested(_Message):
    direction: Literal["DECREMENT", "RELEASE"]

    def fact(self, _sequence: int) -> Fact:
        return Adjusted(Stock.TAKEN if self.direction == "DECREMENT" else Stock.LET_GO)


_Model = (
    type[_PaymentSucceeded]
    | type[_PaymentEnded]
    | type[_OrderRefused]
    | type[_RefundProcessed]
    | type[_RefundFailed]
    | type[_InventoryAdjustmentRequested]
)

_MODELS: Final[Mapping[str, _Model]] = MappingProxyType(
    {
        "PaymentSucceeded": _PaymentSucceeded,
        "PaymentFailed": _PaymentEnded,
        "PaymentCanceled": _PaymentEnded,
        "OrderRefused": _OrderRefused,
        "RefundProcessed": _RefundProcessed,
        "RefundFailed": _RefundFailed,
        "InventoryAdjustmentRequested": _InventoryAdjustmentRequested,
    }
)


def read(record: Record) -> Heard | None:
    """Return what a message tells; None where that is nothing to us: another type, or no value at all.

    Raises:
        Unreadable: it is of a type that we hear, and cannot be read.
    """
    kind = _text(record, "ce_type")
    model = _MODELS.get(kind)
    if model is None or record.value is None:
        return None
    try:
        message = model.model_validate_json(record.value)
    except ValidationError as error:
        places = ", ".join(
            sorted({".".join(str(part) for part in one["loc"]) or "the whole" for one in error.errors()})
        )
        raise Unreadable(f"{kind} does not fit: {places}") from None
    sequence = _text(record, "ce_sequence") if "ce_sequence" in record.headers else "0"
    if not (sequence.isascii() and sequence.isdigit()) or len(sequence) > len(str(2**62)):
        raise Unreadable("ce_sequence is no number")
    return Heard(_text(record, "ce_id"), message.order_id, message.fact(int(sequence)))


def _text(record: Record, header: str) -> str:
    try:
        return record.headers[header].decode()
    except KeyError:
        raise Unreadable(f"there is no header {header}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"{header} is no text") from None
