"""An order becomes a payment: its row, its first attempt and its first fact, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from counterfoil.domain.acting import accept
from counterfoil.domain.cancelling import cancel
from counterfoil.domain.errors import (
    CounterfoilError,
    IdempotencyKeyReused,
    InProgress,
    LookUpOnly,
    OrderHasPayment,
    RateLimited,
    Unavailable,
)
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Advance, Payment, ScreeningMode
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.screening import NO_SCREENING, Foreknown, Screening
from counterfoil.domain.states import AttemptState
from counterfoil.messages.task import Task
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.retry import again_on
from counterfoil.store import cancellations, payments, restores, screening
from counterfoil.store.payment_rows import Arrival, Claim, Held
from counterfoil.store.payments import Known
from counterfoil.store.pool import RIVALRY, Connection, Pool, unavailable_when_down


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that may become a payment, named in advance because its request to the processor carries that name.

    ``owner`` is the process that will send the attempt at once; None leaves it to the workers. ``stored_method`` says
    whether the method can be charged again without its customer, ``screening`` how this order is screened, ``task``
    what state machine waits for it.
    """

    payment_id: UUID
    order: Order
    request: Request
    livemode: bool
    owner: str | None
    stored_method: bool = False
    screening: Screening = NO_SCREENING
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A new payment. ``claim`` is held where the wish named an owner, who must now send the request.

    It is not where a fraud check is waited for first, or has refused the payment before it came, nor where the order
    was cancelled before.
    """

    payment: Payment
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The event was accepted before; this is how its payment stands now."""

    payment: Payment


Answer: TypeAlias = Accepted | Repeated | CounterfoilError
"""What an order is told: its new payment, the payment it repeats, or why it is refused."""

_Answers: TypeAlias = dict[UUID, Answer]


async def run(pool: Pool, ids: Ids, wishes: Sequence[Wish], now: datetime) -> list[Answer]:
    """Accept orders; return for each, in order, what it is told.

    Refusals are IdempotencyKeyReused, OrderHasPayment and InProgress; RateLimited for a customer's attempt too many,
    whose payment is written as failed and never sent; Unavailable where the store went away before it could say why an
    order is not new.

    Raises:
        Unavailable: the store does not answer; nothing was accepted.
    """

    async def work() -> _Answers:
        async with pool.acquire() as connection:
            return await _accept(connection, ids, wishes, now)

    async with unavailable_when_down():
        answers = await again_on(RIVALRY, work)
    left_out = [wish for wish in wishes if wish.payment_id not in answers]
    if left_out:
        try:
            async with unavailable_when_down(), pool.acquire() as connection:
                answers |= await _explain(connection, left_out, now)
        except Unavailable as error:  # the others are committed, and must be answered as such
            answers |= dict.fromkeys((wish.payment_id for wish in left_out), error)
    return [answers[wish.payment_id] for wish in wishes]


async def known(pool: Pool, orders: Sequence[Order], now: datetime) -> list[Repeated | CounterfoilError | None]:
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


