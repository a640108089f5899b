"""An order becomes a payment: its row, its first attempt and its first fact, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from counterfoil.domain.acting import accept
from counterfoil.domain.errors import CounterfoilError, IdempotencyKeyReused, InProgress, OrderHasPayment, Unavailable
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.states import AttemptState
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.retry import again_on
from counterfoil.store import payments
from counterfoil.store.payment_rows import Arrival, Claim, Held
from counterfoil.store.payments import Known
from counterfoil.store.pool import RIVALRY, Connection, Pool, unavailable_when_down


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that may become a payment, named in advance because its request to the processor carries that name.

    ``owner`` is the process that will send the attempt at once; None leaves it to the workers. ``stored_method`` says
    whether the method can be charged again without its customer.
    """

    payment_id: UUID
    order: Order
    request: Request
    livemode: bool
    owner: str | None
    stored_method: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A new payment. ``claim`` is held where the wish named an owner, who must now send the request."""

    payment: Payment
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The event was accepted before; this is how its payment stands now."""

    payment: Payment


async def run(
    pool: Pool,
    ids: Ids,
    wishes: Sequence[Wish],
    now: datetime,
) -> list[Accepted | Repeated | CounterfoilError]:
    """Accept orders; return for each, in order, its new payment, the payment it repeats, or why it is refused.

    Refusals are IdempotencyKeyReused, OrderHasPayment and InProgress; Unavailable where the store went away before
    it could say why an order is not new.

    Raises:
        Unavailable: the store does not answer; nothing was accepted.
    """
    arrivals = [_arrival(wish, now) for wish in wishes]

    async def work() -> set[UUID]:
        async with pool.acquire() as connection:
            return await payments.insert(connection, arrivals, ids)

    async with unavailable_when_down():
        new = await again_on(RIVALRY, work)
    answers: dict[UUID, Accepted | Repeated | CounterfoilError] = {
        arrival.advance.payment.id: Accepted(arrival.advance.payment, arrival.claim)
        for arrival in arrivals
        if arrival.advance.payment.id in new
    }
    left_out = [wish for wish in wishes if wish.payment_id not in new]
    if left_out:
        try:
            async with unavailable_when_down(), pool.acquire() as connection:
                answers |= await _explain(connection, left_out, now)
        except Unavailable as error:  # the others are committed, and must be answered as such
            answers |= dict.fromkeys((wish.payment_id for wish in left_out), error)
    return [answers[wish.payment_id] for wish in wishes]


async def known(
    pool: Pool,
    orders: Sequence[Order],
    now: datetime,
) -> list[Repeated | CounterfoilError | None]:
    """Return for each order, in order, what its event came to before, as `run` would; None where the event is new.

    For whoever cannot have an order's request at once: what was accepted is answered without one.

    Raises:
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down(), pool.acquire() as connection:
        before = await payments.known_events(connection, [order.event_id for order in orders])
        held = await payments.read(connection, [one.payment_id for one in before.values()]) if before else {}
    found = [(order, before.get(order.event_id)) for order in orders]
    return [None if one is None else _repeated(order, one, held[one.payment_id], now) for order, one in found]


def _arrival(wish: Wish, now: datetime) -> Arrival:
    payment = Payment(
        id=wish.payment_id,
        order_id=wish.order.order_id,
        event_id=wish.order.event_id,
        money=wish.order.money,
        created_at=now,
        customer_id=wish.order.customer_id,
        capture_method=wish.order.capture_method,
        off_session=wish.order.off_session,
        stored_method=wish.stored_method,
    )
    claim = Claim(wish.owner, now + CLAIM) if wish.owner is not None else None
    advance = accept(payment, claimed=claim is not None, now=now)
    return Arrival(wish.order, advance, wish.request, wish.livemode, claim)


async def _explain(
    connection: Connection,
    wishes: Sequence[Wish],
    now: datetime,
) -> dict[UUID, Accepted | Repeated | CounterfoilError]:
    """Return why each of these became no new payment."""
    known = await payments.known_events(connection, [wish.order.event_id for wish in wishes])
    rivals = [wish.order.order_id for wish in wishes if wish.order.event_id not in known]
    live = await payments.live_orders(connection, rivals) if rivals else {}
    held = await payments.read(connection, [one.payment_id for one in known.values()]) if known else {}
    freed = [wish.payment_id for wish in wishes if wish.order.event_id not in known and wish.order.order_id not in live]
    taken = await payments.read(connection, freed) if freed else {}
    answers: dict[UUID, Accepted | Repeated | CounterfoilError] = {}
    for wish in wishes:
        before = known.get(wish.order.event_id)
        if wish.payment_id in taken:  # somebody named it before, for another event
            answers[wish.payment_id] = IdempotencyKeyReused()
        elif before is None:
            rival = live.get(wish.order.order_id)
            # The rival may have ended between our two statements: then the order is free, and asking again succeeds.
            answers[wish.payment_id] = InProgress() if rival is None else OrderHasPayment(str(rival))
        else:
            answers[wish.payment_id] = _repeated(wish.order, before, held[before.payment_id], now)
    return answers


def _repeated(order: Order, before: Known, held: Held, now: datetime) -> Repeated | CounterfoilError:
    """Return what an order is told whose event already has a payment."""
    if before.fingerprint != order.fingerprint():
        return IdempotencyKeyReused()
    return InProgress() if _is_in_hand(held, now) else Repeated(held.payment)


def _is_in_hand(held: Held, now: datetime) -> bool:
    """Return whether a live process is waiting for the processor's answer to this payment right now."""
    last, kept = held.payment.attempts[-1], held.kept[-1]
    return last.state is AttemptState.SENT and kept.claim_expires_at is not None and kept.claim_expires_at > now
