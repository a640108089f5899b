"""InventoryAdjustmentRequested 1.0.0, on ``inventory.adjustments``."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict

from counterfoil.domain.payment import Adjustment, Direction, Fact
from counterfoil.messages.envelope import FactMessage, common


class AdjustedItem(BaseModel):
    """What and how many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: str
    quantity: int


class InventoryAdjustmentRequested(FactMessage):
    """The stock is to be taken out, or what was reserved is to be let go."""

    direction: Direction
    items: tuple[AdjustedItem, ...]
    requested_at: datetime

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        asked = fact.about
        assert isinstance(asked, Adjustment)
        items = tuple(AdjustedItem(sku=sku, quantity=quantity) for sku, quantity in asked.items)
        return cls(**common(fact), direction=asked.direction, items=items, requested_at=fact.at)
