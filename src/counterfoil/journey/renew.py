"""A failed payment is tried again with another method: one more attempt at the same payment, under its own key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from counterfoil.domain.acting import try_again
from counterfoil.domain.errors import InProgress, NotFound, OrderHasPayment, RateLimited, WrongState
from counterfoil.domain.order import Order
from counterfoil.domain.payment import FraudDecision, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM, MOST_NUMBERED
from counterfoil.domain.states import PaymentState
from counterfoil.runtime.ids import Ids
from counterfoil.store import payments, restores, screening
from counterfoil.store.payment_rows import Claim
from counterfoil.store.payments import Further
from counterfoil.store.pool import Pool, unavailable_when_down

ONE_LIVE_PER_ORDER: Final = "payments_one_live_per_order"
"""The index that refuses a second live payment of an order."""


@dataclass(frozen=True, slots=True)
class Renewable:
    """A failed payment, and its order as it is to be paid now."""

    payment: Payment
    order: Order


@dataclass(frozen=True, slots=True)
class Renewal:
    """A failed payment, the request of its further attempt, and who will send that."""

    payment: Payment
    payment_method: str
    request: Request
    owner: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """The payment with its further attempt, which whoever holds the claim must now send."""

    payment: Payment
    claim: Claim


async def find(pool: Pool, payment_id: UUID) -> Renewable:
    """Return a payment that may be tried again.

    Raises:
        NotFound: there is no such payment.
        WrongState: it has not failed, or nothing may be tried after how it failed.
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down(), pool.acquire() as connection:
        held = (await payments.read(connection, [payment_id])).get(payment_id)
        order = await payments.order_of(connection, payment_id)
    if held is None or order is None:
        raise NotFound("payment")
    _demand_renewable(held.payment)
    return Renewable(held.payment, order)


async def run(pool: Pool, ids: Ids, renewal: Renewal, now: datetime) -> Renewed:
    """Add the further attempt, claimed, with its announcement, in one transaction.

    Raises:
        WrongState: somebody else was faster: it is being tried again already, or its money came late.
        RateLimited: its customer has tried too often within the hour.
        OrderHasPayment: the order is being paid by another payment by now.
        InProgress: it changed in this moment in a way that the request does not know of; a new request may go.
        LookUpOnly: the database was restored, and has not caught up.
        Unavailable: the store does not answer; nothing was added.
    """
    order_id, payment_id = renewal.payment.order_id, renewal.payment.id
    claim = Claim(renewal.owner, now + CLAIM)
    async with unavailable_when_down(), pool.acquire() as connection:
        try:
            async with connection.transaction():
                await restores.refuse_to_send(connection)
                payment = (await payments.lock(connection, [payment_id]))[payment_id].payment
                _demand_renewable(payment)
                if len(payment.attempts) != len(renewal.payment.attempts):
                    raise WrongState(payment.state, "tried again at the same time by two")
                if payment.intent_id != renewal.payment.intent_id:  # the request would make a second one
                    raise InProgress
                wait_seconds = await screening.seconds_to_wait(connection, payment.customer_id, now)
                if wait_seconds is not None:
                    raise RateLimited(retry_after_seconds=wait_seconds, payment_id=str(payment_id))
                advance = try_again(payment, now)
                further = Further(advance.payment, renewal.payment_method, renewal.request, claim)
                await payments.add_attempt(connection, further, now)
                await payments.write(connection, [advance], ids, now)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != ONE_LIVE_PER_ORDER:
                raise
            rival = (await payments.live_orders(connection, [order_id])).get(order_id)
            # The rival may have ended between our two statements: then the order is free, and asking again succeeds.
            raise (InProgress() if rival is None else OrderHasPayment(str(rival))) from None
    return Renewed(advance.payment, claim)


def _demand_renewable(payment: Payment) -> None:
    if payment.state is not PaymentState.FAILED:
        raise WrongState(payment.state, "paid with another method")
    if payment.fraud_decision is FraudDecision.DECLINED:
        raise WrongState(payment.state, "tried again after its fraud check declined it")
    if payment.cancel_requested_at is not None:
        raise WrongState(payment.state, "tried again once its order was cancelled")
    last = payment.last_attempt
    if last is not None and last.decline is not None and not last.decline.can_retry:
        raise WrongState(payment.state, f"tried again after {last.decline.code}")
    if len(payment.attempts) >= MOST_NUMBERED:
        raise WrongState(payment.state, "tried once more")
