"""Who a customer is at Stripe: the body of ``PUT /customers/{id}``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from counterfoil.domain.order import Link
from counterfoil.messages.field_types import ExternalId


class CustomerLink(BaseModel):
    """Which of Stripe's customers it is, and what is charged when an order of theirs names no method.

    A token is no default: it is good for one use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stripe_customer: Annotated[str, StringConstraints(max_length=255, pattern=r"^cus_[!-~]+\z")]
    default_payment_method: Annotated[ExternalId, StringConstraints(pattern=r"^(pm|card|src|ba)_")] | None = None

    def link(self) -> Link:
        """Return the link it asks for."""
        return Link(self.stripe_customer, self.default_payment_method)
