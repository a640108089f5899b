"""OrderCancelled, on ``orders.cancelled``; over HTTP without the order's id, which stands in the path."""

from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.messages.field_types import ExternalId


class CancelOrder(BaseModel):
    """Why an order is not wanted any more, and since when: the body of ``POST /orders/{order_id}/cancel``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: CancelReason
    cancelled_at: AwareDatetime | None = None

    def of(self, order_id: str) -> Cancellation:
        """Return the cancellation of that order."""
        return Cancellation(order_id, self.reason, self.cancelled_at)


class OrderCancelled(CancelOrder):
    """The same as a message, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)

    order_id: ExternalId

    def cancellation(self) -> Cancellation:
        """Return the cancellation that this tells of."""
        return self.of(self.order_id)
