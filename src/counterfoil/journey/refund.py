"""Money is given back: claim │ call │ record, as in `authorize`; what is sent is a refund of a paid payment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from counterfoil.domain.errors import IdempotencyKeyReused, NotFound
from counterfoil.domain.payment import Advance, RefundState
from counterfoil.domain.refunding import OVERPAID, Moved, RefundVerdict, Repayment, Wish, hear, reserve
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.verdict import Cause, Source
from counterfoil.processors.port import Processor
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import PROCESSOR_CALLS
from counterfoil.runtime.retry import again_on
from counterfoil.store import payments, refunds, restores
from counterfoil.store.payment_rows import Claim
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 50
"""Refunds one worker has under way at a time."""

Requesting = Callable[[Repayment], Request]
"""How a processor is asked to give money back; see `Processor.refund`."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """The refund that fulfils a wish; ``repeated`` when the wish was known before."""

    refund_id: UUID
    repeated: bool


@dataclass(frozen=True, slots=True)
class Sending:
    """A refund we hold the claim to, and what to send for it. ``again`` when it may have been sent before."""

    refund_id: UUID
    payment_id: UUID
    claim: Claim
    request: Request
    again: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """What the processor said to a sending."""

    sending: Sending
    verdict: RefundVerdict


async def ask(pool: Pool, ids: Ids, wish: Wish, now: datetime) -> Asked:
    """Reserve what is asked back, under the payment's lock, and put its refund on record; a worker sends it.

    Raises:
        NotFound: there is no such payment.
        IdempotencyKeyReused: the key was spent on another wish for this payment.
        WrongState: the payment has no money to give back, or not yet.
        AmountRefused: not so much is left, or it is in another currency.
        LookUpOnly: the database was restored, and has not caught up.
        Unavailable: the store does not answer; nothing was reserved.
    """

    async def work() -> Asked:
        async with pool.acquire() as connection, connection.transaction():
            await restores.refuse_to_send(connection)
            held = (await payments.lock(connection, [wish.payment_id])).get(wish.payment_id)
            if held is None:
                raise NotFound("payment")
            known = await refunds.by_request(connection, wish)
            if known is not None:
                if known.fingerprint not in (None, wish.fingerprint()):
                    raise IdempotencyKeyReused
                return Asked(known.refund_id, repeated=True)
            moved = reserve(held.payment, wish, ids.new(), Cause(Source.ORDER, wish.key), now)
            await payments.write(connection, [Advance(moved.payment, moved.facts)], ids, now)
            await refunds.put_key(connection, moved.course.refund.id, wish)
            return Asked(moved.course.refund.id, repeated=False)

    async with unavailable_when_down():
        return await again_on(RIVALRY, work)


async def claim_due(
    pool: Pool, requesting: Requesting, claimant: Claimant, now: datetime, most: int = MOST_AT_ONCE
) -> list[Sending]:
    """Claim up to ``most`` refunds whose time to be sent has come, first or again; return what to send.

    The first claim puts the request on record, later ones send the same. One whose key has grown too old is never sent
    any more, only looked for (`recount`). Nothing is claimed while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        due = await refunds.take_due(connection, now, most, claimant.credential)
        if not due:
            return []
        wanted = [(one.repayment.refund_id, one.request or requesting(one.repayment)) for one in due]
        claims = await refunds.claim(connection, wanted, claimant.name, now, now + CLAIM)
    return [
        Sending(refund_id, one.repayment.payment_id, claims[refund_id], request, one.again)
        for one, (refund_id, request) in zip(due, wanted, strict=True)
    ]


async def call(processor: Processor, sending: Sending, clock: Clock) -> Heard:
    """Send the refund, while the claim lasts, and return what was heard. Holds no transaction and no connection."""
    verdict = await processor.send_refund(
        sending.request, again=sending.again, may_send=lambda: clock.now() < sending.claim.expires_at
    )
    PROCESSOR_CALLS.labels("refund", verdict.outcome.value).inc()
    return Heard(sending, verdict)


async def record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> None:
    """Record what was heard, in one transaction; what another process has taken over since changes nothing.

    Where the processor refused, or gave back more than we thought was left, what became of refunds made elsewhere may
    be why: all are counted again (`recount`).

    Raises:
        Unavailable: the store does not answer. Once the claim expires the refund is sent again.
    """
    async with unavailable_when_down():
        await again_on(RIVALRY, lambda: _record(pool, ids, heard, now))


async def _record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> None:
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, {one.sending.payment_id for one in heard})
        found = await refunds.by_id(connection, [one.sending.refund_id for one in heard])
        advances = {payment_id: Advance(one.payment) for payment_id, one in held.items()}
        moves: list[Moved] = []
        for one in heard:
            sending, current = one.sending, found[one.sending.refund_id]
            if current.fence != sending.claim.fence:
                _log.warning("refund.stale", payment_id=str(sending.payment_id), refund_id=str(sending.refund_id))
                continue
            so_far = advances[sending.payment_id]
            moves.append(hear(so_far.payment, current.course, one.verdict, now))
            advances[sending.payment_id] = Advance(moves[-1].payment, so_far.facts + moves[-1].facts)
        await refunds.write(connection, [moved.course for moved in moves], now)
        changed = [advance for one, advance in advances.items() if advance.payment != held[one].payment]
        await payments.write(connection, changed, ids, now)
        await refunds.look_soon(connection, {moved.payment.id for moved in moves if _is_surprising(moved)}, now)
    for moved in moves:
        if moved.alarm is not None:
            about = {"payment_id": str(moved.payment.id), "refund_id": str(moved.course.refund.id)}
            alarm("refund", "alarm", why=moved.alarm, **about)


def _is_surprising(moved: Moved) -> bool:
    return moved.course.refund.state is RefundState.FAILED or moved.alarm == OVERPAID
