"""Whoever works with the store tends it: places for bodies are made ahead, and old ones are dropped."""

from datetime import datetime, timedelta

from tests.stage import becomes
from tests.told import Clock

from counterfoil.roles.tending import tended
from counterfoil.roles.world import World
from counterfoil.runtime.ids import Ids
from counterfoil.store.partitions import DAYS_AHEAD, DAYS_KEPT, readiness
from counterfoil.store.pool import Pool

OLDEST = "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'notice_bodies'::regclass"


async def told(clock: Clock, moment: datetime) -> str:
    return "later" if clock.now() >= moment else "earlier"


async def test_a_role_makes_places_ahead_and_drops_what_is_over(pool: Pool, clock: Clock, ids: Ids) -> None:
    """As long as it runs, by its clock: after two months the oldest place is not much older than bodies are kept."""
    until = clock.now() + timedelta(days=60)
    async with tended(World(pool, clock, ids)):
        await becomes("later", lambda: told(clock, until))
    today = clock.now().date()
    assert (await readiness(pool, today)).partitions_ahead >= DAYS_AHEAD - 1
    oldest = await pool.fetchval(OLDEST)
    assert oldest >= f"notice_bodies_{today - timedelta(days=DAYS_KEPT + 1):%Y%m%d}"
