"""What all messages that tell a fact have in common."""

from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from counterfoil.domain.payment import Fact


class FactMessage(BaseModel):
    """A fact on the wire: camelCase JSON, amounts in minor units, times in UTC.

    Fields are only ever added; anything else is a new version beside the old one.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True, extra="forbid")

    schema_version: ClassVar[str] = "1.0.0"

    payment_id: UUID
    order_id: str
    event_id: str
    amount: int
    currency: str

    def wire(self) -> str:
        """Return the message as it is stored and published: JSON without the fields that are not known."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


def common(fact: Fact) -> dict[str, Any]:
    """Return the fields that every message about a payment carries."""
    payment = fact.payment
    return {
        "payment_id": payment.id,
        "order_id": payment.order_id,
        "event_id": payment.event_id,
        "amount": payment.money.amount,
        "currency": payment.money.currency,
    }
