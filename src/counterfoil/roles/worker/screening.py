"""Payments on which nobody decided in time go on: to a person, or to their end."""

from counterfoil.journey import assess
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.metrics import REVIEWS
from counterfoil.store import screening
from counterfoil.store.pool import unavailable_when_down


class Reviews:
    """What waits for a fraud check, or for a person, waits no longer than it may."""

    name = "review"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world

    async def round(self) -> bool:
        """Go on with what nobody decided on; return whether there may be more."""
        world = self._world
        ended = await assess.run_out(world.pool, world.ids, world.clock.now())
        async with unavailable_when_down():
            REVIEWS.set(await screening.under_review(world.pool))
        return ended == assess.MOST_AT_ONCE
