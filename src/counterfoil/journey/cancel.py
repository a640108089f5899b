"""An order is cancelled: its payments end without the money, or give it back, whenever they come."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from counterfoil.domain.cancelling import Cancellation, cancel
from counterfoil.domain.payment import Payment
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.retry import again_on
from counterfoil.store import cancellations, payments
from counterfoil.store.pool import RIVALRY, Connection, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 100
"""Payments in one transaction."""

CROSSED_WITHIN: Final = timedelta(minutes=5)
"""A payment that was accepted in the very moment may have seen no cancellation, nor been seen by it; its transaction
has ended long before this."""


async def run(pool: Pool, ids: Ids, cancellation: Cancellation, now: datetime) -> list[Payment]:
    """Cancel an order, in one transaction; return how its payments stand after it, the oldest first.

    An order without a payment is remembered, and one that comes later is accepted as canceled (`accept`).

    Raises:
        Unavailable: the store does not answer; nothing was cancelled.
    """

    async def work() -> list[Payment]:
        async with pool.acquire() as connection, connection.transaction():
            await cancellations.remember(connection, cancellation, now)
            found = await cancellations.payments_of_order(connection, cancellation.order_id)
            return await _apply(connection, ids, found, now)

    async with unavailable_when_down():
        return await again_on(RIVALRY, work)


async def catch_up(pool: Pool, ids: Ids, now: datetime) -> int:
    """Cancel the payments that were accepted in the very moment in which their order was cancelled; return how many."""

    async def work() -> int:
        async with pool.acquire() as connection, connection.transaction():
            missed = await cancellations.missed(connection, now - CROSSED_WITHIN, MOST_AT_ONCE)
            return len(await _apply(connection, ids, missed, now)) if missed else 0

    async with unavailable_when_down():
        return await again_on(RIVALRY, work)


async def _apply(connection: Connection, ids: Ids, payment_ids: Sequence[UUID], now: datetime) -> list[Payment]:
    held = await payments.lock(connection, payment_ids)
    counted = await cancellations.of_orders(connection, {one.payment.order_id for one in held.values()})
    moved = [cancel(one.payment, counted[one.payment.order_id], ids.new(), now) for one in held.values()]
    await payments.write(connection, moved, ids, now)
    return [advance.payment for advance in moved]
