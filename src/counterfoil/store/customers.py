"""Which of our customers is which of the processor's. The typed side of ``sql/customers.sql``."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from counterfoil.domain.order import Link
from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("customers")


async def put(connection: Connection | Pool, customer_id: str, link: Link, now: datetime) -> None:
    """Link a customer of ours; what was linked before is replaced."""
    await connection.execute(_SQL.put, customer_id, link.processor_customer_id, link.default_method, now)


async def links(connection: Connection | Pool, customer_ids: Iterable[str]) -> dict[str, Link]:
    """Return who these customers are at the processor, by our id; those that are not linked are left out."""
    records = await connection.fetch(_SQL.links, list(customer_ids))
    return {record["id"]: Link(record["processor_id"], record["default_method"]) for record in records}
