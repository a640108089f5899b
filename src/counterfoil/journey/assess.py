"""Fraud screening: a payment's check goes on, holds or refuses it; where none decides in time, a person has to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.errors import NotFound, WrongState
from counterfoil.domain.payment import Advance, FraudDecision, Payment
from counterfoil.domain.screening import Check, Finding, decide, hear_check, is_under_review, time_out
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import FRAUD_CHECKS
from counterfoil.runtime.retry import again_on
from counterfoil.store import payments, screening
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 100
"""Payments on which nobody decided, in one transaction."""


async def run(pool: Pool, ids: Ids, checks: Sequence[Check], now: datetime) -> dict[UUID, Payment]:
    """Let payments hear what was found of them, in order and in one transaction; return those that are here.

    What was found of others is kept, and heard when they are accepted. The same again changes nothing.

    Raises:
        Unavailable: the store does not answer; nothing was kept.
    """
    async with unavailable_when_down():
        advances = await again_on(RIVALRY, lambda: _run(pool, ids, checks, now))
    for check in checks:
        FRAUD_CHECKS.labels(check.finding.value).inc()
    for advance in advances.values():
        if advance.alarm is not None:
            alarm("assess", "alarm", payment_id=str(advance.payment.id), why=advance.alarm)
    return {payment_id: advance.payment for payment_id, advance in advances.items()}


async def _run(pool: Pool, ids: Ids, checks: Sequence[Check], now: datetime) -> dict[UUID, Advance]:
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, {check.payment_id for check in checks})
        away = {check.payment_id for check in checks} - held.keys()
        if away:  # or being accepted at this moment
            await screening.overtake(connection)
            held |= await payments.lock(connection, away)
        moved: dict[UUID, Advance] = {}
        kept: dict[UUID, Check] = {}
        for check in checks:
            before = kept.get(check.payment_id)
            if before is None or before.finding is Finding.MANUAL_REVIEW:
                kept[check.payment_id] = check
            if check.payment_id in held:
                so_far = moved.get(check.payment_id) or Advance(held[check.payment_id].payment)
                advance = hear_check(so_far.payment, check, now)
                moved[check.payment_id] = Advance(
                    advance.payment, so_far.facts + advance.facts, so_far.alarm or advance.alarm
                )
        await screening.keep(connection, kept, now)
        await payments.write(connection, list(moved.values()), ids, now)
    return moved


async def review(pool: Pool, ids: Ids, check: Check, now: datetime) -> Payment:
    """Decide on a payment as a person found, for good; return how it stands after that.

    Raises:
        NotFound: there is no such payment.
        WrongState: no review of it is open; it was decided on, or the limit has passed.
        Unavailable: the store does not answer; nothing was decided.
    """
    payment_id, decision = check.payment_id, FraudDecision(check.finding)
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = (await payments.lock(connection, [payment_id])).get(payment_id)
        if held is None:
            raise NotFound("payment")
        if not is_under_review(held.payment):
            raise WrongState(held.payment.state, "decided on: no review of it is open")
        advance = decide(held.payment, decision, check.cause, now)
        await screening.keep(connection, {payment_id: check}, now)
        await payments.write(connection, [advance], ids, now)
    FRAUD_CHECKS.labels(f"review {check.finding}").inc()
    return advance.payment


async def run_out(pool: Pool, ids: Ids, now: datetime) -> int:
    """Go on with payments on which nobody decided in time; return how many there were.

    Raises:
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = await screening.lock_undecided(connection, now, MOST_AT_ONCE)
        await payments.write(connection, [time_out(one.payment, now) for one in held.values()], ids, now)
    return len(held)
