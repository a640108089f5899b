"""What is known late of a payment is asked for: what the processor keeps of it, and disputes that no notice told of.

A success waits for neither. The processor books a charge some time after it succeeded, and says so; where that word is
lost, or names no amount, the charge itself is asked for, a few times at growing distances and then no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.domain.disputing import Docket
from counterfoil.domain.payment import Advance
from counterfoil.domain.schedule import CLAIM, LEARN_AFTER
from counterfoil.processors.port import Learned, Processor
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import PROCESSOR_CALLS
from counterfoil.runtime.retry import again_on
from counterfoil.store import disputes, learning, payments
from counterfoil.store.learning import Due, Finding
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 5
"""Questions one worker has under way at a time: few, for nobody waits for these answers, and Stripe counts calls."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the processor said of a payment's charge."""

    due: Due
    learned: Learned


async def claim_due(pool: Pool, claimant: Claimant, now: datetime, most: int = MOST_AT_ONCE) -> list[Due]:
    """Take up to ``most`` payments whose late facts are due; nothing is taken while the claimant's key is paused."""
    async with unavailable_when_down(), pool.acquire() as connection:
        return await learning.claim_due(connection, now, now + CLAIM, most, claimant.credential)


async def call(processor: Processor, due: Due) -> Heard:
    """Ask the processor. Holds no transaction and no connection."""
    learned = await processor.learn(due.charge_id)
    PROCESSOR_CALLS.labels("learn", "unknown" if learned.fee is None else "known").inc()
    return Heard(due, learned)


async def record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> None:
    """Record what was learned, in one transaction. To learn the same twice changes nothing."""
    async with unavailable_when_down():
        await again_on(RIVALRY, lambda: _record(pool, ids, heard, now))


async def _record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> None:
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, {one.due.payment_id for one in heard})
        docket = Docket(await disputes.of_payments(connection, held))
        moved, alarms = [], []
        for one in heard:
            advance = Advance(held[one.due.payment_id].payment)
            for said in one.learned.disputes:
                further = docket.hear(advance.payment, said, one.learned.cause, now)
                advance = Advance(further.payment, advance.facts + further.facts, further.alarm or advance.alarm)
            moved += [advance] if advance.facts else []
            alarms.append((one, one.learned.alarm or advance.alarm))
        await payments.write(connection, moved, ids, now)
        await disputes.put(connection, docket.changed, now)
        await learning.record(connection, [_finding(one, now) for one in heard], now)
    for one, why in alarms:
        if why is not None:
            alarm("learn", "alarm", payment_id=str(one.due.payment_id), why=why)


def _finding(heard: Heard, now: datetime) -> Finding:
    due, learned = heard.due, heard.learned
    further = due.tries + 1 < len(LEARN_AFTER) and learned.fee is None
    next_at = now + LEARN_AFTER[due.tries + 1] if further else None
    return Finding(due, learned.fee, learned.cause.reference, next_at)
