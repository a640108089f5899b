"""The worker: reads notices, sends what no gateway sends, and asks about what stays open."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from counterfoil.config import Mode, Settings
from counterfoil.domain.errors import Unavailable
from counterfoil.domain.payment import Payment
from counterfoil.journey import authorize, conclude, reconcile
from counterfoil.journey.authorize import Heard
from counterfoil.processors.port import NoticeReader, Processor
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles import probes
from counterfoil.roles.serving import serve
from counterfoil.roles.tending import database_check, tended
from counterfoil.roles.world import World, open_world, owner_name
from counterfoil.runtime.batching import divided
from counterfoil.runtime.metrics import (
    ALARMS,
    NOTICES_CONCLUDED,
    NOTICES_WAITING,
    OLDEST_NOTICE_SECONDS,
    REGISTRY,
)
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import notices
from counterfoil.store.listening import Bell, listening
from counterfoil.store.pool import SPLITTING, unavailable_when_down

IDLE_SECONDS: Final = 1.0
"""Between looks at an agenda on which nothing was due."""

GATHER_SECONDS: Final = 0.02
"""After a ring, what else arrives in that moment is read in the same transaction."""

DRAIN_SECONDS: Final = 12.0
"""Of the 15 s in which a role ends: what the processor has not answered by then, another worker sends again."""

BODY_LIMIT_BYTES: Final = 1024
CONNECTIONS: Final = 6

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bench:
    """What the worker works with."""

    world: World
    processor: Processor
    reader: NoticeReader
    owner: str

    async def read_notices(self) -> bool:
        """Read what notices wait; return whether there may be more."""
        world = self.world
        ended = await conclude.run(
            world.pool,
            self.reader,
            world.ids,
            world.clock.now(),
            livemode=self.processor.livemode,
        )
        for state, count in ended.items():
            NOTICES_CONCLUDED.labels(state.value).inc(count)
        return ended.total() >= conclude.MOST_AT_ONCE

    async def send_due(self) -> bool:
        """Send the attempts that are due, first or again; return whether there may be more."""
        world = self.world
        sendings = await authorize.claim_due(world.pool, world.ids, self.owner, world.clock.now())
        if sendings:
            heard = await asyncio.gather(*(authorize.call(self.processor, sending) for sending in sendings))
            await self._record_each(heard)
        return len(sendings) >= authorize.MOST_AT_ONCE

    async def _record_each(self, heard: Sequence[Heard]) -> None:
        """Record together; what the store refuses is recorded nowhere, and harms nobody else."""
        world = self.world

        async def record(some: Sequence[Heard]) -> Sequence[Payment]:
            return await authorize.record(world.pool, world.ids, some, world.clock.now())

        for one, result in zip(heard, await divided(record, heard, SPLITTING), strict=True):
            if isinstance(result, Exception):
                ALARMS.labels("record").inc()
                _log.error("worker.unrecordable", payment_id=str(one.sending.payment_id), why=type(result).__name__)

    async def ask_due(self) -> bool:
        """Ask about the payments that are due to be asked about; return whether there may be more."""
        world = self.world
        questions = await reconcile.claim_due(world.pool, world.clock.now())
        if questions:
            heard = await asyncio.gather(*(reconcile.ask(self.processor, question) for question in questions))
            for error in await reconcile.record(world.pool, world.ids, heard, world.clock.now()):
                ALARMS.labels("record").inc()
                _log.error("worker.unrecordable", why=type(error).__name__)
        return len(questions) >= reconcile.MOST_AT_ONCE

    async def measure(self) -> bool:
        """Set the gauges that only the store can tell; there is never more."""
        async with unavailable_when_down(), self.world.pool.acquire() as connection:
            backlog = await notices.backlog(connection)
        NOTICES_WAITING.set(backlog.waiting)
        age = (self.world.clock.now() - backlog.oldest).total_seconds() if backlog.oldest else 0.0
        OLDEST_NOTICE_SECONDS.set(age)
        return False


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
        checks = probes.application([database_check(world)], REGISTRY, shutdown)
        url = settings.database_url.reveal()
        async with listening(url, notices.CHANNEL, world.clock) as bell, asyncio.TaskGroup() as tasks:
            works = [tasks.create_task(_over_and_over("notices", bench.read_notices, world, bell, shutdown))]
            for name, work in (("send", bench.send_due), ("ask", bench.ask_due), ("measure", bench.measure)):
                works.append(tasks.create_task(_over_and_over(name, work, world, Bell(), shutdown)))
            await serve(
                checks,
                host=settings.listen_address,
                port=settings.port,
                body_limit_bytes=BODY_LIMIT_BYTES,
                new_request_id=world.request_id,
                shutdown=shutdown,
            )
            await _finish(works, shutdown)
        await processor.close()


async def _finish(works: Collection["asyncio.Task[None]"], shutdown: Shutdown) -> None:
    """Return when the work in hand is done, or its time is over; claims left behind expire by themselves."""
    forced = asyncio.create_task(shutdown.forced.wait())
    done = asyncio.gather(*works)
    first: set[asyncio.Future[Any]] = {done, forced}
    await asyncio.wait(first, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    forced.cancel()
    left = [work for work in works if not work.done()]
    if left:
        _log.warning("worker.left_work", tasks=len(left))
    for work in left:
        work.cancel()
    with suppress(asyncio.CancelledError):
        await done


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
