"""Cancelled orders are caught up with."""

from counterfoil.journey import cancel
from counterfoil.roles.worker.bench import Bench


class Cancellations:
    """Payments that were accepted in the very moment in which their order was cancelled hear of it."""

    name = "cancel"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world

    async def round(self) -> bool:
        """Cancel what crossed; return whether there may be more."""
        world = self._world
        return await cancel.catch_up(world.pool, world.ids, world.clock.now()) >= cancel.MOST_AT_ONCE
