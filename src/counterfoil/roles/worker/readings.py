"""Kept notices are read, and what only the store can tell is measured."""

from counterfoil.journey import conclude
from counterfoil.processors.port import NoticeReader
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.metrics import (
    AMOUNT_IN_DOUBT,
    IN_DOUBT,
    NOTICES_CONCLUDED,
    NOTICES_WAITING,
    OLDEST_NOTICE_SECONDS,
    OLDEST_OPEN_SECONDS,
)
from counterfoil.store import notices, payments
from counterfoil.store.pool import unavailable_when_down


class Notices:
    """What waits to be read is read."""

    name = "notices"

    def __init__(self, bench: Bench, reader: NoticeReader) -> None:
        self._bench, self._reader = bench, reader

    async def round(self) -> bool:
        """Read what notices wait; return whether there may be more."""
        world, livemode = self._bench.world, self._bench.processor.livemode
        ended = await conclude.run(world.pool, self._reader, world.ids, world.clock.now(), livemode=livemode)
        for state, count in ended.items():
            NOTICES_CONCLUDED.labels(state.value).inc(count)
        return ended.total() >= conclude.MOST_AT_ONCE


class Measures:
    """The gauges that only the store can tell."""

    name = "measure"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world
        self._currencies: set[str] = set()

    async def round(self) -> bool:
        """Set the gauges; there is never more."""
        now = self._world.clock.now()
        async with unavailable_when_down(), self._world.pool.acquire() as connection:
            backlog = await notices.backlog(connection)
            found = await payments.open_payments(connection)
        NOTICES_WAITING.set(backlog.waiting)
        OLDEST_NOTICE_SECONDS.set((now - backlog.oldest).total_seconds() if backlog.oldest else 0.0)
        OLDEST_OPEN_SECONDS.set(max(((now - one.oldest).total_seconds() for one in found), default=0.0))
        self._currencies |= {one.currency for one in found}
        for currency in self._currencies:  # those in doubt no longer are at nought, and not gone
            IN_DOUBT.labels(currency).set(sum(one.doubted for one in found if one.currency == currency))
            AMOUNT_IN_DOUBT.labels(currency).set(sum(one.amount_in_doubt for one in found if one.currency == currency))
        return False
