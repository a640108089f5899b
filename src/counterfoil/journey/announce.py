"""Facts leave the outbox, in order per payment, and get their place in the one order that readers follow."""

from datetime import datetime
from typing import Final

from counterfoil.store import outbox
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
