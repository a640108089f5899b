"""Payments that a restored database has forgotten are brought back, as the processor remembers them.

Each becomes a row again, under its own id and its order's event, so that the order finds it when it comes again; then
it hears how it stands, as from a look-up. What the processor does not know of the order stays unknown: whom to write
to, and what was ordered.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import asyncpg
import structlog

from counterfoil.domain.acting import accept
from counterfoil.domain.cancelling import cancel
from counterfoil.domain.comparing import Memory, TheirPayment
from counterfoil.domain.hearing import hear
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.states import FREES_THE_ORDER
from counterfoil.domain.verdict import Settling
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.store import cancellations, payments, restores
from counterfoil.store.payment_rows import Arrival, Claim
from counterfoil.store.pool import Connection, Pool, unavailable_when_down

_log = structlog.get_logger()


async def run(pool: Pool, ids: Ids, lost: Sequence[TheirPayment], now: datetime, *, livemode: bool) -> None:
    """Bring payments back, each in a transaction of its own; nothing is done while no restore is under way.

    One whose event has another payment here by now is not, and stays a difference for a person.

    Raises:
        Unavailable: the store does not answer; what is not back yet is brought back when it is compared again.
    """
    for one in lost:
        assert one.memory is not None, "what the processor remembers nothing of is a person's"
        arrival = _arrival(one, one.memory, now, livemode=livemode)
        try:
            async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
                if await restores.current(connection) is None:
                    return
                back = await _bring_back(connection, ids, arrival, one, now)
        except asyncpg.UniqueViolationError as error:
            alarm(
                "adopt", "alarm", payment_id=str(one.payment_id), why=f"another payment has its {error.constraint_name}"
            )
            continue
        _log.info("adopt.done" if back else "adopt.refused", payment_id=str(one.payment_id))


def _arrival(theirs: TheirPayment, memory: Memory, now: datetime, *, livemode: bool) -> Arrival:
    """Return the payment as it was when its first attempt had just been sent: what became of it is heard after that."""
    order, made_at = memory.order, theirs.created_at
    payment = Payment(
        theirs.payment_id,
        order.order_id,
        order.event_id,
        order.money,
        made_at,
        customer_id=order.customer_id,
        capture_method=order.capture_method,
    )
    sent = accept(payment, claimed=True, now=made_at)
    claim = Claim("restore", made_at)  # over already: nobody waits for the answer
    return Arrival(order, sent, memory.request, livemode, claim, owns_order=False, adopted_at=now)


async def _bring_back(connection: Connection, ids: Ids, arrival: Arrival, theirs: TheirPayment, now: datetime) -> bool:
    """Insert a payment, and let it hear how it stands and whether its order was cancelled; return whether it is new."""
    order_id, (attempt,) = arrival.order.order_id, arrival.payment.attempts
    # What was sent is forgotten, so that it can only be asked about.
    asked = replace(arrival.payment, attempts=(replace(attempt, settling=Settling.ASK),))
    advance = hear(asked, 1, theirs.verdict, now)
    cancelled = (await cancellations.of_orders(connection, [order_id])).get(order_id)
    if cancelled is not None:
        further = cancel(advance.payment, cancelled, ids.new(), now)
        advance = Advance(further.payment, advance.facts + further.facts, advance.alarm)
    live = await payments.live_orders(connection, [order_id])
    owns = advance.payment.state not in FREES_THE_ORDER and not live
    if not await payments.insert(connection, [replace(arrival, owns_order=owns)], ids):
        return False
    await payments.write(connection, [advance], ids, now)
    if advance.alarm is not None:
        alarm("adopt", "alarm", payment_id=str(theirs.payment_id), why=advance.alarm)
    return True
