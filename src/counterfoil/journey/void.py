"""What its customer left, what was held long enough, and what is canceled, is let go at the processor.

An operation on the payment, sent by `operating`. Where somebody asks for it, the gateway claims with the asking and
sends at once; a worker takes what is due.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.acting import expire
from counterfoil.domain.capturing import CANCELED_ON_REQUEST, ask_to_cancel
from counterfoil.domain.errors import NotFound
from counterfoil.domain.hearing import answered
from counterfoil.domain.payment import Advance, Attempt, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Verdict
from counterfoil.journey import operating
from counterfoil.journey.operating import Asked, Claimed, Heard, Intended, Manner
from counterfoil.runtime.ids import Ids
from counterfoil.store import operations, payments, restores
from counterfoil.store.operations import Kind
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import Connection, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 50
"""Cancellations that are begun together."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A payment to be canceled; ``owner`` is the process that will tell the processor at once."""

    payment_id: UUID
    owner: str


Cancelling = Callable[[str, str, int], Request]
"""How a processor is asked to let a payment go; see `Processor.cancellation`."""


async def ask(pool: Pool, ids: Ids, cancel: Cancelling, wanted: Wanted, now: datetime) -> Asked:
    """Cancel a payment on request: at once, or by what is now to be sent, claimed by its owner; one transaction.

    Asked for again it is the same cancellation: under way, or done.

    Raises:
        NotFound: there is no such payment.
        WrongState: it is in no state for this.
        LookUpOnly: the database was restored, and has not caught up.
        Unavailable: the store does not answer; nothing was asked for.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        await restores.refuse_to_send(connection)
        held = (await payments.lock(connection, [wanted.payment_id])).get(wanted.payment_id)
        if held is None:
            raise NotFound("payment")
        advance = ask_to_cancel(held.payment, CANCELED_ON_REQUEST, now)
        if advance.payment == held.payment:
            return Asked(held.payment, None)
        payment, left = advance.payment, advance.payment.to_let_go(now)
        claimed: list[Claimed] = []
        if left is not None:
            claimed = await _take(connection, [(payment, left)], cancel, wanted.owner, now)
            payment = expire(payment, left.number, now).payment
        await payments.write(connection, [Advance(payment, advance.facts)], ids, now)
    return Asked(payment, claimed[0] if claimed else None)


async def claim_due(
    pool: Pool,
    ids: Ids,
    cancel: Cancelling,
    claimant: Claimant,
    now: datetime,
) -> list[Claimed]:
    """Claim payments that are to be let go; return what to send for each.

    The same request goes again under the same key until it is answered, while that is young enough. After a definite
    answer that ended nothing the same key would only give it again; then, as later, a new one goes, for to cancel twice
    does no more than to cancel once. Nothing is claimed while the claimant's key is paused.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        held = await payments.lock_to_let_go(connection, now, MOST_AT_ONCE, claimant.credential)
        if not held:
            return []
        due = [(one.payment, _left(one.payment, now)) for one in held.values()]
        claimed = await _take(connection, due, cancel, claimant.name, now)
        await payments.write(connection, [expire(payment, left.number, now) for payment, left in due], ids, now)
    return claimed


async def record(pool: Pool, ids: Ids, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    """Record what was heard of cancellations; see `operating.record`."""
    return await operating.record(pool, ids, _MANNER, heard, now)


async def _take(
    connection: Connection,
    due: Sequence[tuple[Payment, Attempt]],
    cancel: Cancelling,
    owner: str,
    now: datetime,
) -> list[Claimed]:
    sent = await operations.latest(connection, Kind.CANCEL, [payment.id for payment, _ in due])
    return await operating.take(connection, [_intended(*one, cancel) for one in due], sent, owner, now)


def _intended(payment: Payment, left: Attempt, cancel: Cancelling) -> Intended:
    assert payment.intent_id is not None, "the processor told its name when it asked for the customer"
    intent_id, event_id = payment.intent_id, payment.event_id
    return Intended(payment.id, Kind.CANCEL, left.number, lambda number: cancel(intent_id, event_id, number))


def _left(payment: Payment, now: datetime) -> Attempt:
    left = payment.to_let_go(now)
    assert left is not None, "it was taken because it is to be let go"
    return left


def _is_definite(verdict: Verdict) -> bool:
    return verdict.outcome is not AttemptHappening.UNKNOWN


_MANNER: Final = Manner("void", answered, _is_definite)
