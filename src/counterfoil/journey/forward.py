"""Another service's outbox goes to Kafka: of each aggregate the oldest row, marked once a broker has it.

A topic that is not there holds up what is for it; of that one row is tried again now and then.
What is too large is told of on the topic of dead letters, without what it says, and marked then: its table has it, and
its aggregate goes on. A row of a type that has no topic is not ours to send: it stays as it is, and holds up nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from counterfoil.bus.dead_letters import PREFIX
from counterfoil.bus.message import Outgoing, Sender
from counterfoil.bus.underway import AGAIN_AFTER, Underway
from counterfoil.messages import cloud_event
from counterfoil.messages.topics import DEAD_LETTERS
from counterfoil.runtime.alarms import alarm
from counterfoil.store import sources
from counterfoil.store.pool import Connection, unavailable_when_down
from counterfoil.store.sources import Aggregate, Row, Table

MOST_AT_ONCE: Final = 500
"""Rows in one round: those of other services are of any size."""

MOST_ON_THEIR_WAY: Final = 2000
"""Rows handed over and not heard of, for the same reason."""

TRY_TAKES: Final = timedelta(seconds=30)
"""Longer than a message is on its way: what was tried is heard of before."""

TOO_LARGE: Final = "too_large"
"""The reason of a dead letter that stands for a row."""

NOT_MARKED: Final = "NOT_MARKED"
"""Why a row is sent again that has arrived: its table did not take our mark, and did not say so."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where rows come from and where each type of them goes; ``name`` is what the source is called."""

    name: str
    table: Table
    topics: Mapping[str, str]

    def types(self, but_for: Collection[str]) -> list[str]:
        """Return the types that go to other topics than these."""
        return [name for name, topic in self.topics.items() if topic not in but_for]


@dataclass(frozen=True, slots=True)
class Sent:
    """A row on its way; where ``too_large`` says why it cannot go, it is the dead letter that stands for it."""

    row: Row
    too_large: str | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """How many rows were marked; of how many of them there is but a dead letter; and why others did not arrive."""

    published: int
    parked: int
    lost: tuple[str, ...]


@dataclass(slots=True)
class Way(Underway[Aggregate, Sent]):
    """What a leader has on its way to Kafka; ``closed`` are topics that are not there, and when to try each again."""

    closed: dict[str, datetime] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether no more may be handed over: by rows, or by what they say, which would be two gigabytes otherwise."""
        return self.room <= 0 or sum(len(one.row.payload or "") for one in self.sent.values()) >= sources.TOGETHER_BYTES


async def hand_over(connection: Connection, sender: Sender, route: Route, underway: Way, now: datetime) -> int:
    """Hand over the oldest row of each aggregate that has none on its way; return how many.

    Rows for a topic that is not there are left out, however many they are, or they would leave no room for others. The
    connection must hold the lead.
    """
    if underway.is_full:
        return 0
    room = min(MOST_AT_ONCE, underway.room)
    async with unavailable_when_down():
        rows = await sources.next_rows(
            connection, route.table, route.types(but_for=underway.closed), room, underway.busy(now)
        )
        _hand_over(sender, route, underway, rows)
        for topic in [one for one, again in underway.closed.items() if again <= now]:
            types = [name for name, to in route.topics.items() if to == topic]
            tried = await sources.next_rows(connection, route.table, types, 1, underway.busy(now))
            _hand_over(sender, route, underway, tried)
            rows += tried
            if tried:
                underway.closed[topic] = now + TRY_TAKES
            else:
                del underway.closed[topic]
    return len(rows)


def _hand_over(sender: Sender, route: Route, underway: Way, rows: Sequence[Row]) -> None:
    for row in rows:
        if row.payload is None:
            _park(sender, route, underway, Sent(row, too_large="more bytes than any broker takes"))
        else:
            headers = _headers(row, underway.source)
            message = Outgoing(route.topics[row.event_type], row.aggregate.id.encode(), row.payload.encode(), headers)
            underway.hand_over(sender, row.aggregate, Sent(row), message)


async def mark(connection: Connection, sender: Sender, route: Route, underway: Way, now: datetime) -> Marked:
    """Mark what was heard of since the last time, and write a dead letter for what is too large.

    What did not arrive is tried again after a moment, and its aggregate waits for it.
    """
    arrived, lost = [], []
    for aggregate, sent, why in underway.take_heard():
        if why is None or (why.for_good and sent.too_large is not None):  # not even its letter is small enough
            arrived.append((aggregate, sent))
        elif why.for_good:
            _park(sender, route, underway, Sent(sent.row, too_large=why.why))
        else:
            underway.rest(aggregate, now)
            lost.append(why.why)
            if why.no_topic and sent.too_large is None:
                underway.closed[route.topics[sent.row.event_type]] = now + AGAIN_AFTER
    unmarked: frozenset[UUID] = frozenset()
    if arrived:
        async with unavailable_when_down():
            ids = [sent.row.event_id for _, sent in arrived]
            unmarked = await sources.mark_published(connection, route.table, ids, now)
    marked = [(aggregate, sent) for aggregate, sent in arrived if sent.row.event_id not in unmarked]
    for aggregate, sent in arrived:
        if sent.row.event_id in unmarked:
            underway.rest(aggregate, now)
            lost.append(NOT_MARKED)
    for aggregate, sent in marked:
        underway.over(aggregate)
        if sent.too_large is None:
            underway.closed.pop(route.topics[sent.row.event_type], None)
        else:
            alarm("forward", "parked", source=route.name, event_id=str(sent.row.event_id), why=sent.too_large)
    return Marked(len(marked), sum(sent.too_large is not None for _, sent in marked), tuple(lost))


def _park(sender: Sender, route: Route, underway: Way, sent: Sent) -> None:
    """Hand over the dead letter in the row's place: key and headers, the reason, and not what it says."""
    topic = route.topics[sent.row.event_type]
    own = {
        "reason": TOO_LARGE,
        "error": f"the row of outbox source {route.name} is too large for the broker, and is marked published",
        "topic": topic,
        "attempts": "1",
        "value": "withheld",
    }
    headers = (*_headers(sent.row, underway.source), *((PREFIX + name, text.encode()) for name, text in own.items()))
    letter = Outgoing(topic + DEAD_LETTERS, sent.row.aggregate.id.encode(), None, headers)
    underway.hand_over(sender, sent.row.aggregate, sent, letter)


def _headers(row: Row, source: str) -> tuple[tuple[str, bytes], ...]:
    told = cloud_event.Told(
        id=row.event_id,
        name=row.event_type,
        version=None,
        subject=row.aggregate.id,
        at=row.created_at,
        tenant_id=row.tenant_id,
        traceparent=row.traceparent,
    )
    return cloud_event.headers(told, source)
