"""The worker: reads notices, hears Kafka, sends what no gateway sends, asks about what is open, ends what is left."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import structlog

from counterfoil.config import Settings
from counterfoil.domain.errors import Unavailable
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.roles import probes
from counterfoil.roles.processor import open_processor
from counterfoil.roles.serving import serve
from counterfoil.roles.tending import database_check, restore_check, tended
from counterfoil.roles.worker.attempts import Lettings, Questions, Sends
from counterfoil.roles.worker.bench import GATHER_SECONDS, Bench, Work
from counterfoil.roles.worker.captures import Captures
from counterfoil.roles.worker.comparisons import Comparisons, LastComparison, Nights
from counterfoil.roles.worker.effects import Effects, ParkedEffects, post_of
from counterfoil.roles.worker.late_facts import LateFacts
from counterfoil.roles.worker.listening import open_ear
from counterfoil.roles.worker.machines import open_machines
from counterfoil.roles.worker.missed import Missed
from counterfoil.roles.worker.orders import Cancellations
from counterfoil.roles.worker.readings import Measures, Notices, ParkedNotices
from counterfoil.roles.worker.refunds import Recounts, Refunds, WaitingRefunds
from counterfoil.roles.worker.retries import Retries
from counterfoil.roles.worker.screening import Reviews
from counterfoil.roles.world import World, open_world, owner_name
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import notices
from counterfoil.store.listening import Bell, listening

IDLE_SECONDS: Final = 1.0
"""Between looks at an agenda on which nothing was due."""

DRAIN_SECONDS: Final = 12.0
"""Of the 15 s in which a role ends: what the processor has not answered by then, another worker sends again."""

BODY_LIMIT_BYTES: Final = 1024
CONNECTIONS: Final = 6

_log = structlog.get_logger()


async def run(settings: Settings, shutdown: Shutdown) -> None:
    """Work until asked to stop; what was claimed is finished."""
    assert settings.database_url is not None
    async with (
        open_world(settings, "worker", largest=CONNECTIONS) as world,
        tended(world),
        open_processor(settings, world) as processor,
    ):
        bench = Bench(world, processor, owner_name("worker", world.ids))
        reading = Notices(bench, stripe_notices)
        timed: list[Work] = [
            Sends(bench),
            Questions(bench),
            Captures(bench),
            Lettings(bench),
            Retries(bench),
            Reviews(bench),
            LateFacts(bench),
            bench.pausing,
            ParkedNotices(bench),
            Measures(bench),
            Effects(bench, post_of(settings)),
            ParkedEffects(bench),
            Refunds(bench),
            Recounts(bench),
            Cancellations(bench),
            WaitingRefunds(bench),
            Missed(bench, stripe_notices),
            Nights(bench),
            Comparisons(bench),
            LastComparison(bench),
        ]
        needs = [database_check(world), restore_check(world, needed=True), bench.pausing.check()]
        url = settings.database_url.reveal()
        async with (
            open_machines(settings, bench, shutdown) as driven,
            open_ear(settings, bench) as ear,
            listening(url, notices.CHANNEL, world.clock) as bell,
            asyncio.TaskGroup() as tasks,
        ):
            loops = [tasks.create_task(_over_and_over(reading, world, bell, shutdown))]
            loops += [
                tasks.create_task(_over_and_over(work, world, Bell(), shutdown)) for work in (*timed, *driven.works)
            ]
            await serve(
                probes.application([*needs, *ear.checks, *driven.checks], REGISTRY, shutdown),
                host=settings.listen_address,
                port=settings.port,
                body_limit_bytes=BODY_LIMIT_BYTES,
                new_request_id=world.request_id,
                shutdown=shutdown,
            )
            await asyncio.gather(ear.close(), _finish(loops, bench, shutdown))


async def _finish(loops: Collection["asyncio.Task[None]"], bench: Bench, shutdown: Shutdown) -> None:
    """Return when the work in hand is done, or its time is over; claims left behind expire by themselves."""

    async def ends() -> None:
        await asyncio.gather(*loops)
        await asyncio.gather(*bench.under_way())  # only now: a loop's last round may have begun more

    ending = asyncio.create_task(ends())
    await shutdown.wait_for(ending, DRAIN_SECONDS)
    ending.cancel()
    left = [work for work in (*loops, *bench.under_way()) if not work.done()]
    if left:
        _log.warning("worker.left_work", tasks=len(left))
    for work in left:
        work.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*left)


async def _over_and_over(work: Work, world: World, bell: Bell, shutdown: Shutdown) -> None:
    """Do the work whenever the bell rings, or a moment has passed, until asked to stop."""
    stopping = asyncio.create_task(bell.ring_on(shutdown.requested))
    while not shutdown.requested.is_set():
        try:
            more = await work.round()
        except Unavailable:
            more = False
        except Exception:  # noqa: BLE001 - the role's edge: it is recorded, and the other work goes on
            _log.exception("worker.failed", work=work.name)
            more = False
        if not more:
            await bell.wait(IDLE_SECONDS)
            await world.clock.sleep(GATHER_SECONDS)
    stopping.cancel()
