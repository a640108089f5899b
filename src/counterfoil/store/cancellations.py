"""Cancelled orders, remembered whether or not their payment is here. The typed side of ``sql/cancellations.sql``."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.store import queries
from counterfoil.store.pool import Connection

_SQL: Final = queries.load("cancellations")


async def remember(connection: Connection, cancellation: Cancellation, now: datetime) -> None:
    """Put a cancellation on record, for the payments that are here and for those still to come; the first counts."""
    order_id, reason = cancellation.order_id, cancellation.reason.value
    await connection.execute(_SQL.remember, order_id, reason, now, cancellation.cancelled_at)


async def of_orders(connection: Connection, order_ids: Iterable[str]) -> dict[str, Cancellation]:
    """Return, by order, the cancellations of those that were cancelled."""
    records = await connection.fetch(_SQL.of_orders, list(order_ids))
    return {
        record["order_id"]: Cancellation(record["order_id"], CancelReason(record["reason"]), record["cancelled_at"])
        for record in records
    }


async def payments_of_order(connection: Connection, order_id: str) -> list[UUID]:
    """Return all payments of an order."""
    return [record["id"] for record in await connection.fetch(_SQL.payments_of_order, order_id)]


async def missed(connection: Connection, since: datetime, most: int) -> list[UUID]:
    """Return up to ``most`` payments that have not heard that their order was cancelled since then."""
    return [record["id"] for record in await connection.fetch(_SQL.missed, since, most)]
