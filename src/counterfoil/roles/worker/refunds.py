"""Money that is given back: refunds sent, counted again, and those that wait measured."""

from collections.abc import Sequence
from typing import Final

from counterfoil.domain.refunding import OPEN
from counterfoil.journey import recount, refund
from counterfoil.journey.refund import Heard, Sending
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.batching import Batcher
from counterfoil.runtime.metrics import OLDEST_REFUND_SECONDS, OPEN_REFUNDS
from counterfoil.store import refunds
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.refunds import Trace


class Refunds:
    """Refunds that are due are sent, first or again."""

    name = "refund"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._recorded: Batcher[Heard, None] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin to send what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, refund.MOST_AT_ONCE, self._claim, self._send)

    async def _claim(self, free: int) -> list[Sending]:
        bench, world = self._bench, self._bench.world
        return await refund.claim_due(world.pool, bench.processor.refund, bench.claimant, world.clock.now(), free)

    async def _send(self, sending: Sending) -> None:
        heard = await refund.call(self._bench.processor, sending, self._bench.world.clock)
        await self._bench.pausing.note(heard.verdict)
        await self._recorded.submit(heard)

    async def _record(self, heard: Sequence[Heard]) -> list[None]:
        world = self._bench.world
        await refund.record(world.pool, world.ids, heard, world.clock.now())
        return [None] * len(heard)


class Recounts:
    """Charges of which something hints that their refunds changed are asked for."""

    name = "recount"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def round(self) -> bool:
        """Begin to ask about what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, recount.MOST_AT_ONCE, self._claim, self._look)

    async def _claim(self, free: int) -> list[Trace]:
        bench, world = self._bench, self._bench.world
        return await recount.claim_due(world.pool, bench.claimant, world.clock.now(), free)

    async def _look(self, trace: Trace) -> None:
        bench, world = self._bench, self._bench.world
        seen = await recount.look(bench.processor, trace)
        await bench.pausing.note(seen.listing)
        await recount.record(world.pool, world.ids, [seen], world.clock.now())


class WaitingRefunds:
    """The gauges of what is not given back yet."""

    name = "measure refunds"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world

    async def round(self) -> bool:
        """Set the gauges; there is never more."""
        now = self._world.clock.now()
        async with unavailable_when_down(), self._world.pool.acquire() as connection:
            found = {one.state: one for one in await refunds.open_refunds(connection)}
        for state in _MEASURED:
            one = found.get(state)
            OPEN_REFUNDS.labels(state).set(one.waiting if one else 0)
            OLDEST_REFUND_SECONDS.labels(state).set((now - one.oldest).total_seconds() if one else 0.0)
        return False


_MEASURED: Final = tuple(sorted(state.value for state in OPEN))
