"""Events that were never delivered are caught up with."""

import structlog

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Verdict
from counterfoil.domain.verdict import Source as Heard
from counterfoil.journey import catch_up
from counterfoil.processors.port import NoticeReader, NotListed
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.metrics import CATCH_UP_BEHIND
from counterfoil.store import catch_up as cursors
from counterfoil.store.catch_up import Source
from counterfoil.store.pool import unavailable_when_down

_log = structlog.get_logger()


class Missed:
    """The processor's list of events is looked through, one page at a time."""

    name = "catch up"

    def __init__(self, bench: Bench, reader: NoticeReader) -> None:
        self._bench, self._reader = bench, reader
        self._source = Source("", bench.processor.livemode)

    async def round(self) -> bool:
        """Look through one page, where one is due; return whether there may be another at once."""
        bench, world = self._bench, self._bench.world
        page = await catch_up.take(world.pool, self._source, bench.claimant.credential, world.clock.now())
        if page is not None:
            place = page.place
            try:
                found = await bench.processor.events(place.since, place.after, undelivered=place.undelivered)
            except NotListed as why:
                await self._put_off(page, why)
                page = None
            else:
                looked = catch_up.Looked(page, found)
                await catch_up.record(world.pool, self._reader, world.ids, looked, world.clock.now())
        await self._measure()
        return page is not None

    async def _put_off(self, page: catch_up.Page, why: NotListed) -> None:
        """Try again later, and pause everything where our key is refused for everything."""
        world = self._bench.world
        _log.warning("catch_up.not_listed", why=str(why))
        if why.key_refused:
            cause = Cause(Heard.LOOK_UP, "events")
            await self._bench.pausing.note(Verdict(AttemptHappening.UNKNOWN, cause, key_refused=True, alarm=str(why)))
        await catch_up.put_off(world.pool, page, why, world.clock.now())

    async def _measure(self) -> None:
        """Set the gauge of how far we are behind."""
        async with unavailable_when_down():
            view = await cursors.shown(self._bench.world.pool, self._source)
        if view is not None and view.covered_until is not None:
            CATCH_UP_BEHIND.set((self._bench.world.clock.now() - view.covered_until).total_seconds())
