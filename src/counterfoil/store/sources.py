"""Outboxes of other services, in whatever database they are. The typed side of ``sql/sources.sql``.

They are their services' tables: all that we do there is to read rows, and to say of each when it was published.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from counterfoil.store import queries
from counterfoil.store.pool import Connection
from counterfoil.store.pool import Row as _Record

LARGEST_PAYLOAD_BYTES: Final = 1_000_000
"""What librdkafka and brokers take of a message unless told otherwise; what is larger need not travel to be refused."""

TOGETHER_BYTES: Final = 16_000_000
"""Of the payloads that are read at once: five hundred rows of the largest size would be half a gigabyte. Whoever has as
much on its way reads no more."""

COUNTED: Final = 100_000
"""Where more rows wait, the figure tells nobody more."""

FORBIDDEN: Final = (asyncpg.InsufficientPrivilegeError,)
"""What the driver raises where a role has not been granted enough."""

REFUSED: Final = (asyncpg.PostgresError,)
"""What the driver raises for whatever else the database refuses. Its words may quote a row: they are not for a log."""

_ANY: Final = ("text", "character varying", "character", "uuid", "smallint", "integer", "bigint")
_COLUMNS: Final = {
    "event_id": (("uuid",), True),
    "aggregate": (_ANY, True),
    "aggregate_id": (_ANY, True),
    "event_type": (("text", "character varying"), True),
    "payload": (("jsonb",), True),
    "tenant_id": (_ANY, False),
    "created_at": (("timestamp with time zone",), True),
    "published_at": (("timestamp with time zone",), False),
}
"""What each may be, and whether it must be there in every row."""

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", re.ASCII)
_SQL: Final = queries.load("sources")


@dataclass(frozen=True, slots=True)
class Table:
    """A table by its name, which may begin with its schema's."""

    name: str

    def __post_init__(self) -> None:
        assert _NAME.fullmatch(self.name), "the settings take no other"

    def put_into(self, query: str) -> str:
        """Return a query of this table."""
        return query.replace("{table}", ".".join(f'"{part}"' for part in self.name.split(".")))


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What a row tells of, and within which its order is kept."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is still to be published; ``payload`` is JSON, and None where it is too large for any broker.

    A well-formed ``traceparent`` at the top level of the payload was taken out of it.
    """

    event_id: UUID
    aggregate: Aggregate
    event_type: str
    tenant_id: str | None
    created_at: datetime
    payload: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many of the oldest rows wait, and since when; how many are of types that have no topic, and one of these."""

    count: int
    since: datetime | None
    unmapped: int
    unmapped_type: str | None


async def lacking(connection: Connection, table: Table) -> str | None:
    """Return what the table lacks of an outbox, in words that follow its name; None where it lacks nothing."""
    found = {record["name"]: record for record in await connection.fetch(_SQL.shape, table.name)}
    if not found:
        return "is not there"
    wrong = [why for name in _COLUMNS if (why := _lacking(name, found.get(name))) is not None]
    return wrong[0] if wrong else None


def _lacking(name: str, column: _Record | None) -> str | None:
    types, required = _COLUMNS[name]
    if column is None:
        return f"has no column {name}"
    if column["type"] not in types:
        return f"has a column {name} of type {column['type']}, not {types[0]}"
    if required and not column["required"]:
        return f"has a column {name} that may be null"
    if not column["readable"]:
        return f"does not let us read {name}: grant SELECT"
    if name == "published_at" and not column["writable"]:
        return "does not let us say what was published: grant UPDATE (published_at)"
    return None


async def try_to_lead(connection: Connection, table: Table) -> bool:
    """Return whether this connection is now the one that sends the table's rows; it stays so until it closes."""
    leads: bool | None = await connection.fetchval(_SQL.try_to_lead, table.name)
    return bool(leads)


async def next_rows(
    connection: Connection, table: Table, types: Collection[str], most: int, but_for: Collection[Aggregate]
) -> list[Row]:
    """Return the oldest unpublished row of each aggregate among the ``most`` oldest rows of these types.

    Those aggregates are left out. Order within an aggregate is that of ``created_at``, then of ``event_id``.
    """
    records = await connection.fetch(
        table.put_into(_SQL.next_rows),
        list(types),
        [one.kind for one in but_for],
        [one.id for one in but_for],
        LARGEST_PAYLOAD_BYTES,
        most,
        TOGETHER_BYTES,
    )
    return [
        Row(event_id, Aggregate(kind, number), *rest)
        for event_id, kind, number, *rest in (record.values() for record in records)
    ]


async def mark_published(
    connection: Connection, table: Table, event_ids: Sequence[UUID], now: datetime
) -> frozenset[UUID]:
    """Say that these rows were published; return those that do not say so all the same.

    A policy or a trigger of the table's may pass over us without a word. What was deleted meanwhile is none of them.
    """
    records = await connection.fetch(table.put_into(_SQL.mark_published), list(event_ids), now)
    if sum(record["marked"] for record in records) == len(event_ids):
        return frozenset()
    return frozenset(record[0] for record in await connection.fetch(table.put_into(_SQL.unmarked), list(event_ids)))


async def waiting(connection: Connection, table: Table, types: Collection[str]) -> Waiting:
    """Return what waits, of up to `COUNTED` rows."""
    record = await connection.fetchrow(table.put_into(_SQL.waiting), list(types), COUNTED)
    assert record is not None
    return Waiting(*record.values())
