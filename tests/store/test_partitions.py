"""Bodies of notices always have a place: partitions are made ahead, whatever the clock does."""

import asyncio
from datetime import date, timedelta

import asyncpg
import pytest
from tests import told

from counterfoil.store.partitions import DAYS_AHEAD, make_partitions, readiness
from counterfoil.store.pool import Pool

KEEP = "INSERT INTO notice_bodies VALUES ($1, '', false, 'evt_1', ''::bytea)"


async def days(pool: Pool) -> list[date]:
    rows = await pool.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits ORDER BY 1")
    return [date.fromisoformat(row["name"].removeprefix("notice_bodies_")) for row in rows if "pkey" not in row["name"]]


async def test_migrating_makes_two_weeks_of_partitions(pool: Pool) -> None:
    """From the day of the migration on, so that all roles may be down for two weeks."""
    first = told.START.date()
    assert [first + timedelta(days=n) for n in range(DAYS_AHEAD)] == await days(pool)


async def test_a_leap_of_the_clock_is_caught_up(pool: Pool, clock: told.Clock) -> None:
    """A month later there is no place any more; making partitions again gives one, and readiness says both."""
    later = clock.advance(timedelta(days=30)).date()
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(KEEP, later)
    assert (await readiness(pool, later)).partitions_ahead == 0

    assert await make_partitions(pool, later) == DAYS_AHEAD

    await pool.execute(KEEP, later)
    assert (await readiness(pool, later)).partitions_ahead == DAYS_AHEAD


async def test_a_day_later_only_the_missing_day_is_made(pool: Pool, clock: told.Clock) -> None:
    """Daily work is one partition."""
    assert await make_partitions(pool, clock.advance(timedelta(days=1)).date()) == 1


async def test_many_roles_may_make_them_at_once(pool: Pool, clock: told.Clock) -> None:
    """Each role makes them at start; together they make each once."""
    later = clock.advance(timedelta(days=100)).date()
    made = await asyncio.gather(*(make_partitions(pool, later) for _ in range(5)))
    assert sum(made) == DAYS_AHEAD


async def test_what_is_made_later_is_like_what_was_made_before(pool: Pool, clock: told.Clock) -> None:
    """Attached partitions carry the primary key of their parent."""
    later = clock.advance(timedelta(days=50)).date()
    await make_partitions(pool, later)
    await pool.execute(KEEP, later)
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(KEEP, later)
