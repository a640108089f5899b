"""What its customer left, what was held long enough, and what is canceled, is let go at the processor.

Claim │ call │ record, as in `authorize`; what is sent is not an attempt but an operation on the attempt's payment.
Where somebody asks for it, the gateway claims with the asking and sends at once; a worker takes what is due.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.acting import expire
from counterfoil.domain.capturing import CANCELED_ON_REQUEST, ask_to_cancel
from counterfoil.domain.errors import NotFound
from counterfoil.domain.hearing import answered
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM, KEY_LIFE, MOST_NUMBERED
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Verdict
from counterfoil.processors.port import Processor
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import PROCESSOR_CALLS
from counterfoil.runtime.retry import again_on
from counterfoil.store import operations, payments
from counterfoil.store.operations import Kind, Operation, Sent
from counterfoil.store.payment_rows import Claim
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import RIVALRY, Connection, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 50
"""Cancellations that are begun together."""


@dataclass(frozen=True, slots=True)
class Letting:
    """A cancellation we hold the claim to."""

    cancellation: Operation
    claim: Claim


@dataclass(frozen=True, slots=True)
class Wanted:
    """A payment to be canceled; ``owner`` is the process that will tell the processor at once."""

    payment_id: UUID
    owner: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment whose cancellation was asked for; ``letting`` is what whoever asked must now send, if anything."""

    payment: Payment
    letting: Letting | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What the processor said to a cancellation."""

    letting: Letting
    verdict: Verdict


Cancelling = Callable[[str, str, int], Request]
"""How a processor is asked to let a payment go; see `Processor.cancellation`."""


async def ask(pool: Pool, ids: Ids, cancel: Cancelling, wanted: Wanted, now: datetime) -> Asked:
    """Cancel a payment on request: at once, or by what is now to be sent, claimed by its owner; one transaction.

    Asked for again it is the same cancellation: under way, or done.

    Raises:
        NotFound: there is no such payment.
        WrongState: it is in no state for this.
        Unavailable: the store does not answer; nothing was asked for.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = (await payments.lock(connection, [wanted.payment_id])).get(wanted.payment_id)
        if held is None:
            raise NotFound("payment")
        advance = ask_to_cancel(held.payment, CANCELED_ON_REQUEST, now)
        if advance.payment == held.payment:
            return Asked(held.payment, None)
        payment, left = advance.payment, advance.payment.to_let_go(now)
        lettings = []
        if left is not None:
            lettings = await _take(connection, {payment.id: payment}, cancel, wanted.owner, now)
            payment = expire(payment, left.number, now).payment
        await payments.write(connection, [Advance(payment, advance.facts)], ids, now)
    return Asked(payment, lettings[0] if lettings else None)


async def claim_due(
    pool: Pool,
    ids: Ids,
    cancel: Cancelling,
    claimant: Claimant,
    now: datetime,
) -> list[Letting]:
    """Claim payments that are to be let go; return what to send for each.

    The same request goes again under the same key until it is answered, while that is young enough. After a definite
    answer that ended nothing the same key would only give it again; then, as later, a new one goes, for to cancel twice
    does no more than to cancel once. Nothing is claimed while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = await payments.lock_to_let_go(connection, now, MOST_AT_ONCE, claimant.credential)
        if not held:
            return []
        due = {payment_id: one.payment for payment_id, one in held.items()}
        lettings = await _take(connection, due, cancel, claimant.name, now)
        wanted = [one.cancellation for one in lettings]
        advances = [expire(due[one.payment_id], one.attempt, now) for one in wanted]
        await payments.write(connection, advances, ids, now)
    return lettings


async def _take(
    connection: Connection,
    due: Mapping[UUID, Payment],
    cancel: Cancelling,
    owner: str,
    now: datetime,
) -> list[Letting]:
    """Put on record what is about to be sent for locked payments, claimed by its owner."""
    before = await operations.latest(connection, Kind.CANCEL, due)
    wanted = [_cancellation(payment, before.get(payment_id), cancel, now) for payment_id, payment in due.items()]
    claims = await operations.claim(connection, wanted, owner, now, now + CLAIM)
    return [Letting(one, claims[one.payment_id]) for one in wanted]


def _cancellation(payment: Payment, before: Sent | None, cancel: Cancelling, now: datetime) -> Operation:
    left = payment.to_let_go(now)
    assert left is not None, "it was taken because it is to be let go"
    assert payment.intent_id is not None, "the processor told its name when it asked for the customer"
    if before is not None and not before.settled and now - before.first_sent_at < KEY_LIFE:
        return Operation(payment.id, Kind.CANCEL, before.number, left.number, before.request)
    number = min(before.number + 1, MOST_NUMBERED) if before is not None else 1
    request = cancel(payment.intent_id, payment.event_id, number)
    return Operation(payment.id, Kind.CANCEL, number, left.number, request)


async def call(processor: Processor, letting: Letting, clock: Clock) -> Heard:
    """Send the cancellation, while the claim lasts, and return what was heard. Holds no transaction, no connection."""
    verdict = await processor.send(
        letting.cancellation.request, again=True, may_send=lambda: clock.now() < letting.claim.expires_at
    )
    PROCESSOR_CALLS.labels("cancel", verdict.outcome.value).inc()
    return Heard(letting, verdict)


async def record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    """Record what was heard, in one transaction; return, in order, how each payment stands after it.

    What another process has taken over since changes nothing.

    Raises:
        Unavailable: the store does not answer. Once the claim expires the cancellation is sent again.
    """
    async with unavailable_when_down():
        return await again_on(RIVALRY, lambda: _record(pool, ids, heard, now))


async def _record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    verdicts = {one.letting.cancellation.payment_id: one for one in heard}
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, verdicts)
        ended = [
            (one.letting.cancellation, one.letting.claim, one.verdict.outcome is not AttemptHappening.UNKNOWN)
            for one in heard
        ]
        ours = await operations.settle(connection, ended, now)
        moved: dict[UUID, Advance] = {}
        for payment_id in ours:
            one = verdicts[payment_id]
            number = one.letting.cancellation.attempt
            moved[payment_id] = answered(held[payment_id].payment, number, one.verdict, now)
        await payments.write(connection, list(moved.values()), ids, now)
    for payment_id, advance in moved.items():
        if advance.alarm is not None:
            alarm("void", "alarm", payment_id=str(payment_id), why=advance.alarm)
    return [moved[one].payment if one in moved else held[one].payment for one in verdicts]
