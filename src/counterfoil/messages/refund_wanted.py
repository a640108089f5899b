"""Money asked back: the body of ``POST /payments/{id}/refunds``."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from counterfoil.domain.money import LARGEST_AMOUNT
from counterfoil.domain.refunding import Wish


class RefundWanted(BaseModel):
    """How much is to be given back, in minor units, and why; without an amount all that is left."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT)] | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")] | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+\z")] | None = (
        None
    )

    def wish(self, payment_id: UUID, key: str) -> Wish:
        """Return what is wished of that payment, under that key."""
        currency = None if self.currency is None else self.currency.upper()
        return Wish(payment_id, key, self.amount, currency, self.reason)
