"""The worker: reads notices, sends what no gateway sends, and asks about what stays open."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import structlog

from counterfoil.config import Mode, Settings
from counterfoil.domain.errors import Unavailable
from counterfoil.domain.payment import Payment
from counterfoil.domain.verdict import Verdict
from counterfoil.journey import authorize, conclude, reconcile, void
from counterfoil.journey.authorize import Heard, Sending
from counterfoil.journey.void import Letting
from counterfoil.processors.port import NoticeReader, Processor
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles import probes
from counterfoil.roles.pausing import Pausing
from counterfoil.roles.serving import serve
from counterfoil.roles.tending import database_check, tended
from counterfoil.roles.world import World, open_world, owner_name
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.batching import Batcher
from counterfoil.runtime.metrics import (
    AMOUNT_IN_DOUBT,
    IN_DOUBT,
    NOTICES_CONCLUDED,
    NOTICES_WAITING,
    OLDEST_NOTICE_SECONDS,
    OLDEST_OPEN_SECONDS,
    REGISTRY,
)
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import notices, payments
from counterfoil.store.listening import Bell, listening
from counterfoil.store.payments import Claimant, Trace
from counterfoil.store.pool import SPLITTING, unavailable_when_down

IDLE_SECONDS: Final = 1.0
"""Between looks at an agenda on which nothing was due."""

GATHER_SECONDS: Final = 0.02
"""After a ring, what else arrives in that moment is read in the same transaction."""

LINGER_SECONDS: Final = 0.004
"""What an answer waits for others to be recorded with."""

DRAIN_SECONDS: Final = 12.0
"""Of the 15 s in which a role ends: what the processor has not answered by then, another worker sends again."""

BODY_LIMIT_BYTES: Final = 1024
CONNECTIONS: Final = 6

_log = structlog.get_logger()


class Bench:
    """What the worker works with, and the calls it has under way."""

    def __init__(self, world: World, processor: Processor, reader: NoticeReader, owner: str) -> None:
        self._world, self._processor, self._reader = world, processor, reader
        self._claimant = Claimant(owner, processor.credential)
        self._calls: dict[str, set[asyncio.Task[None]]] = {"send": set(), "ask": set(), "let go": set()}
        self._currencies: set[str] = set()
        self.pausing = Pausing(world, processor)
        self._sent: Batcher[Heard, Payment] = Batcher(
            lambda heard: authorize.record(world.pool, world.ids, heard, world.clock.now()),
            linger_seconds=LINGER_SECONDS,
            longest_seconds=GATHER_SECONDS,
            splits_on=SPLITTING,
        )
        self._asked: Batcher[tuple[UUID, Verdict], None] = Batcher(
            self._record_asked,
            linger_seconds=LINGER_SECONDS,
            longest_seconds=GATHER_SECONDS,
            splits_on=SPLITTING,
        )

    async def read_notices(self) -> bool:
        """Read what notices wait; return whether there may be more."""
        world = self._world
        ended = await conclude.run(
            world.pool,
            self._reader,
            world.ids,
            world.clock.now(),
            livemode=self._processor.livemode,
        )
        for state, count in ended.items():
            NOTICES_CONCLUDED.labels(state.value).inc(count)
        return ended.total() >= conclude.MOST_AT_ONCE

    async def send_due(self) -> bool:
        """Begin to send the attempts that are due, first or again; return whether there may be more to begin."""
        world, free = self._world, authorize.MOST_AT_ONCE - len(self._calls["send"])
        if not free:
            return False
        sendings = await authorize.claim_due(world.pool, world.ids, self._claimant, world.clock.now(), free)
        for sending in sendings:
            self._begin("send", sending.payment_id, self._send(sending))
        return len(sendings) == free

    async def ask_due(self) -> bool:
        """Begin to ask about the payments that are due to be asked about; return whether there may be more."""
        world, free = self._world, reconcile.MOST_AT_ONCE - len(self._calls["ask"])
        if not free:
            return False
        traces = await reconcile.claim_due(world.pool, self._claimant, world.clock.now(), free)
        for trace in traces:
            self._begin("ask", trace.payment_id, self._ask(trace))
        return len(traces) == free

    async def let_go_due(self) -> bool:
        """Begin to let go what customers left, unless that is under way already; return whether there may be more."""
        world = self._world
        if self._calls["let go"]:
            return False
        lettings = await void.claim_due(world.pool, world.ids, self._processor, self._claimant, world.clock.now())
        for letting in lettings:
            self._begin("let go", letting.cancellation.payment_id, self._let_go(letting))
        return False  # the next ones are begun when these have ended

    async def measure(self) -> bool:
        """Set the gauges that only the store can tell; there is never more."""
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

    def under_way(self) -> list["asyncio.Task[None]"]:
        """Return the calls that were begun and are not recorded yet."""
        return [call for calls in self._calls.values() for call in calls]

    def _begin(self, kind: str, payment_id: UUID, call: Coroutine[Any, Any, object]) -> None:
        """Let a call run by itself: a slow one keeps no other from being recorded, nor from being begun."""

        async def run() -> None:
            try:
                await call
            except Exception as error:  # noqa: BLE001 - recorded here; the claim expires, and it is done again
                alarm("worker", "unrecorded", work=kind, payment_id=str(payment_id), why=type(error).__name__)

        task = asyncio.create_task(run())
        self._calls[kind].add(task)
        task.add_done_callback(self._calls[kind].discard)

    async def _send(self, sending: Sending) -> None:
        heard = await authorize.call(self._processor, sending)
        await self.pausing.note(heard.verdict)
        await self._sent.submit(heard)

    async def _ask(self, trace: Trace) -> None:
        payment_id, verdict = await reconcile.ask(self._processor, trace)
        await self.pausing.note(verdict)
        await self._asked.submit((payment_id, verdict))

    async def _let_go(self, letting: Letting) -> None:
        heard = await void.call(self._processor, letting)
        await self.pausing.note(heard.verdict)
        await void.record(self._world.pool, self._world.ids, [heard], self._world.clock.now())

    async def _record_asked(self, heard: Sequence[tuple[UUID, Verdict]]) -> list[None]:
        await reconcile.record(self._world.pool, self._world.ids, heard, self._world.clock.now())
        return [None] * len(heard)


async def run(settings: Settings, shutdown: Shutdown) -> None:
    """Work until asked to stop; what was claimed is finished."""
    assert settings.database_url is not None
    assert settings.stripe_key is not None, "the settings of this role demand it"
    async with open_world(settings, "worker", largest=CONNECTIONS) as world, tended(world):
        processor = StripeProcessor(
            settings.stripe_key.reveal(),
            livemode=settings.mode is Mode.LIVE,
            api_base=settings.stripe_api_base,
            return_url=settings.return_url,
        )
        bench = Bench(world, processor, stripe_notices, owner_name("worker", world.ids))
        checks = probes.application([database_check(world), bench.pausing.check()], REGISTRY, shutdown)
        url = settings.database_url.reveal()
        async with listening(url, notices.CHANNEL, world.clock) as bell, asyncio.TaskGroup() as tasks:
            works = [tasks.create_task(_over_and_over("notices", bench.read_notices, world, bell, shutdown))]
            for name, work in (
                ("send", bench.send_due),
                ("ask", bench.ask_due),
                ("let go", bench.let_go_due),
                ("probe", bench.pausing.probe),
                ("measure", bench.measure),
            ):
                works.append(tasks.create_task(_over_and_over(name, work, world, Bell(), shutdown)))
            await serve(
                checks,
                host=settings.listen_address,
                port=settings.port,
                body_limit_bytes=BODY_LIMIT_BYTES,
                new_request_id=world.request_id,
                shutdown=shutdown,
            )
            await _finish(works, bench, shutdown)
        await processor.close()


async def _finish(loops: Collection["asyncio.Task[None]"], bench: Bench, shutdown: Shutdown) -> None:
    """Return when the work in hand is done, or its time is over; claims left behind expire by themselves."""

    async def ends() -> None:
        await asyncio.gather(*loops)
        await asyncio.gather(*bench.under_way())  # only now: a loop's last round may have begun more

    forced = asyncio.create_task(shutdown.forced.wait())
    ending = asyncio.create_task(ends())
    first: set[asyncio.Future[Any]] = {ending, forced}
    await asyncio.wait(first, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    forced.cancel()
    ending.cancel()
    left = [work for work in (*loops, *bench.under_way()) if not work.done()]
    if left:
        _log.warning("worker.left_work", tasks=len(left))
    for work in left:
        work.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*left)


async def _over_and_over(
    name: str,
    work: Callable[[], Awaitable[bool]],
    world: World,
    bell: Bell,
    shutdown: Shutdown,
) -> None:
    """Do the work whenever the bell rings, or a moment has passed, until asked to stop."""
    stopping = asyncio.create_task(bell.ring_on(shutdown.requested))
    while not shutdown.requested.is_set():
        try:
            more = await work()
        except Unavailable:
            more = False
        except Exception:  # noqa: BLE001 - the role's edge: it is recorded, and the other work goes on
            _log.exception("worker.failed", work=name)
            more = False
        if not more:
            await bell.wait(IDLE_SECONDS)
            await world.clock.sleep(GATHER_SECONDS)
    stopping.cancel()
