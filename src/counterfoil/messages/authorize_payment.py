"""Money is to be held for an order, or for a cart that may become one: the body of ``POST /payments/authorize``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from counterfoil.domain.errors import InvalidRequest
from counterfoil.domain.money import LARGEST_AMOUNT, Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.messages.field_types import ExternalId


class AuthorizePayment(BaseModel):
    """A hold is asked for. ``amount`` is in minor units; a ``cart_id`` is the order's id from then on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order_id: ExternalId | None = None
    cart_id: ExternalId | None = None
    customer_id: ExternalId | None = None
    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")]
    payment_method: ExternalId | None = None

    def order(self, key: str | None) -> Order:
        """Return the order it asks for, under that idempotency key; without one the order's id is it.

        Raises:
            InvalidRequest: it names no order and no cart, or both.
        """
        named = [one for one in (self.order_id, self.cart_id) if one is not None]
        if len(named) != 1:
            raise InvalidRequest("order_id", "is required, or cart_id in its place")
        return Order(
            event_id=key or named[0],
            order_id=named[0],
            money=Money(self.amount, self.currency),
            payment_method=self.payment_method,
            customer_id=self.customer_id,
            capture_method=CaptureMethod.MANUAL,
        )
