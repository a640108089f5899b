"""OrderPlaced, as its producer writes it (snake_case), which is also the body of ``POST /charge``."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from counterfoil.domain.money import LARGEST_AMOUNT, Money
from counterfoil.domain.order import Item, Mandate, Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.messages.field_types import ExternalId, Metadata, WebAddress


class PlacedItem(BaseModel):
    """Something ordered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sku: ExternalId
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class PlacedMandate(BaseModel):
    """When and from where the customer consented to a debit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accepted_at: AwareDatetime
    ip_address: Annotated[str, StringConstraints(max_length=45)]
    user_agent: Annotated[str, StringConstraints(max_length=1000)]


class OrderPlaced(BaseModel):
    """An order was placed and is to be paid. ``amount_cents`` is in the currency's minor units."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event_id: ExternalId
    order_id: ExternalId
    amount_cents: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")]
    customer_id: ExternalId | None = None
    customer_email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    items: Annotated[tuple[PlacedItem, ...], Field(max_length=200)] = ()
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    payment_method: ExternalId | None = None
    off_session: bool = False
    mandate: ExternalId | PlacedMandate | None = None
    capture_method: Literal["automatic", "manual"] = "automatic"
    return_url: WebAddress | None = None
    metadata: Metadata = {}
    schema_version: Annotated[str, StringConstraints(max_length=20)] | None = None

    def order(self) -> Order:
        """Return the order it asks for."""
        return Order(
            event_id=self.event_id,
            order_id=self.order_id,
            money=Money(self.amount_cents, self.currency.upper()),
            payment_method=self.payment_method,
            customer_id=self.customer_id,
            customer_email=self.customer_email,
            items=tuple(Item(item.sku, item.quantity) for item in self.items),
            locale=self.locale,
            off_session=self.off_session,
            mandate=mandate_of(self.mandate),
            capture_method=CaptureMethod(self.capture_method),
            return_url=self.return_url,
            metadata=self.metadata,
        )


def mandate_of(given: str | PlacedMandate | None) -> Mandate | None:
    """Return the mandate that an id, or a consent as it was given, stands for."""
    if isinstance(given, PlacedMandate):
        return Mandate(accepted_at=given.accepted_at, ip_address=given.ip_address, user_agent=given.user_agent)
    return Mandate(id=given) if given is not None else None
