"""An attempt is sent to the processor: claim │ call │ record, and no transaction across the network.

The gateway's inline charge and the worker share `call` and `record`; the gateway's claim comes with accept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from counterfoil.domain.acting import claim
from counterfoil.domain.hearing import NEVER_SENT, answered, give_up
from counterfoil.domain.payment import Advance, Payment, ScreeningMode
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM, NEVER_SENT_FOR
from counterfoil.domain.verdict import Cause, Source, Verdict
from counterfoil.processors.port import Processor
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import PROCESSOR_CALLS
from counterfoil.runtime.retry import again_on
from counterfoil.store import payments
from counterfoil.store.payment_rows import Claim, Held
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 50
"""As many calls as one worker has under way; Stripe's limits, not ours, are what a larger number would meet."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sending:
    """An attempt we hold the claim to, and what to send for it. ``again`` when it may have been sent before."""

    payment_id: UUID
    number: int
    claim: Claim
    request: Request
    again: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """What the processor said to a sending."""

    sending: Sending
    verdict: Verdict


async def claim_due(
    pool: Pool,
    ids: Ids,
    claimant: Claimant,
    now: datetime,
    most: int = MOST_AT_ONCE,
) -> list[Sending]:
    """Claim up to ``most`` attempts whose time to be sent has come, first or again; return what to send.

    One whose key has grown too old is never sent any more, only looked for (`reconcile`); one that could not be sent
    for three days is given up. Nothing is claimed while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        due = (await payments.lock_due_to_send(connection, now, most, claimant.credential)).values()
        lost = [held for held in due if _is_given_up(held, now)]
        fresh = [held for held in due if not _is_given_up(held, now)]
        advances = [claim(held.payment, len(held.kept), now) for held in fresh]
        timer = Cause(Source.TIMER, "never sent")
        advances += [give_up(held.payment, len(held.kept), NEVER_SENT, timer, now) for held in lost]
        wanted = [(held.payment.id, len(held.kept)) for held in fresh]
        claims = await payments.claim_attempts(connection, wanted, claimant.name, now, now + CLAIM) if wanted else {}
        await payments.write(connection, advances, ids, now)
    return [
        Sending(
            payment_id=held.payment.id,
            number=len(held.kept),
            claim=claims[held.payment.id],
            request=held.kept[-1].request,
            again=held.payment.attempts[-1].exposed,
        )
        for held in fresh
    ]


async def call(processor: Processor, sending: Sending, clock: Clock) -> Heard:
    """Send the attempt's request and return what was heard. Holds no transaction and no connection.

    Once the claim is over nothing is sent any more: whoever was frozen in between could meet a key that is forgotten.
    """
    verdict = await processor.send(
        sending.request, again=sending.again, may_send=lambda: clock.now() < sending.claim.expires_at
    )
    PROCESSOR_CALLS.labels("send", verdict.outcome.value).inc()
    return Heard(sending, verdict)


async def record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    """Record what was heard, in one transaction; return, in order, how each payment stands after it.

    What was heard under a claim that another process has since taken over changes nothing: that process will hear, or
    has heard, the same.

    Raises:
        Unavailable: the store does not answer. The attempt stays sent, and a worker asks again once the claim expires.
    """
    async with unavailable_when_down():
        return await again_on(RIVALRY, lambda: _record(pool, ids, heard, now))


async def _record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, {one.sending.payment_id for one in heard})
        moved: dict[UUID, Advance] = {}
        for one in heard:
            sending, current = one.sending, held[one.sending.payment_id]
            if current.kept[sending.number - 1].fence != sending.claim.fence:
                _log.warning("authorize.stale", payment_id=str(sending.payment_id), attempt=sending.number)
                continue
            moved[sending.payment_id] = answered(current.payment, sending.number, one.verdict, now)
        released = frozenset((one.sending.payment_id, one.sending.number) for one in heard)
        await payments.write(connection, list(moved.values()), ids, now, released=released)
    for payment_id, advance in moved.items():
        if advance.alarm is not None:
            alarm("authorize", "alarm", payment_id=str(payment_id), why=advance.alarm)
    return [
        moved[payment_id].payment if payment_id in moved else held[payment_id].payment
        for payment_id in (one.sending.payment_id for one in heard)
    ]


def _is_given_up(held: Held, now: datetime) -> bool:
    payment, since = held.payment, held.kept[-1].created_at
    if payment.screening_mode is ScreeningMode.BEFORE_CHARGE and payment.decide_by is not None:
        since = max(since, payment.decide_by)  # when it was approved; before, nobody could have sent it
    return not payment.attempts[-1].exposed and now - since >= NEVER_SENT_FOR
