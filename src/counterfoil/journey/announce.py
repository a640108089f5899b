"""Facts leave the outbox, in order per payment, and get their place in the one order that readers follow.

Without Kafka that place is all there is to it. With it a fact is handed over, and marked once a broker has it. Until
then it is in the outbox still, so that whoever leads next hands it over again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from counterfoil.bus.message import Outgoing, Sender, Told, Undelivered
from counterfoil.messages import cloud_event
from counterfoil.messages.topics import TOPIC_OF
from counterfoil.runtime.alarms import alarm
from counterfoil.store import outbox
from counterfoil.store.outbox import Unpublished
from counterfoil.store.pool import Connection, unavailable_when_down

MOST_AT_ONCE: Final = 1000
"""Facts in one round; a round is one transaction."""

MOST_ON_THEIR_WAY: Final = 5000
"""Facts handed over and not heard of: a quarter of a second's worth, as fast as this gets."""

AGAIN_AFTER: Final = timedelta(seconds=2)
"""What was not delivered is tried again then, and its payment's other facts wait for it; all others go on."""


async def run(connection: Connection, now: datetime) -> int:
    """Publish the lowest unpublished fact of each payment; return how many there were.

    The connection must hold the lead (`outbox.try_to_lead`): the lead and the transaction are then lost together, so
    nobody who was replaced can still assign a position.
    """
    async with unavailable_when_down():
        facts = await outbox.next_facts(connection, MOST_AT_ONCE)
        if facts:
            await outbox.mark_published(connection, facts, now)
    return len(facts)


@dataclass(slots=True)
class Underway:
    """What whoever leads has handed over and not marked yet. It is forgotten with the lead.

    ``source`` names the installation, and ``ring`` is called when there is something to be marked.
    """

    source: str
    ring: Callable[[], None]
    sent: dict[UUID, Unpublished] = field(default_factory=dict)
    heard: list[tuple[Unpublished, Undelivered | None]] = field(default_factory=list)
    resting: dict[UUID, datetime] = field(default_factory=dict)

    def busy(self, now: datetime) -> list[UUID]:
        """Return the payments of which nothing may be taken: their last is on its way, or rests for a while."""
        self.resting = {payment_id: until for payment_id, until in self.resting.items() if until > now}
        return [*self.sent, *self.resting]


async def hand_over(connection: Connection, sender: Sender, underway: Underway, now: datetime) -> int:
    """Hand over the lowest unpublished fact of each payment that has none on its way; return how many.

    The connection must hold the lead.
    """
    room = min(MOST_AT_ONCE, MOST_ON_THEIR_WAY - len(underway.sent))
    if room <= 0:
        return 0
    async with unavailable_when_down():
        facts = await outbox.next_messages(connection, room, underway.busy(now))
    for fact in facts:
        underway.sent[fact.payment_id] = fact
        sender.hand_over(_message(fact, underway.source), _teller(underway, fact))
    return len(facts)


async def mark(connection: Connection, underway: Underway, now: datetime) -> int:
    """Mark what was heard of since the last time: it has its place now; return how many.

    What is too large for the broker has its place too, and is parked, or the payment would be stuck behind it. What did
    not arrive is tried again.
    """
    heard, underway.heard = underway.heard, []
    parked = {fact.fact_id: lost.why for fact, lost in heard if lost is not None and lost.for_good}
    placed = [fact.fact_id for fact, lost in heard if lost is None or lost.for_good]
    if placed:
        async with unavailable_when_down():
            await outbox.mark_published(connection, placed, now, parked)
    for fact, lost in heard:
        del underway.sent[fact.payment_id]
        if lost is not None and not lost.for_good:
            underway.resting[fact.payment_id] = now + AGAIN_AFTER
    for one, why in parked.items():
        alarm("announce", "parked", payment_id=str(one.payment_id), sequence=one.version, why=why)
    return len(placed)


def _message(fact: Unpublished, source: str) -> Outgoing:
    key = str(fact.payment_id)
    told = cloud_event.Told(fact.id, fact.name, fact.schema_version, key, fact.occurred_at, fact.version)
    headers = cloud_event.headers(told, cloud_event.source_of(source))
    return Outgoing(TOPIC_OF[fact.name], key.encode(), fact.body.encode(), headers)


def _teller(underway: Underway, fact: Unpublished) -> Told:
    def told(lost: Undelivered | None) -> None:
        underway.heard.append((fact, lost))
        underway.ring()

    return told
