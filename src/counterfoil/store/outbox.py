"""The way out of the store. The typed side of ``sql/outbox.sql``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
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


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A fact to be published, whole; ``body`` is JSON, ``traceparent`` the one that its payment's order came with."""

    payment_id: UUID
    version: int
    id: UUID
    name: str
    schema_version: str
    occurred_at: datetime
    body: str
    traceparent: str | None

    @property
    def fact_id(self) -> FactId:
        """The fact by its payment and number."""
        return FactId(self.payment_id, self.version)


async def try_to_lead(connection: Connection) -> bool:
    """Return whether this connection is now the one that publishes; it stays so until it closes."""
    leads: bool = await connection.fetchval(_SQL.try_to_lead)
    return leads


async def next_facts(connection: Connection, most: int) -> list[FactId]:
    """Return the lowest unpublished fact of up to ``most`` payments."""
    records = await connection.fetch(_SQL.next_facts, most)
    return [FactId(record["payment_id"], record["version"]) for record in records]


async def next_messages(connection: Connection, most: int, but_for: Collection[UUID]) -> list[Unpublished]:
    """Return the lowest unpublished fact of up to ``most`` payments, whole; those payments are left out."""
    records = await connection.fetch(_SQL.next_messages, most, list(but_for))
    return [Unpublished(*record.values()) for record in records]


async def source(connection: Connection) -> str:
    """Return what names this installation to those who hear of several."""
    name: str = await connection.fetchval(_SQL.source)
    return name


async def mark_published(
    connection: Connection,
    facts: Sequence[FactId],
    now: datetime,
    undelivered: Mapping[FactId, str] = MappingProxyType({}),
) -> None:
    """Give these facts their positions, in this order, and take them out of the outbox.

    ``undelivered`` says why no broker has one that none has.
    """
    await connection.execute(
        _SQL.mark_published,
        [fact.payment_id for fact in facts],
        [fact.version for fact in facts],
        now,
        [undelivered.get(fact) for fact in facts],
    )


async def undelivered(connection: Connection) -> int:
    """Return how many published facts no broker has."""
    count: int = await connection.fetchval(_SQL.undelivered)
    return count


async def waiting(connection: Connection) -> int:
    """Return how many facts wait to be published."""
    count: int = await connection.fetchval(_SQL.waiting)
    return count
