"""The daily partitions that hold the bodies of notices, made ahead of need and dropped when their time is over."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from counterfoil.store import queries

if TYPE_CHECKING:
    from counterfoil.store.pool import Connection, Pool

DAYS_AHEAD: Final = 14
"""Made by ``migrate``, and by every writing role at start and daily: two weeks in which all of them may be down."""

FEWEST_AHEAD: Final = 2
"""With less than this a role that writes is not ready: tomorrow's notices would have no place."""

DAYS_KEPT: Final = 30
"""For as long a body is kept at least: Stripe's own list of events reaches back as far, so that whoever looks finds
here what they would find there. The small row, by which an event is known again, is kept for ever."""

MOST_AT_ONCE: Final = 20
"""Dropped in one transaction; as a rule it is one. Where nobody tended for long, bodies must not be locked for long."""

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


async def drop_expired(pool: "Pool", today: date) -> int:
    """Drop the partitions whose time is over, but for those with a body still to be read; return how many went."""
    dropped, last = 0, MOST_AT_ONCE
    while last == MOST_AT_ONCE:
        last = await pool.fetchval(_SQL.drop_partitions, today - timedelta(days=DAYS_KEPT), MOST_AT_ONCE)
        dropped += last
    return dropped


async def readiness(connection: "Connection | Pool", today: date) -> Readiness:
    """Return what the store says of itself.

    Raises:
        asyncpg.UndefinedTableError: the database was never migrated.
    """
    row = await connection.fetchrow(_SQL.readiness, today)
    assert row is not None
    return Readiness(row["schema_version"] or 0, row["partitions_ahead"])
