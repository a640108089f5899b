"""Both books are compared, ours and the processor's: when somebody asks, and every night."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from counterfoil.domain.comparing import NIGHTLY_AT, USUAL_TIME, Disagreement, Remedy, TheirPayment
from counterfoil.journey import adopt, compare, learn, reconcile
from counterfoil.journey.learn import Heard
from counterfoil.processors.port import Learned, Processor, Untold
from counterfoil.roles.worker.bench import Bench
from counterfoil.roles.world import World
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.metrics import DIFFERENCES, LOOK_UP_ONLY, RECONCILIATION_AGE_SECONDS
from counterfoil.store import reconciliations, restores
from counterfoil.store.learning import Due
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.reconciliations import Turn, Wanted


class Comparisons:
    """The comparison that was asked for first gets on, a page at a time."""

    name = "compare"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def round(self) -> bool:
        """Compare the next page, where one is due; return whether there may be more at once."""
        bench, world = self._bench, self._bench.world
        turn = await compare.claim(world.pool, bench.claimant, world.clock.now())
        if turn is None:
            return False
        try:
            read = await compare.read(world.pool, bench.processor.books, turn, world.clock.now())
        except Untold as untold:
            await bench.pausing.note(untold.verdict)
            await compare.postpone(world.pool, turn, world.clock.now())
            return False
        recorded = await compare.record(world.pool, world.ids, read, world.clock.now())
        await remedy(world, bench.processor, recorded.told)
        if recorded.finished:
            await self._alarm(turn)
        return True

    async def _alarm(self, turn: Turn) -> None:
        async with unavailable_when_down(), self._bench.world.pool.acquire() as connection:
            found = await reconciliations.view(connection, turn.id)
        if found is not None and found.left:
            why = f"{found.left} differences are left: `counterfoil reconcile --show {turn.id}`"
            alarm("compare", "differences", reconciliation_id=str(turn.id), why=why)


async def remedy(world: World, processor: Processor, told: Sequence[tuple[Remedy, TheirPayment]]) -> None:
    """Do what there is to be done about things of the processor's, by the steps that do it anyhow.

    Payments hear how they stand as when they are asked about one by one, and learn their fees as when those are asked
    for; what a restored database has forgotten is brought back last, for an order may have been given away to it.
    """
    now = world.clock.now()
    heard = [(one.payment_id, one.verdict) for what, one in told if what is Remedy.HEAR]
    kept = [_learned(one, now) for what, one in told if what is Remedy.LEARN]
    lost = [one for what, one in told if what is Remedy.ADOPT]
    if heard:
        await reconcile.record(world.pool, world.ids, heard, now)
    if kept:
        await learn.record(world.pool, world.ids, kept, now)
    await adopt.run(world.pool, world.ids, lost, now, livemode=processor.livemode)


def _learned(theirs: TheirPayment, now: datetime) -> Heard:
    """Return a charge's fee as what was learned of it, though nobody had asked."""
    return Heard(Due(theirs.payment_id, theirs.name, 0, now), Learned(theirs.verdict.cause, theirs.fee))


class Nights:
    """Each night somebody asks for a comparison, once the night has come, whichever worker is first."""

    name = "nightly"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world
        self._last: date | None = None

    async def round(self) -> bool:
        """Ask for tonight's, where it is time and there is anything to compare; there is never more."""
        now = self._world.clock.now()
        begins = (now - timedelta(hours=NIGHTLY_AT)).replace(hour=NIGHTLY_AT, minute=0, second=0, microsecond=0)
        night = begins.date()
        if night == self._last:
            return False
        wanted = Wanted(f"the night of {night}", now - USUAL_TIME, now, night)
        async with unavailable_when_down(), self._world.pool.acquire() as connection:
            # A payment that is younger than the night has nothing yet that a night could find.
            if await reconciliations.is_anything_older(connection, begins):
                await reconciliations.ask(connection, wanted, self._world.ids.new(), now)
        self._last = night
        return False


class LastComparison:
    """The gauges of the comparison that finished last, and whether a restored database waits for one."""

    name = "measure differences"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world

    async def round(self) -> bool:
        """Set the gauges; there is never more."""
        now = self._world.clock.now()
        async with unavailable_when_down(), self._world.pool.acquire() as connection:
            found = await reconciliations.last_finished(connection)
            LOOK_UP_ONLY.set(await restores.current(connection) is not None)
        if found is not None:
            asked_at, left = found
            RECONCILIATION_AGE_SECONDS.set((now - asked_at).total_seconds())
            for verdict in Disagreement:
                DIFFERENCES.labels(verdict.value).set(left.get(verdict, 0))
        return False
