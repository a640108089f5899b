"""Another service's outbox goes to Kafka: of each aggregate the oldest row, marked once a broker has it.

What is too large is told of on the topic of dead letters, without what it says, and marked then: its table has it, and
its aggregate goes on. A row of a type that has no topic is not ours to send: it stays as it is, and holds up nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.bus.dead_letters import PREFIX
from counterfoil.bus.message import Outgoing, Sender
from counterfoil.bus.underway import Underway
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

TOO_LARGE: Final = "too_large"
"""The reason of a dead letter that stands for a row."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where rows come from and where each type of them goes; ``name`` is what the source is called."""

    name: str
    table: Table
    topics: Mapping[str, str]


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


async def hand_over(
    connection: Connection, sender: Sender, route: Route, underway: Underway[Aggregate, Sent], now: datetime
) -> int:
    """Hand over the oldest row of each aggregate that has none on its way; return how many.

    The connection must hold the lead.
    """
    room = min(MOST_AT_ONCE, underway.room)
    if room <= 0:
        return 0
    async with unavailable_when_down():
        rows = await sources.next_rows(connection, route.table, route.topics.keys(), room, underway.busy(now))
    for row in rows:
        if row.payload is None:
            _park(sender, route, underway, Sent(row, too_large="more bytes than any broker takes"))
        else:
            headers = _headers(row, underway.source)
            message = Outgoing(route.topics[row.event_type], row.aggregate.id.encode(), row.payload.encode(), headers)
            underway.hand_over(sender, row.aggregate, Sent(row), message)
    return len(rows)


async def mark(
    connection: Connection, sender: Sender, route: Route, underway: Underway[Aggregate, Sent], now: datetime
) -> Marked:
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
    if arrived:
        async with unavailable_when_down():
            await sources.mark_published(connection, route.table, [sent.row.event_id for _, sent in arrived], now)
    for aggregate, sent in arrived:
        underway.over(aggregate)
        if sent.too_large is not None:
            alarm("forward", "parked", source=route.name, event_id=str(sent.row.event_id), why=sent.too_large)
    return Marked(len(arrived), sum(sent.too_large is not None for _, sent in arrived), tuple(lost))


def _park(sender: Sender, route: Route, underway: Underway[Aggregate, Sent], sent: Sent) -> None:
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
