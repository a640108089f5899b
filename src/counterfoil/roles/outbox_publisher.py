"""The outbox publisher: one leader gives facts their place in the order that everybody reads."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from counterfoil.bus.underway import Underway
from counterfoil.config import Settings
from counterfoil.domain.errors import Unavailable
from counterfoil.journey import announce
from counterfoil.messages import cloud_event
from counterfoil.roles import probes
from counterfoil.roles.forwarding import Forwarding, demand_topics_of_others
from counterfoil.roles.kafka import broker_check, config_of, open_producer
from counterfoil.roles.serving import serve
from counterfoil.roles.tending import database_check, tended
from counterfoil.roles.world import World, open_world
from counterfoil.runtime.metrics import FACTS_PUBLISHED, FACTS_UNDELIVERED, LEADS, OUTBOX_WAITING, REGISTRY
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import outbox
from counterfoil.store.listening import Bell, listening
from counterfoil.store.outbox import Unpublished
from counterfoil.store.pool import UNREACHABLE, Connection, open_connection, unavailable_when_down

if TYPE_CHECKING:
    from counterfoil.bus.producer import Producer

IDLE_SECONDS: Final = 2.0
"""How long a leader waits for a ring, and a follower for the lead: so that a lead is taken over within 5 s."""

GATHER_SECONDS: Final = 0.02
"""After a ring, what else is committed in that moment goes into the same round."""

DRAIN_SECONDS: Final = 12.0
"""Of the 15 s in which a role ends: what is not committed by then is published by whoever leads next."""

MEASURE_SECONDS: Final = 5.0
"""Between counts of what waits: they are for whoever looks every quarter of a minute."""

BODY_LIMIT_BYTES: Final = 1024
CONNECTIONS: Final = 2

LEADER: Final = "counterfoil outbox-publisher, leader"
"""The session that holds the lead, by the name that ``pg_stat_activity`` shows."""

_log = structlog.get_logger()


async def run(settings: Settings, shutdown: Shutdown) -> None:
    """Publish until asked to stop; a round begun is finished."""
    assert settings.database_url is not None
    url = settings.database_url.reveal()
    demand_topics_of_others(settings.outbox_sources)
    async with (
        open_world(settings, "outbox-publisher", largest=CONNECTIONS) as world,
        tended(world),
        _producer(settings) as producer,
    ):
        sources = [] if producer is None else _sources(settings, url, producer, world)
        needs = [database_check(world), *([] if producer is None else [broker_check(producer)])]
        needs += [source.check() for source in sources]
        checks = probes.application(needs, REGISTRY, shutdown)
        async with asyncio.TaskGroup() as tasks, listening(url, outbox.CHANNEL, world.clock) as bell:
            shutdown_rings = tasks.create_task(bell.ring_on(shutdown.requested))
            measuring = tasks.create_task(_measure(world))
            publishing = [tasks.create_task(_publish(url, producer, world, bell, shutdown))]
            publishing += [tasks.create_task(source.run(shutdown)) for source in sources]
            await serve(
                checks,
                host=settings.listen_address,
                port=settings.port,
                body_limit_bytes=BODY_LIMIT_BYTES,
                new_request_id=world.request_id,
                shutdown=shutdown,
            )
            await _finish(publishing, shutdown)
            measuring.cancel()
            shutdown_rings.cancel()


def _sources(settings: Settings, url: str, producer: "Producer", world: World) -> list[Forwarding]:
    return [Forwarding(source, url, producer, world.clock) for source in settings.outbox_sources]


async def _finish(publishing: "Sequence[asyncio.Task[None]]", shutdown: Shutdown) -> None:
    """Return when the rounds in hand are done, or their time is over: then they are cancelled, and undone."""
    await shutdown.wait_for(asyncio.create_task(_all_of(publishing)), DRAIN_SECONDS)
    for one in publishing:
        if not one.done():
            _log.warning("publisher.left_work")
            one.cancel()


async def _all_of(tasks: "Sequence[asyncio.Task[None]]") -> None:
    await asyncio.wait(tasks)


async def _measure(world: World) -> None:
    """Keep the gauge of what waits; whoever leads, so that it is seen where nobody does."""
    while True:
        try:
            async with unavailable_when_down(), world.pool.acquire() as connection:
                OUTBOX_WAITING.set(await outbox.waiting(connection))
                FACTS_UNDELIVERED.set(await outbox.undelivered(connection))
        except Unavailable:
            _log.debug("publisher.unmeasured")  # readiness tells that the store is away
        except Exception:  # noqa: BLE001 - the role's edge: it is recorded, and the next count may be had
            _log.exception("publisher.failed")
        await world.clock.sleep(MEASURE_SECONDS)


async def _publish(url: str, producer: "Producer | None", world: World, bell: Bell, shutdown: Shutdown) -> None:
    """Seek the lead, and use it, over and over: a connection that is lost takes the lead with it."""
    while not shutdown.requested.is_set():
        try:
            async with open_connection(url, name=LEADER) as connection:
                if await outbox.try_to_lead(connection):
                    _log.info("publisher.leads")
                    LEADS.set(1)
                    if producer is None:
                        await _lead(connection, world, bell, shutdown)
                    else:
                        await _lead_to_kafka(connection, producer, world, bell, shutdown)
        except (Unavailable, *UNREACHABLE) as error:
            _log.warning("publisher.interrupted", why=type(error).__name__)
        except Exception:  # noqa: BLE001 - the role's edge: it is recorded, and the lead is sought anew
            _log.exception("publisher.failed")
        finally:
            LEADS.set(0)
        await bell.wait(IDLE_SECONDS)


async def _lead(
    connection: Connection,
    world: World,
    bell: Bell,
    shutdown: Shutdown,
) -> None:
    while not shutdown.requested.is_set():
        published = await announce.run(connection, world.clock.now())
        FACTS_PUBLISHED.inc(published)
        if not published:
            await bell.wait(IDLE_SECONDS)
            await world.clock.sleep(GATHER_SECONDS)


async def _lead_to_kafka(
    connection: Connection, producer: "Producer", world: World, bell: Bell, shutdown: Shutdown
) -> None:
    """Hand over what is new and mark what arrived, over and over; at the end wait for what is on its way."""
    underway = Underway[UUID, Unpublished](cloud_event.source_of(await outbox.source(connection)), bell.ring)
    while not shutdown.requested.is_set():
        marked = await announce.mark(connection, underway, world.clock.now())
        FACTS_PUBLISHED.inc(marked)
        handed_over = await announce.hand_over(connection, producer, underway, world.clock.now())
        if not marked and not handed_over:
            await bell.wait(IDLE_SECONDS)
    while underway.sent:
        await bell.wait(IDLE_SECONDS)
        FACTS_PUBLISHED.inc(await announce.mark(connection, underway, world.clock.now()))


@asynccontextmanager
async def _producer(settings: Settings) -> AsyncIterator["Producer | None"]:
    """Yield the way to Kafka, where the settings name one."""
    if settings.kafka_brokers is None:
        yield None
        return
    async with open_producer(config_of(settings)) as producer:
        yield producer
