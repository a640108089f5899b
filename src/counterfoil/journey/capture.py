"""What is held is taken, whole or in part, when somebody asks for it: an operation on the payment that holds it.

The gateway claims with the asking and sends at once; a worker takes what is due. Both send by `operating`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain import capturing
from counterfoil.domain.errors import NotFound, WrongState
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptHappening, PaymentState
from counterfoil.domain.verdict import Verdict
from counterfoil.journey import operating
from counterfoil.journey.operating import Asked, Claimed, Heard, Intended, Manner
from counterfoil.runtime.ids import Ids
from counterfoil.store import operations, payments, restores
from counterfoil.store.operations import Kind
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import Pool, unavailable_when_down

MOST_AT_ONCE: Final = 50
"""Captures that are begun together."""

MOST_ASKED: Final = 60
"""Captures of one payment that may be asked for, each after the last was refused. Two digits may be appended to a key;
the others are for captures that were answered and changed nothing, or whose key grew too old."""

CapturingRequest = Callable[[str, str, int, int], Request]
"""How a processor is asked to take what is held; see `Processor.capture`."""


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
        LookUpOnly: the database was restored, and has not caught up.
        Unavailable: the store does not answer; nothing was asked for.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        await restores.refuse_to_send(connection)
        held = (await payments.lock(connection, [wanted.payment_id])).get(wanted.payment_id)
        if held is None:
            raise NotFound("payment")
        payment = held.payment
        sent = await operations.latest(connection, Kind.CAPTURE, [payment.id])
        before = sent.get(payment.id)
        if before is not None and _is_done(payment, wanted):
            return Asked(payment, None)
        advance = capturing.ask_to_capture(payment, wanted.amount, now)
        if advance.payment == payment:
            return Asked(payment, None)
        if before is not None and before.number >= MOST_ASKED:
            raise WrongState(payment.state, "captured: it was refused too often")
        intended = [_intended(advance.payment, request)]
        (claimed,) = await operating.take(connection, intended, sent, wanted.owner, now)
        begun = capturing.begin(advance.payment, now).payment
        await payments.write(connection, [Advance(begun, advance.facts)], ids, now)
    return Asked(begun, claimed)


async def claim_due(
    pool: Pool,
    ids: Ids,
    request: CapturingRequest,
    claimant: Claimant,
    now: datetime,
) -> list[Claimed]:
    """Claim payments whose hold is to be captured; return what to send for each.

    The same request goes again under the same key until it is answered, while that is young enough. After an answer
    that changed nothing, as later, a new one goes, for a hold is taken once, however often we ask. Nothing is claimed
    while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = await payments.lock_to_capture(connection, now, MOST_AT_ONCE, claimant.credential)
        if not held:
            return []
        due = [one.payment for one in held.values()]
        sent = await operations.latest(connection, Kind.CAPTURE, held)
        intended = [_intended(payment, request) for payment in due]
        claimed = await operating.take(connection, intended, sent, claimant.name, now)
        await payments.write(connection, [capturing.begin(payment, now) for payment in due], ids, now)
    return claimed


async def record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    """Record what was heard of captures; see `operating.record`."""
    return await operating.record(pool, ids, _MANNER, heard, now)


def _is_done(payment: Payment, wanted: Wanted) -> bool:
    """Return whether what is asked for is what a capture that was asked for before has brought."""
    amount = payment.money.amount if wanted.amount is None else wanted.amount
    return payment.state is PaymentState.SUCCEEDED and payment.amount_captured == amount


def _intended(payment: Payment, request: CapturingRequest) -> Intended:
    attempt, amount = capturing.hold_of(payment), payment.amount_to_capture
    assert amount is not None, "it was taken because a capture is asked for"
    assert payment.intent_id is not None, "the processor told its name when it held the money"
    intent_id, event_id = payment.intent_id, payment.event_id
    return Intended(
        payment.id, Kind.CAPTURE, attempt.number, lambda number: request(intent_id, event_id, number, amount), amount
    )


def _is_definite(verdict: Verdict) -> bool:
    return verdict.refused or verdict.outcome is not AttemptHappening.UNKNOWN


_MANNER: Final = Manner("capture", capturing.heard, _is_definite)
