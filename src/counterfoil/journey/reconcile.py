"""Open payments are asked about when their time comes, so that a lost webhook leaves nothing waiting for ever."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.acting import doubt, look_at
from counterfoil.domain.hearing import answered, hear
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.schedule import CLAIM, DOUBT_AFTER
from counterfoil.domain.states import MOVED_MONEY, AttemptHappening, AttemptState
from counterfoil.domain.verdict import Verdict
from counterfoil.processors.port import Processor
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import PROCESSOR_CALLS
from counterfoil.runtime.retry import again_on
from counterfoil.store import payments
from counterfoil.store.payments import Claimant, Trace
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 50
"""Look-ups one worker has under way at a time."""


async def claim_due(pool: Pool, claimant: Claimant, now: datetime, most: int = MOST_AT_ONCE) -> list[Trace]:
    """Take up to ``most`` payments whose time to be asked about has come; no other worker asks about them meanwhile.

    Nothing is taken while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection:
        return await payments.claim_due_to_ask(connection, now, now + CLAIM, most, claimant.credential)


async def ask(processor: Processor, trace: Trace) -> tuple[UUID, Verdict]:
    """Ask the processor and return what it says. Holds no transaction and no connection."""
    if trace.intent_id is not None:
        verdict = await processor.look_up(trace.intent_id)
    else:
        verdict = await processor.find(trace.payment_id, trace.first_sent_at, trace.may_be_made_until, trace.request)
    PROCESSOR_CALLS.labels("look-up", verdict.outcome.value).inc()
    return trace.payment_id, verdict


async def record(pool: Pool, ids: Ids, heard: Sequence[tuple[UUID, Verdict]], now: datetime) -> None:
    """Let each payment hear what was said of it, in one transaction. Hearing the same twice changes nothing."""
    async with unavailable_when_down():
        await again_on(RIVALRY, lambda: _record(pool, ids, dict(heard), now))


async def _record(pool: Pool, ids: Ids, heard: Mapping[UUID, Verdict], now: datetime) -> None:
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, heard)
        moved = [_hear(one.payment, heard[payment_id], now) for payment_id, one in held.items()]
        await payments.write(connection, moved, ids, now)
    for advance in moved:
        if advance.alarm is not None:
            alarm("reconcile", "alarm", payment_id=str(advance.payment.id), why=advance.alarm)


async def show_doubt(pool: Pool, ids: Ids, credential: str, now: datetime) -> None:
    """Show as in doubt what has been unknown for too long, while a pause of the credential keeps everybody from it."""
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = await payments.lock_doubtful(connection, now - DOUBT_AFTER, MOST_AT_ONCE, credential)
        await payments.write(connection, [doubt(one.payment, now) for one in held.values()], ids, now)


def _hear(payment: Payment, verdict: Verdict, now: datetime) -> Advance:
    attempt, last = payment.about(verdict), payment.last_attempt
    if attempt is None:
        return look_at(payment, now)
    if last is None or attempt.number == last.number or last.state is not AttemptState.SENT:
        return hear(payment, attempt.number, verdict, now)
    if verdict.outcome in MOVED_MONEY:
        return answered(payment, last.number, verdict, now)
    if verdict.decline is not None:
        # The intent stands as an earlier attempt left it: of the last one there is no trace.
        verdict = Verdict(AttemptHappening.UNKNOWN, verdict.cause, verdict.intent_id, absent=True)
        attempt = last
    return hear(payment, attempt.number, verdict, now)
