"""The daily partitions that hold the bodies of notices, made ahead of need."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from counterfoil.store import queries

if TYPE_CHECKING:
    from counterfoil.store.pool import Connection, Pool

DAYS_AHEAD: Final = 14
"""Made by ``migrate``, and by every writing role at start and daily: two weeks in which all of them may be down."""

FEWEST_AHEAD: Final = 2
"""With less than this a role that writes is not ready: tomorrow's notices would have no place."""

_SQL: Final = queries.load("server")


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the store can say of itself: the schema's version, and for how many days from today bodies have a place."""

    schema_version: int
    partitions_ahead: int


async def make_partitions(connection: "Connection | Pool", today: date) -> int:
    """Make the partitions from today on that are missing; return how many were made."""
    made: int = await connection.fetchval(_SQL.make_partitions, today, DAYS_AHEAD)
    return made


async def readiness(connection: "Connection | Pool", today: date) -> Readiness:
    """Return what the store says of itself.

    Raises:
        asyncpg.UndefinedTableError: the database was never migrated.
    """
    row = await connection.fetchrow(_SQL.readiness, today)
    assert row is not None
    return Readiness(row["schema_version"] or 0, row["partitions_ahead"])
