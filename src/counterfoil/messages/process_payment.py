"""ProcessPayment 0.0.1, on ``payments.commands``; in snake_case the body of ``POST /payments``."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, StringConstraints

from counterfoil.domain.errors import MethodRefused
from counterfoil.domain.money import parse_decimal
from counterfoil.domain.order import Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.messages.field_types import DecimalAmount, ExternalId
from counterfoil.messages.naming import TWO_NAMES


class MethodToken(BaseModel):
    """What is paid with: the processor's own name of it, and what kind of thing that is."""

    model_config = TWO_NAMES

    type: Literal["card", "bank_transfer", "paypal", "digital_wallet"]
    token: ExternalId


class ProcessMetadata(BaseModel):
    """What the payment is for."""

    model_config = TWO_NAMES

    subscription_id: ExternalId | None = None
    invoice_id: ExternalId | None = None
    customer_id: ExternalId | None = None
    order_id: ExternalId | None = None


class ProcessPayment(BaseModel):
    """A payment is to be made under an id that its sender chose. ``amount`` is a decimal, as people write it."""

    model_config = TWO_NAMES

    payment_id: UUID
    amount: DecimalAmount
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")]
    payment_method: MethodToken
    idempotency_key: ExternalId
    capture_immediately: bool = True
    metadata: ProcessMetadata = ProcessMetadata()

    def order(self) -> Order:
        """Return the order it asks for: the metadata's order, else its invoice, else one named like the key.

        Raises:
            InvalidRequest: the amount is not written as this currency is.
            AmountRefused: the currency cannot be charged.
            MethodRefused: no processor takes this kind of method yet.
        """
        if self.payment_method.type == "paypal":
            raise MethodRefused("of type paypal is not taken yet")
        about = self.metadata
        return Order(
            event_id=self.idempotency_key,
            order_id=about.order_id or about.invoice_id or self.idempotency_key,
            money=parse_decimal(f"{self.amount:f}", self.currency),
            payment_method=self.payment_method.token,
            customer_id=about.customer_id,
            capture_method=CaptureMethod.AUTOMATIC if self.capture_immediately else CaptureMethod.MANUAL,
            metadata={name: value for name, value in about.model_dump().items() if value is not None},
        )
