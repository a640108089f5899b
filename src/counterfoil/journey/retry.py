"""A stored method that was declined is tried again by ourselves: a further attempt, put on record for the senders.

The request names the same method on the same intent under a key of its own; it has to be made before the transaction
that keeps it, for the processor may have to be asked about the method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.errors import Refused
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.retrying import give_up_retrying, try_once_more
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.screening import as_asked
from counterfoil.processors.port import Processor
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.retry import again_on
from counterfoil.store import customers, payments, retries
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 50
"""Payments that are prepared together."""


@dataclass(frozen=True, slots=True)
class Due:
    """A payment whose retry is due, and its order."""

    payment: Payment
    order: Order

    @property
    def payment_id(self) -> UUID:
        """The payment it is about."""
        return self.payment.id


@dataclass(frozen=True, slots=True)
class Prepared:
    """A payment and the request of its further attempt; None where its method can no longer be used."""

    payment: Payment
    request: Request | None


async def take_due(pool: Pool, claimant: Claimant, now: datetime, most: int = MOST_AT_ONCE) -> list[Due]:
    """Take up to ``most`` payments whose retry is due; no other worker takes them meanwhile.

    Nothing is taken while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        ids = await retries.take_due(connection, now, now + CLAIM, most, claimant.credential)
        held = await payments.read(connection, ids) if ids else {}
        orders = await payments.orders_of(connection, ids) if ids else {}
        names = {order.customer_id for order in orders.values() if order.customer_id is not None}
        links = await customers.links(connection, names) if names else {}
    settled = {key: order.settled(links.get(order.customer_id or ""), None) for key, order in orders.items()}
    return [Due(held[payment_id].payment, settled[payment_id]) for payment_id in ids]


async def prepare(processor: Processor, due: Due) -> Prepared:
    """Make the request of the further attempt. Holds no transaction and no connection.

    Raises:
        Unavailable: the processor had to be asked about the method and did not answer; the payment is taken again.
    """
    payment, number = due.payment, len(due.payment.attempts) + 1
    try:
        order = as_asked(due.order, payment.screening_mode)
        request = await processor.request_again(payment.id, payment.intent_id, number, order)
    except Refused:
        return Prepared(payment, None)
    return Prepared(payment, request)


async def record(pool: Pool, ids: Ids, prepared: Sequence[Prepared], now: datetime) -> None:
    """Add the further attempts, with what announces them, in one transaction; each is due to be sent at once.

    A payment that has its money by now, whose order was cancelled, or that somebody else tried again is left alone.

    Raises:
        Unavailable: the store does not answer; nothing was added, and the payments are taken again later.
    """
    async with unavailable_when_down():
        await again_on(RIVALRY, lambda: _record(pool, ids, prepared, now))


async def _record(pool: Pool, ids: Ids, prepared: Sequence[Prepared], now: datetime) -> None:
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, [one.payment.id for one in prepared])
        further: list[tuple[Payment, Request]] = []
        moved: list[Advance] = []
        for one in prepared:
            payment = held[one.payment.id].payment
            if payment.retry_at is None or len(payment.attempts) != len(one.payment.attempts):
                continue
            if one.request is None:
                moved.append(give_up_retrying(payment, now))
                continue
            moved.append(try_once_more(payment, now))
            further.append((moved[-1].payment, one.request))
        if further:
            await retries.queue(connection, further, now)
        await payments.write(connection, moved, ids, now)
