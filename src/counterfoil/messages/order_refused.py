"""OrderRefused 1.0.0, on ``payments.failed``: the dispatcher could not bring an order to the gateway."""

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class OrderRefused(BaseModel):
    """An order will have no payment, as it was sent. There is no payment to name."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True, extra="forbid")

    schema_version: ClassVar[str] = "1.0.0"

    event_id: str
    order_id: str
    reason: str
    refused_at: datetime
