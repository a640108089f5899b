"""Attempts that no gateway sends, and payments that are silent: sent, asked about, let go."""

from collections.abc import Sequence
from uuid import UUID

from counterfoil.domain.payment import Payment
from counterfoil.domain.verdict import Verdict
from counterfoil.journey import authorize, operating, reconcile, void
from counterfoil.journey.authorize import Heard, Sending
from counterfoil.journey.operating import Claimed
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.batching import Batcher
from counterfoil.store.payments import Trace


class Sends:
    """Attempts that are due are sent, first or again."""

    name = "send"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._recorded: Batcher[Heard, Payment] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin to send what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, authorize.MOST_AT_ONCE, self._claim, self._send)

    async def _claim(self, free: int) -> list[Sending]:
        bench, world = self._bench, self._bench.world
        return await authorize.claim_due(world.pool, world.ids, bench.claimant, world.clock.now(), free)

    async def _send(self, sending: Sending) -> None:
        heard = await authorize.call(self._bench.processor, sending, self._bench.world.clock)
        await self._bench.pausing.note(heard.verdict)
        await self._recorded.submit(heard)

    async def _record(self, heard: Sequence[Heard]) -> list[Payment]:
        world = self._bench.world
        return await authorize.record(world.pool, world.ids, heard, world.clock.now())


class Questions:
    """Open payments that are silent are asked about."""

    name = "ask"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._recorded: Batcher[tuple[UUID, Verdict], None] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin to ask about what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, reconcile.MOST_AT_ONCE, self._claim, self._ask)

    async def _claim(self, free: int) -> list[Trace]:
        bench, world = self._bench, self._bench.world
        return await reconcile.claim_due(world.pool, bench.claimant, world.clock.now(), free)

    async def _ask(self, trace: Trace) -> None:
        payment_id, verdict = await reconcile.ask(self._bench.processor, trace)
        await self._bench.pausing.note(verdict)
        await self._recorded.submit((payment_id, verdict))

    async def _record(self, heard: Sequence[tuple[UUID, Verdict]]) -> list[None]:
        world = self._bench.world
        await reconcile.record(world.pool, world.ids, heard, world.clock.now())
        return [None] * len(heard)


class Lettings:
    """What its customer left is let go."""

    name = "let go"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def round(self) -> bool:
        """Begin to let go what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, void.MOST_AT_ONCE, self._claim, self._let_go)

    async def _claim(self, _free: int) -> list[Claimed]:
        bench, world = self._bench, self._bench.world
        return await void.claim_due(
            world.pool, world.ids, bench.processor.cancellation, bench.claimant, world.clock.now()
        )

    async def _let_go(self, letting: Claimed) -> None:
        bench, world = self._bench, self._bench.world
        heard = await operating.call(bench.processor, letting, world.clock)
        await bench.pausing.note(heard.verdict)
        await void.record(world.pool, world.ids, [heard], world.clock.now())
