"""The way out of the store. The typed side of ``sql/outbox.sql``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.store import queries
from counterfoil.store.pool import Connection

CHANNEL: Final = "counterfoil_outbox"
"""Notified whenever the outbox grows; see ``schema.sql``."""

_SQL: Final = queries.load("outbox")


@dataclass(frozen=True, slots=True)
class FactId:
    """A fact by its payment and number."""

    payment_id: UUID
    version: int


async def try_to_lead(connection: Connection) -> bool:
    """Return whether this connection is now the one that publishes; it stays so until it closes."""
    leads: bool = await connection.fetchval(_SQL.try_to_lead)
    return leads


async def next_facts(connection: Connection, most: int) -> list[FactId]:
    """Return the lowest unpublished fact of up to ``most`` payments."""
    records = await connection.fetch(_SQL.next_facts, most)
    return [FactId(record["payment_id"], record["version"]) for record in records]


async def mark_published(connection: Connection, facts: Sequence[FactId], now: datetime) -> None:
    """Give these facts their positions, in this order, and take them out of the outbox."""
    await connection.execute(
        _SQL.mark_published,
        [fact.payment_id for fact in facts],
        [fact.version for fact in facts],
        now,
    )


async def waiting(connection: Connection) -> int:
    """Return how many facts wait to be published."""
    count: int = await connection.fetchval(_SQL.waiting)
    return count
