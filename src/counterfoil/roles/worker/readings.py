"""Kept notices are read, and what only the store can tell is measured."""

from datetime import datetime

from counterfoil.journey import conclude
from counterfoil.processors.port import NoticeReader
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.metrics import (
    AMOUNT_IN_DOUBT,
    IN_DOUBT,
    NOTICES_CONCLUDED,
    NOTICES_WAITING,
    OLDEST_CLAIM_SECONDS,
    OLDEST_NOTICE_SECONDS,
    OLDEST_OPEN_SECONDS,
    OLDEST_PARKED_SECONDS,
    PARKED_NOTICES,
)
from counterfoil.store import health, notices, payments
from counterfoil.store.notices import Awaiting
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


class ParkedNotices:
    """What names a payment that was not here is read once it is."""

    name = "claim parked notices"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world
        self._behind: Awaiting | None = None

    async def round(self) -> bool:
        """Look through some of them, the next ones each time; there is never more, so that many take many rounds."""
        self._behind = await conclude.claim_parked(self._world.pool, self._behind, self._world.clock.now())
        return False


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
            parked = await notices.parked(connection)
            found = await payments.open_payments(connection)
            claimed = await health.oldest_claim(connection, now)
        NOTICES_WAITING.set(backlog.waiting)
        OLDEST_NOTICE_SECONDS.set(_age(backlog.oldest, now))
        for waits_for, count, oldest in (
            ("payment", parked.for_payment, parked.oldest_for_payment),
            ("person", parked.for_person, parked.oldest_for_person),
        ):
            PARKED_NOTICES.labels(waits_for).set(count)
            OLDEST_PARKED_SECONDS.labels(waits_for).set(_age(oldest, now))
        OLDEST_CLAIM_SECONDS.set(_age(claimed, now))
        OLDEST_OPEN_SECONDS.set(max(((now - one.oldest).total_seconds() for one in found), default=0.0))
        self._currencies |= {one.currency for one in found}
        for currency in self._currencies:  # those in doubt no longer are at nought, and not gone
            IN_DOUBT.labels(currency).set(sum(one.doubted for one in found if one.currency == currency))
            AMOUNT_IN_DOUBT.labels(currency).set(sum(one.amount_in_doubt for one in found if one.currency == currency))
        return False


def _age(oldest: datetime | None, now: datetime) -> float:
    return (now - oldest).total_seconds() if oldest else 0.0
