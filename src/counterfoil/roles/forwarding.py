"""Outboxes of other services: one task for each, so that what is wrong with one is no other's affair."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from counterfoil.config import OutboxSource
from counterfoil.domain.errors import Misconfigured, Unavailable
from counterfoil.journey import forward
from counterfoil.journey.forward import Route, Way
from counterfoil.messages.topics import TOPICS, Direction
from counterfoil.roles.probes import Check
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.metrics import (
    SOURCE_LEADS,
    SOURCE_OLDEST_SECONDS,
    SOURCE_PARKED,
    SOURCE_PUBLISHED,
    SOURCE_UNDELIVERED,
    SOURCE_UNMAPPED,
    SOURCE_USABLE,
    SOURCE_WAITING,
)
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import sources
from counterfoil.store.listening import Bell, listening
from counterfoil.store.pool import NOT_MIGRATED, UNREACHABLE, Connection, open_connection
from counterfoil.store.sources import Table

if TYPE_CHECKING:
    from counterfoil.bus.producer import Producer

IDLE_SECONDS: Final = 2.0
"""How long a leader waits for a ring, and a follower for the lead: so that a lead is taken over within 5 s."""

MEASURE_AFTER: Final = timedelta(seconds=5)
"""Between counts of what waits: they are for whoever looks every quarter of a minute."""

_log = structlog.get_logger()


class _Lacking(Exception):
    """The table is no outbox; the words follow its name."""


def demand_topics_of_others(given: tuple[OutboxSource, ...]) -> None:
    """Return if no source says anything on a topic of our own facts.

    Raises:
        Misconfigured: one does; readers could not tell what became of a payment from what somebody says of one.
    """
    ours = {topic.name for topic in TOPICS if topic.direction is Direction.OUT}
    for place, source in enumerate(given, start=1):
        if ours & set(source.topics.values()):
            why = f"number {place}: topics names a topic of our own facts, which nobody else says anything on"
            raise Misconfigured("OUTBOX_SOURCES", why)


class Forwarding:
    """One source's way to Kafka, for as long as the role runs."""

    def __init__(self, source: OutboxSource, own_database_url: str, producer: "Producer", clock: Clock) -> None:
        url = source.database_url
        self._url = own_database_url if url is None else url.reveal()
        self._channel = source.channel
        self._route = Route(source.name, Table(source.table), source.topics)
        self._producer = producer
        self._clock = clock
        self._wrong: str | None = "table was not looked at yet"
        self._unmapped: str | None = None
        self._lost: frozenset[str] = frozenset()
        self._measure_at: datetime | None = None

    @property
    def name(self) -> str:
        """What the source is called."""
        return self._route.name

    def check(self) -> Check:
        """Return the check that the source's table is there and is an outbox."""

        async def look() -> None:
            if self._wrong is not None:
                raise Misconfigured("OUTBOX_SOURCES", f"names {self.name}, whose {self._wrong}")

        return Check(f"source {self.name}", look)

    async def run(self, shutdown: Shutdown) -> None:
        """Seek the lead, and use it, over and over: a connection that is lost takes the lead with it."""
        async with listening(self._url, self._channel, self._clock) as bell:
            ringing = asyncio.create_task(bell.ring_on(shutdown.requested))
            try:
                while not shutdown.requested.is_set():
                    wrong = await self._work_once(bell, shutdown)
                    if wrong is not None and wrong != self._wrong:
                        _log.error("source.unusable", source=self.name, why=wrong)
                    self._wrong = wrong
                    SOURCE_USABLE.labels(self.name).set(wrong is None)
                    await bell.wait(IDLE_SECONDS)
            finally:
                ringing.cancel()

    async def _work_once(self, bell: Bell, shutdown: Shutdown) -> str | None:
        """Work until the connection is lost or the role ends; return what is wrong, if anything is."""
        try:
            async with open_connection(
                self._url, name=f"counterfoil outbox-publisher, source {self.name}"
            ) as connection:
                await self._work(connection, bell, shutdown)
        except _Lacking as lacking:
            return f"table {lacking}"
        except (Unavailable, *UNREACHABLE, *NOT_MIGRATED) as error:
            cause = error.__cause__ or error
            if isinstance(cause, NOT_MIGRATED):
                return "table has changed"  # the next look finds out how
            return f"database does not answer ({type(cause).__name__})"
        except sources.REFUSED as error:
            refuses = f"database refuses what we do there ({type(error).__name__})"
            return "database does not let us work with the table" if isinstance(error, sources.FORBIDDEN) else refuses
        except Exception as error:  # noqa: BLE001 - the role's edge: it is recorded, and the lead is sought anew
            _log.exception("source.failed", source=self.name)
            return f"rows cannot be sent ({type(error).__name__})"
        finally:
            SOURCE_LEADS.labels(self.name).set(0)
        return None

    async def _work(self, connection: Connection, bell: Bell, shutdown: Shutdown) -> None:
        """Follow until there is no leader, then lead."""
        wrong = await sources.lacking(connection, self._route.table)
        if wrong is not None:
            raise _Lacking(wrong)
        self._wrong = None
        SOURCE_USABLE.labels(self.name).set(1)
        while not shutdown.requested.is_set():
            if await sources.try_to_lead(connection, self._route.table):
                _log.info("source.leads", source=self.name)
                SOURCE_LEADS.labels(self.name).set(1)
                await self._lead(connection, bell, shutdown)
                return
            await self._measure(connection)
            await bell.wait(IDLE_SECONDS)

    async def _lead(self, connection: Connection, bell: Bell, shutdown: Shutdown) -> None:
        """Hand over what is new and mark what arrived, over and over; at the end wait for what is on its way."""
        underway = Way(f"/{self.name}", bell.ring, forward.MOST_ON_THEIR_WAY)
        while not shutdown.requested.is_set():
            marked = await self._mark(connection, underway)
            handed_over = await forward.hand_over(connection, self._producer, self._route, underway, self._clock.now())
            await self._measure(connection)
            if not marked and not handed_over:
                await bell.wait(IDLE_SECONDS)
        while underway.sent:
            await bell.wait(IDLE_SECONDS)
            await self._mark(connection, underway)

    async def _mark(self, connection: Connection, underway: Way) -> int:
        marked = await forward.mark(connection, self._producer, self._route, underway, self._clock.now())
        SOURCE_PUBLISHED.labels(self.name).inc(marked.published)
        SOURCE_PARKED.labels(self.name).inc(marked.parked)
        for why, count in Counter(marked.lost).items():
            SOURCE_UNDELIVERED.labels(self.name, why).inc(count)
        new = frozenset(marked.lost) - self._lost
        if new:
            _log.warning("source.undelivered", source=self.name, why=sorted(new))
        if marked.published or marked.lost:
            self._lost = frozenset(marked.lost)
        return marked.published

    async def _measure(self, connection: Connection) -> None:
        """Keep the gauges of what waits; whoever leads, so that it is seen where nobody does."""
        now = self._clock.now()
        if self._measure_at is not None and now < self._measure_at:
            return
        self._measure_at = now + MEASURE_AFTER
        waiting = await sources.waiting(connection, self._route.table, self._route.topics.keys())
        SOURCE_WAITING.labels(self.name).set(waiting.count)
        SOURCE_OLDEST_SECONDS.labels(self.name).set((now - (waiting.since or now)).total_seconds())
        SOURCE_UNMAPPED.labels(self.name).set(waiting.unmapped)
        if waiting.unmapped_type is not None and waiting.unmapped_type != self._unmapped:
            _log.warning("source.unmapped", source=self.name, rows=waiting.unmapped, type=waiting.unmapped_type)
        self._unmapped = waiting.unmapped_type
