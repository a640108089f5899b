"""What is held is taken, whole or in part, when somebody asks for it.

Claim │ call │ record, as in `authorize`; what is sent is not an attempt but an operation on the attempt's payment. The
gateway claims with the asking and sends at once; a worker takes what is due.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain import capturing
from counterfoil.domain.errors import NotFound, WrongState
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM, KEY_LIFE, MOST_NUMBERED
from counterfoil.domain.states import AttemptHappening, PaymentState
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
"""Captures that are begun together."""

MOST_ASKED: Final = 60
"""Captures of one payment that may be asked for, each after the last was refused. Two digits may be appended to a key;
the others are for captures that were answered and changed nothing, or whose key grew too old."""

CapturingRequest = Callable[[str, str, int, int], Request]
"""How a processor is asked to take what is held; see `Processor.capture`."""


@dataclass(frozen=True, slots=True)
class Taking:
    """A capture we hold the claim to."""

    operation: Operation
    claim: Claim


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment whose capture was asked for; ``taking`` is what whoever asked must now send, where it is new."""

    payment: Payment
    taking: Taking | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What the processor said to a capture."""

    taking: Taking
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be captured: how much of what a payment holds, in minor units; None is all of it.

    ``owner`` is the process that will send it at once.
    """

    payment_id: UUID
    amount: int | None
    owner: str


async def ask(pool: Pool, ids: Ids, request: CapturingRequest, wanted: Wanted, now: datetime) -> Asked:
    """Ask for a capture, claimed by its owner, in one transaction.

    Asked for again, in the same amount, it is the same capture: under way, or done.

    Raises:
        NotFound: there is no such payment.
        WrongState: it is in no state for this.
        AmountRefused: this much cannot be taken of it.
        Unavailable: the store does not answer; nothing was asked for.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = (await payments.lock(connection, [wanted.payment_id])).get(wanted.payment_id)
        if held is None:
            raise NotFound("payment")
        payment = held.payment
        before = (await operations.latest(connection, Kind.CAPTURE, [payment.id])).get(payment.id)
        if before is not None and _is_done(payment, wanted):
            return Asked(payment, None)
        advance = capturing.ask_to_capture(payment, wanted.amount, now)
        if advance.payment == payment:
            return Asked(payment, None)
        if before is not None and before.number >= MOST_ASKED:
            raise WrongState(payment.state, "captured: it was refused too often")
        (taking,) = await _take(connection, {payment.id: advance.payment}, request, wanted.owner, now)
        begun = capturing.begin(advance.payment, now).payment
        await payments.write(connection, [Advance(begun, advance.facts)], ids, now)
    return Asked(begun, taking)


async def claim_due(
    pool: Pool,
    ids: Ids,
    request: CapturingRequest,
    claimant: Claimant,
    now: datetime,
) -> list[Taking]:
    """Claim payments whose hold is to be captured; return what to send for each.

    The same request goes again under the same key until it is answered, while that is young enough. After an answer
    that changed nothing, as later, a new one goes, for a hold is taken once, however often we ask. Nothing is claimed
    while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = await payments.lock_to_capture(connection, now, MOST_AT_ONCE, claimant.credential)
        if not held:
            return []
        due = {payment_id: one.payment for payment_id, one in held.items()}
        takings = await _take(connection, due, request, claimant.name, now)
        await payments.write(connection, [capturing.begin(payment, now) for payment in due.values()], ids, now)
    return takings


async def call(processor: Processor, taking: Taking, clock: Clock) -> Heard:
    """Send the capture, while the claim lasts, and return what was heard. Holds no transaction and no connection."""
    verdict = await processor.send(
        taking.operation.request, again=True, may_send=lambda: clock.now() < taking.claim.expires_at
    )
    PROCESSOR_CALLS.labels("capture", verdict.outcome.value).inc()
    return Heard(taking, verdict)


async def record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    """Record what was heard, in one transaction; return, in order, how each payment stands after it.

    What another process has taken over since changes nothing.

    Raises:
        Unavailable: the store does not answer. Once the claim expires the capture is sent again.
    """
    async with unavailable_when_down():
        return await again_on(RIVALRY, lambda: _record(pool, ids, heard, now))


async def _record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    said = {one.taking.operation.payment_id: one for one in heard}
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, said)
        answered = [one.verdict.refused or one.verdict.outcome is not AttemptHappening.UNKNOWN for one in heard]
        ended = [(one.taking.operation, one.taking.claim, so) for one, so in zip(heard, answered, strict=True)]
        ours = await operations.settle(connection, ended, now)
        moved: dict[UUID, Advance] = {}
        for payment_id in ours:
            number, verdict = said[payment_id].taking.operation.attempt, said[payment_id].verdict
            moved[payment_id] = capturing.heard(held[payment_id].payment, number, verdict, now)
        await payments.write(connection, list(moved.values()), ids, now)
    for payment_id, advance in moved.items():
        if advance.alarm is not None:
            alarm("capture", "alarm", payment_id=str(payment_id), why=advance.alarm)
    return [moved[one].payment if one in moved else held[one].payment for one in said]


def _is_done(payment: Payment, wanted: Wanted) -> bool:
    """Return whether what is asked for is what a capture that was asked for before has brought."""
    amount = payment.money.amount if wanted.amount is None else wanted.amount
    return payment.state is PaymentState.SUCCEEDED and payment.amount_captured == amount


async def _take(
    connection: Connection,
    due: Mapping[UUID, Payment],
    request: CapturingRequest,
    owner: str,
    now: datetime,
) -> list[Taking]:
    """Put on record what is about to be sent for locked payments, claimed by its owner."""
    before = await operations.latest(connection, Kind.CAPTURE, due)
    wanted = [_operation(payment, before.get(payment_id), request, now) for payment_id, payment in due.items()]
    claims = await operations.claim(connection, wanted, owner, now, now + CLAIM)
    return [Taking(one, claims[one.payment_id]) for one in wanted]


def _operation(payment: Payment, before: Sent | None, request: CapturingRequest, now: datetime) -> Operation:
    attempt, amount = capturing.hold_of(payment), payment.amount_to_capture
    assert amount is not None, "it was taken because a capture is asked for"
    assert payment.intent_id is not None, "the processor told its name when it held the money"
    stands = before is not None and not before.settled and before.amount == amount
    if before is not None and stands and now - before.first_sent_at < KEY_LIFE:
        return Operation(payment.id, Kind.CAPTURE, before.number, attempt.number, before.request, amount)
    number = min(before.number + 1, MOST_NUMBERED) if before is not None else 1
    sent = request(payment.intent_id, payment.event_id, number, amount)
    return Operation(payment.id, Kind.CAPTURE, number, attempt.number, sent, amount)
