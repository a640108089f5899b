"""Keeping deliveries, without a process around it: time is told."""

from datetime import timedelta

import pytest
from tests.deliveries import encoded, event
from tests.told import Clock

from counterfoil.domain.errors import Unavailable
from counterfoil.processors.stripe.notices import identify
from counterfoil.roles.webhook_receiver.keeping import Keeping, Received
from counterfoil.roles.world import World
from counterfoil.runtime.ids import Ids
from counterfoil.store.partitions import DAYS_AHEAD
from counterfoil.store.pool import Pool


async def test_a_day_without_a_place_for_bodies_is_our_fault_and_passes(pool: Pool, clock: Clock, ids: Ids) -> None:
    """Where no partition was made ahead nothing is kept and the sender is told to come again, whoever else came."""
    keeping = Keeping(World(pool, clock, ids))
    body = encoded(event("late"))
    clock.advance(timedelta(days=DAYS_AHEAD))

    with pytest.raises(Unavailable):
        await keeping.keep(Received(identify(body), body))

    assert await pool.fetchval("SELECT count(*) FROM notices") == 0
