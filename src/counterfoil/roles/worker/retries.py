"""Stored methods that were declined are tried again."""

from collections.abc import Sequence

from counterfoil.domain.errors import Unavailable
from counterfoil.journey import retry
from counterfoil.journey.retry import Due, Prepared
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.batching import Batcher


class Retries:
    """Retries of ours that are due become attempts, which the senders send."""

    name = "retry"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._recorded: Batcher[Prepared, None] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin to try again what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, retry.MOST_AT_ONCE, self._claim, self._retry)

    async def _claim(self, free: int) -> list[Due]:
        bench, world = self._bench, self._bench.world
        return await retry.take_due(world.pool, bench.claimant, world.clock.now(), free)

    async def _retry(self, due: Due) -> None:
        try:
            prepared = await retry.prepare(self._bench.processor, due)
        except Unavailable:
            return  # it is taken again once this worker's time with it is over
        await self._recorded.submit(prepared)

    async def _record(self, prepared: Sequence[Prepared]) -> list[None]:
        world = self._bench.world
        await retry.record(world.pool, world.ids, prepared, world.clock.now())
        return [None] * len(prepared)