async def _accept(connection: Connection, ids: Ids, wishes: Sequence[Wish], now: datetime) -> _Answers:
    """Insert what is new, in one statement as a rule; what is judged already is judged in the same transaction.

    Two that accept in the same moment may each let a customer's last attempt through: it is a limit, not an account. A
    payment whose order was cancelled before ends at once, and is nobody's to send.
    """
    late = await screening.too_many(connection, [(one.payment_id, one.order) for one in wishes], now)
    screened = [wish.payment_id for wish in wishes if wish.screening.mode is not ScreeningMode.NONE]
    unwanted = await cancellations.of_orders(connection, {wish.order.order_id for wish in wishes})
    if not late and not screened and not unwanted:
        arrivals = [_arrival(wish, now) for wish in wishes]
        new = await payments.insert(connection, arrivals, ids)
        return {one.id: Accepted(one.payment, one.claim) for one in arrivals if one.id in new}
    async with connection.transaction():
        foreknown = Foreknown(late, await screening.expected(connection, screened) if screened else {})
        barred = {one.payment_id for one in wishes if foreknown.bars(one.payment_id) or one.order.order_id in unwanted}
        arrivals = [_arrival(wish, now, barred=wish.payment_id in barred) for wish in wishes]
        new = await payments.insert(connection, arrivals, ids)
        judged: dict[UUID, Advance | None] = {}
        for one in (arrival for arrival in arrivals if arrival.id in new):
            cancelled = unwanted.get(one.payment.order_id)
            ends = foreknown.judge(one.payment, now)
            judged[one.id] = ends if cancelled is None else cancel(one.payment, cancelled, ids.new(), now)
        await payments.write(connection, [advance for advance in judged.values() if advance is not None], ids, now)
    answers: _Answers = {}
    for one in arrivals:
        if one.id in judged and one.id in late and one.payment.order_id not in unwanted:
            answers[one.id] = RateLimited(retry_after_seconds=late[one.id], payment_id=str(one.id))
        elif one.id in judged:
            answers[one.id] = Accepted((judged[one.id] or one.advance).payment, one.claim)
    return answers


def _arrival(wish: Wish, now: datetime, *, barred: bool = False) -> Arrival:
    """Return a payment about to be; one that is barred, or waits for its fraud check, is nobody's to send."""
    payment = replace(wish.screening.of(wish.payment_id, wish.order, now), stored_method=wish.stored_method)
    held_back = barred or payment.screening_mode is ScreeningMode.BEFORE_CHARGE
    claim = Claim(wish.owner, now + CLAIM) if wish.owner is not None and not held_back else None
    advance = accept(payment, claimed=claim is not None, now=now)
    return Arrival(wish.order, advance, wish.request, wish.livemode, claim, task=wish.task)


async def _explain(connection: Connection, wishes: Sequence[Wish], now: datetime) -> _Answers:
    """Return why each of these became no new payment."""
    known = await payments.known_events(connection, [wish.order.event_id for wish in wishes])
    fresh = [wish for wish in wishes if wish.order.event_id not in known]
    live = await payments.live_orders(connection, [wish.order.order_id for wish in fresh]) if fresh else {}
    held = await payments.read(connection, [one.payment_id for one in known.values()]) if known else {}
    freed = [wish.payment_id for wish in fresh if wish.order.order_id not in live]
    taken = await payments.read(connection, freed) if freed else {}
    restoring = bool(fresh) and await restores.current(connection) is not None
    answers: _Answers = {}
    for wish in wishes:
        before = known.get(wish.order.event_id)
        if wish.payment_id in taken:  # somebody named it before, for another event
            answers[wish.payment_id] = IdempotencyKeyReused()
        elif before is None and restoring:
            answers[wish.payment_id] = LookUpOnly()
        elif before is None:
            rival = live.get(wish.order.order_id)
            # The rival may have ended between our two statements: then the order is free, and asking again succeeds.
            answers[wish.payment_id] = InProgress() if rival is None else OrderHasPayment(str(rival))
        else:
            answers[wish.payment_id] = _repeated(wish.order, before, held[before.payment_id], now)
    return answers


def _repeated(order: Order, before: Known, held: Held, now: datetime) -> Repeated | CounterfoilError:
    """Return what an order is told whose event already has a payment."""
    # Of one that was brought back from the processor no more is known than this.
    same = not before.fingerprint and (order.order_id, order.money) == (held.payment.order_id, held.payment.money)
    if not same and before.fingerprint != order.fingerprint():
        return IdempotencyKeyReused()
    return InProgress() if _is_in_hand(held, now) else Repeated(held.payment)


def _is_in_hand(held: Held, now: datetime) -> bool:
    """Return whether a live process is waiting for the processor's answer to this payment right now."""
    last, kept = held.payment.attempts[-1], held.kept[-1]
    return last.state is AttemptState.SENT and kept.claim_expires_at is not None and kept.claim_expires_at > now
