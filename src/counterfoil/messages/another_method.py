"""Another payment method for a payment that failed: the body of ``POST /payments/{id}/payment-method``."""

from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from counterfoil.domain.order import Order
from counterfoil.messages.field_types import ExternalId, WebAddress
from counterfoil.messages.order_placed import PlacedMandate, mandate_of


class AnotherMethod(BaseModel):
    """How a failed payment is to be paid now. What is left out, but for the mandate, is as the order had it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    payment_method: ExternalId
    off_session: bool | None = None
    mandate: ExternalId | PlacedMandate | None = None
    return_url: WebAddress | None = None

    def applied_to(self, order: Order) -> Order:
        """Return the order as it is to be paid now; a mandate goes with its method, so the old one does not stay."""
        return replace(
            order,
            payment_method=self.payment_method,
            off_session=order.off_session if self.off_session is None else self.off_session,
            mandate=mandate_of(self.mandate),
            return_url=self.return_url or order.return_url,
        )
