"""How an order's payment stands. The typed side of ``sql/statuses.sql``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("statuses")


@dataclass(frozen=True, slots=True)
class Standing:
    """The payment that tells how an order stands; amounts in minor units."""

    payment_id: UUID
    state: str
    amount: int
    currency: str
    amount_captured: int
    amount_refunded: int
    updated_at: datetime


async def of_order(connection: Connection | Pool, order_id: str) -> Standing | None:
    """Return how an order stands, if it has any payment: by its money, else by its live payment, else by its latest."""
    record = await connection.fetchrow(_SQL.of_order, order_id)
    return None if record is None else Standing(*record.values())
