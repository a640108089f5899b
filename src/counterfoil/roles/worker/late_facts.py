"""What is known late of payments is learned, at leisure."""

from collections.abc import Sequence

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Verdict
from counterfoil.journey import learn
from counterfoil.journey.learn import Heard
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.batching import Batcher
from counterfoil.store.learning import Due


class LateFacts:
    """Fees, and disputes that no notice told of."""

    name = "learn"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._recorded: Batcher[Heard, None] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin to ask for what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, learn.MOST_AT_ONCE, self._claim, self._learn)

    async def _claim(self, free: int) -> list[Due]:
        bench, world = self._bench, self._bench.world
        return await learn.claim_due(world.pool, bench.claimant, world.clock.now(), free)

    async def _learn(self, due: Due) -> None:
        heard = await learn.call(self._bench.processor, due)
        if heard.learned.key_refused:
            unknown, said = AttemptHappening.UNKNOWN, heard.learned
            await self._bench.pausing.note(Verdict(unknown, said.cause, key_refused=True, alarm=said.alarm))
        await self._recorded.submit(heard)

    async def _record(self, heard: Sequence[Heard]) -> list[None]:
        world = self._bench.world
        await learn.record(world.pool, world.ids, heard, world.clock.now())
        return [None] * len(heard)
