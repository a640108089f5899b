"""What was given back is counted again, from one look at the charge: refunds made elsewhere, and news of our own.

Notices of refunds only hint that there is news, for what they tell may be old; so does a refund of ours of which only
the processor can tell more. Claim │ look │ record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.payment import Advance
from counterfoil.domain.refunding import Course, Listing, Moved, compare
from counterfoil.domain.schedule import CLAIM
from counterfoil.processors.port import Processor
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import PROCESSOR_CALLS
from counterfoil.runtime.retry import again_on
from counterfoil.store import payments, refunds
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down
from counterfoil.store.refunds import Trace

MOST_AT_ONCE: Final = 20
"""Looks one worker has under way at a time: a burst of notices must not become one of questions."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the processor shows of a payment's refunds."""

    trace: Trace
    listing: Listing


async def claim_due(pool: Pool, claimant: Claimant, now: datetime, most: int = MOST_AT_ONCE) -> list[Trace]:
    """Take up to ``most`` paid payments whose refunds are to be asked for; no other worker asks meanwhile.

    However many notices hinted at news, it is asked for once. Nothing is taken while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        return await refunds.claim_to_look(connection, now, now + CLAIM, most, claimant.credential)


async def look(processor: Processor, trace: Trace) -> Seen:
    """Ask for all refunds of the payment's charge. Holds no transaction and no connection."""
    listing = await processor.refunds_of(trace.intent_id, trace.charge_id)
    PROCESSOR_CALLS.labels("refunds", "complete" if listing.complete else "unknown").inc()
    return Seen(trace, listing)


async def record(pool: Pool, ids: Ids, seen: Sequence[Seen], now: datetime) -> None:
    """Record what was seen, in one transaction; what could not be read whole is asked for again once the claim ends.

    Raises:
        Unavailable: the store does not answer; it is asked for again.
    """
    for one in seen:
        if one.listing.alarm is not None:
            alarm("recount", "alarm", payment_id=str(one.trace.payment_id), why=one.listing.alarm)
    whole = [one for one in seen if one.listing.complete]
    if whole:
        async with unavailable_when_down():
            await again_on(RIVALRY, lambda: _record(pool, ids, whole, now))


async def _record(pool: Pool, ids: Ids, seen: Sequence[Seen], now: datetime) -> None:
    listings = {one.trace.payment_id: one.listing for one in seen}
    moves: list[Moved] = []
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, listings)
        known = await refunds.of_payments(connection, listings)
        advances: list[Advance] = []
        made: list[tuple[UUID, Course]] = []
        changed: list[Course] = []
        for payment_id, one in held.items():
            courses = known.get(payment_id, [])
            moved = compare(one.payment, courses, listings[payment_id], ids.new, now)
            ours = {course.refund.id for course in courses}
            made += [(payment_id, move.course) for move in moved if move.course.refund.id not in ours]
            told = [move.course for move in moved if move.course.refund.id in ours]
            changed += [course for course in told if course not in courses]
            if moved and moved[-1].payment != one.payment:
                advances.append(Advance(moved[-1].payment, tuple(fact for move in moved for fact in move.facts)))
            moves += moved
        await refunds.insert(connection, made, now)
        await refunds.write(connection, changed, now)
        await payments.write(connection, advances, ids, now)
        await refunds.looked(connection, [one.trace for one in seen])
    for move in moves:
        if move.alarm is not None:
            about = {"payment_id": str(move.payment.id), "refund_id": str(move.course.refund.id)}
            alarm("recount", "alarm", why=move.alarm, **about)
