"""What is held is taken where somebody asked for it, and whoever asked could not, or did not see the end of it."""

from collections.abc import Sequence

from counterfoil.domain.payment import Payment
from counterfoil.journey import capture, operating
from counterfoil.journey.operating import Claimed, Heard
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.batching import Batcher


class Captures:
    """Holds whose capture is due are taken."""

    name = "capture"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._recorded: Batcher[Heard, Payment] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin to capture what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, capture.MOST_AT_ONCE, self._claim, self._take)

    async def _claim(self, _free: int) -> list[Claimed]:
        bench, world = self._bench, self._bench.world
        return await capture.claim_due(
            world.pool, world.ids, bench.processor.capture, bench.claimant, world.clock.now()
        )

    async def _take(self, taking: Claimed) -> None:
        heard = await operating.call(self._bench.processor, taking, self._bench.world.clock)
        await self._bench.pausing.note(heard.verdict)
        await self._recorded.submit(heard)

    async def _record(self, heard: Sequence[Heard]) -> list[Payment]:
        world = self._bench.world
        return await capture.record(world.pool, world.ids, heard, world.clock.now())
