"""Facts leave the outbox, in order per payment, and get their place in the one order that readers follow.

Without Kafka that place is all there is to it. With it a fact is handed over, and marked once a broker has it. Until
then it is in the outbox still, so that whoever leads next hands it over again.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.bus.message import Outgoing, Sender
from counterfoil.bus.underway import Underway
from counterfoil.messages import cloud_event
from counterfoil.messages.topics import TOPIC_OF
from counterfoil.runtime.alarms import alarm
from counterfoil.store import outbox
from counterfoil.store.outbox import Unpublished
from counterfoil.store.pool import Connection, unavailable_when_down

MOST_AT_ONCE: Final = 1000
"""Facts in one round; a round is one transaction."""


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


async def hand_over(
    connection: Connection, sender: Sender, underway: Underway[UUID, Unpublished], now: datetime
) -> int:
    """Hand over the lowest unpublished fact of each payment that has none on its way; return how many.

    The connection must hold the lead.
    """
    room = min(MOST_AT_ONCE, underway.room)
    if room <= 0:
        return 0
    async with unavailable_when_down():
        facts = await outbox.next_messages(connection, room, underway.busy(now))
    for fact in facts:
        underway.hand_over(sender, fact.payment_id, fact, _message(fact, underway.source))
    return len(facts)


async def mark(connection: Connection, underway: Underway[UUID, Unpublished], now: datetime) -> int:
    """Mark what was heard of since the last time: it has its place now; return how many.

    What is too large for the broker has its place too, and is parked, or the payment would be stuck behind it. What did
    not arrive is tried again.
    """
    heard = underway.take_heard()
    parked = {fact.fact_id: lost.why for _, fact, lost in heard if lost is not None and lost.for_good}
    placed = [fact.fact_id for _, fact, lost in heard if lost is None or lost.for_good]
    if placed:
        async with unavailable_when_down():
            await outbox.mark_published(connection, placed, now, parked)
    for payment_id, _, lost in heard:
        if lost is None or lost.for_good:
            underway.over(payment_id)
        else:
            underway.rest(payment_id, now)
    for one, why in parked.items():
        alarm("announce", "parked", payment_id=str(one.payment_id), sequence=one.version, why=why)
    return len(placed)


def _message(fact: Unpublished, source: str) -> Outgoing:
    key = str(fact.payment_id)
    told = cloud_event.Told(
        fact.id, fact.name, fact.schema_version, key, fact.occurred_at, fact.version, traceparent=fact.traceparent
    )
    return Outgoing(TOPIC_OF[fact.name], key.encode(), fact.body.encode(), cloud_event.headers(told, source))
