"""``POST /charge`` from the order to its answer: accept and record in batches, the call to the processor in between."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from counterfoil.domain.errors import CounterfoilError, MethodRefused, Unavailable
from counterfoil.domain.money import refuse_if_unchargeable
from counterfoil.domain.order import Link, Order
from counterfoil.domain.payment import Payment, ScreeningMode
from counterfoil.domain.screening import NO_SCREENING, Screening, as_asked
from counterfoil.journey import accept, authorize, capture, operating, renew, void
from counterfoil.journey.accept import Accepted, Repeated, Wish
from counterfoil.journey.authorize import Heard, Sending
from counterfoil.journey.operating import Asked, Claimed
from counterfoil.journey.renew import Renewal
from counterfoil.messages.another_method import AnotherMethod
from counterfoil.processors.port import Processor
from counterfoil.roles.wishing import wish_for
from counterfoil.roles.world import World
from counterfoil.runtime.batching import Batcher
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import BATCH_SIZE
from counterfoil.store import customers
from counterfoil.store.pool import SPLITTING, Pool, unavailable_when_down

LINGER_SECONDS: Final = 0.004
"""What waiting for company costs a lone order: less than its commit takes, nothing beside Stripe's answer."""

LONGEST_SECONDS: Final = 0.024
"""What it costs an order in the middle of a burst, which is thereby put into a handful of transactions."""

ANSWER_SECONDS: Final = 34.0
"""``/charge`` promises an answer within 35 s; what is not known by then is answered 202 and settled by the worker."""

ASK_SECONDS: Final = 20.0
"""Of those, until which the processor may be asked what kind a method is: the rest is for accepting and for sending."""

AT_ONCE_SECONDS: Final = 0.02
"""A request that needs no question is there before this, and hardly any answer of Stripe's is."""

DRAIN_SECONDS: Final = 10.0
"""The same promise, shorter, once the gateway was asked to stop."""

_log = structlog.get_logger()

_Recording = Callable[[Pool, Ids, Sequence[operating.Heard], datetime], Awaitable[list[Payment]]]
"""How a step records what was heard of an operation."""


@dataclass(frozen=True, slots=True)
class Charged:
    """How the payment stands. ``repeated`` when the event was known before."""

    payment: Payment
    repeated: bool


class Charging:
    """Takes orders one by one and works on them together."""

    def __init__(  # noqa: PLR0913  what it works with, and how
        self,
        world: World,
        processor: Processor,
        owner: str,
        stopping: asyncio.Event,
        *,
        screening: Screening = NO_SCREENING,
        answer_seconds: float = ANSWER_SECONDS,
        noting: Callable[[Payment], None] = lambda _payment: None,
    ) -> None:
        """Begin to take orders.

        Args:
            world: the store, the clock and the source of ids.
            processor: who is asked for the money.
            owner: our name on the claims we make.
            stopping: set when the process is asked to end; from then on nobody is kept waiting for long.
            screening: how payments are screened.
            answer_seconds: how long an order may take to its answer, from its entry on.
            noting: is shown each payment that was accepted.
        """
        self._world, self._processor, self._owner, self._stopping = world, processor, owner, stopping
        self._screening, self._answer_seconds, self._noting = screening, answer_seconds, noting
        self._under_way: set[asyncio.Task[Payment]] = set()
        self._patience_ends = asyncio.create_task(self._grace())
        self._linking: Batcher[str, Link | None] = Batcher(
            self._links,
            linger_seconds=LINGER_SECONDS,
            longest_seconds=LONGEST_SECONDS,
            splits_on=SPLITTING,
        )
        self._knowing: Batcher[Order, Repeated | None] = Batcher(
            self._known,
            linger_seconds=LINGER_SECONDS,
            longest_seconds=LONGEST_SECONDS,
            splits_on=SPLITTING,
        )
        self._accepting: Batcher[Wish, Accepted | Repeated] = Batcher(
            self._accept,
            linger_seconds=LINGER_SECONDS,
            longest_seconds=LONGEST_SECONDS,
            splits_on=SPLITTING,
        )
        self._recording: Batcher[Heard, Payment] = Batcher(
            self._record,
            linger_seconds=LINGER_SECONDS,
            longest_seconds=LONGEST_SECONDS,
            splits_on=SPLITTING,
        )

    @property
    def livemode(self) -> bool:
        """Whether it is real money that is asked for."""
        return self._processor.livemode

    async def charge(self, order: Order, default_method: str | None = None, payment_id: UUID | None = None) -> Charged:
        """Take the order to its answer, or as far towards it as the time allows; its payment has that id, or a new one.

        Where neither it nor its customer's link names a method, the default is charged.

        Raises:
            Refused: the order cannot be charged; nothing was kept.
            InProgress: the same event is in hand.
            RateLimited: the customer has tried too often; the payment is kept, and has failed.
            Unavailable: the store or the processor does not answer; nothing was kept.
        """
        began = self._world.clock.monotonic()
        wish = await self._wished(order, default_method, payment_id, began)
        if isinstance(wish, Repeated):
            return Charged(wish.payment, repeated=True)
        accepted = await self._accepting.submit(wish)
        if isinstance(accepted, Repeated):
            return Charged(accepted.payment, repeated=True)
        if accepted.claim is None:  # its fraud check comes first or came before it, or its order was cancelled before
            return Charged(accepted.payment, repeated=False)
        sending = Sending(wish.payment_id, 1, accepted.claim, wish.request, again=False)
        return Charged(await self._authorized(accepted.payment, sending, began), repeated=False)

    async def queue(self, order: Order, payment_id: UUID) -> Charged:
        """Accept the order under that payment id, and leave its attempt to the workers; raises as `charge`."""
        wish = await self._wished(order, None, payment_id, self._world.clock.monotonic())
        if isinstance(wish, Repeated):
            return Charged(wish.payment, repeated=True)
        accepted = await self._accepting.submit(replace(wish, owner=None))
        return Charged(accepted.payment, repeated=isinstance(accepted, Repeated))

    async def capture(self, payment_id: UUID, amount: int | None) -> Payment:
        """Take so much of what a payment holds, or all of it; return how it stands after that, or when time is over.

        Raises:
            Refused: the payment is not there, in no state for this, or holds less.
            Unavailable: the store does not answer; nothing was asked for.
        """
        began, world = self._world.clock.monotonic(), self._world
        wanted = capture.Wanted(payment_id, amount, self._owner)
        asked = await capture.ask(world.pool, world.ids, self._processor.capture, wanted, world.clock.now())
        return await self._operated(asked, capture.record, began)

    async def cancel(self, payment_id: UUID) -> Payment:
        """Cancel a payment; return how it stands after that, or when time is over.

        Raises:
            Refused: the payment is not there, or in no state for this.
            Unavailable: the store does not answer; nothing was asked for.
        """
        began, world = self._world.clock.monotonic(), self._world
        wanted = void.Wanted(payment_id, self._owner)
        asked = await void.ask(world.pool, world.ids, self._processor.cancellation, wanted, world.clock.now())
        return await self._operated(asked, void.record, began)

    async def charge_anew(self, payment_id: UUID, method: AnotherMethod) -> Payment:
        """Try a failed payment again with another method, and take it as far as the time allows.

        Raises:
            Refused: the payment is not there, or in no state for this, or the method cannot be used.
            RateLimited: its customer has tried too often.
            Unavailable: the store or the processor does not answer; nothing was kept.
        """
        began, world = self._world.clock.monotonic(), self._world
        found = await renew.find(world.pool, payment_id)
        number = len(found.payment.attempts) + 1
        try:
            async with asyncio.timeout(min(ASK_SECONDS, self._answer_seconds)):
                order = await self._settled(method.applied_to(found.order), None)
                mode = found.payment.screening_mode
                if mode is ScreeningMode.BEFORE_CAPTURE and not await self._processor.can_hold(order.method):
                    raise MethodRefused("cannot be held, and the money of this payment is held first")
                asked = as_asked(order, mode)
                request = await self._processor.request_again(payment_id, found.payment.intent_id, number, asked)
        except TimeoutError:
            raise Unavailable("processor") from None
        renewal = Renewal(found.payment, order.method, request, self._owner)
        renewed = await renew.run(world.pool, world.ids, renewal, world.clock.now())
        sending = Sending(payment_id, number, renewed.claim, request, again=False)
        return await self._authorized(renewed.payment, sending, began)

    async def drain(self) -> None:
        """Finish recording what was heard; a call still under way when the grace ends is left to the worker."""
        if self._under_way:
            ends: set[asyncio.Future[Any]] = {
                asyncio.gather(*self._under_way, return_exceptions=True),
                self._patience_ends,
            }
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._patience_ends.cancel()
        await self._linking.drain()
        await self._knowing.drain()
        await self._accepting.drain()
        await self._recording.drain()

    async def _grace(self) -> None:
        """End DRAIN_SECONDS after the process was asked to end: from then on nobody is kept waiting."""
        await self._stopping.wait()
        await self._world.clock.sleep(DRAIN_SECONDS)

    def _left(self, began: float, seconds: float) -> float:
        return max(0.0, began + seconds - self._world.clock.monotonic())

    async def _wished(
        self, order: Order, default_method: str | None, payment_id: UUID | None, began: float
    ) -> Wish | Repeated:
        """Return the order as a wish; where its request is not to be had at once, rather what the event came to before.

        The processor may be away that has to be asked about the method, and a default may be gone since: neither
        changes how a payment stands. An order that names its method and no customer costs no query here.
        """
        refuse_if_unchargeable(order.money)
        asking = asyncio.create_task(self._wish(payment_id or self._world.ids.new(), order, default_method))
        asking.add_done_callback(_forget)
        try:
            await asyncio.wait([asking], timeout=AT_ONCE_SECONDS)
            if asking.done() and asking.exception() is None:
                return asking.result()
            before = await self._knowing.submit(order)
            if before is not None:
                return before
            ends: set[asyncio.Future[Any]] = {asking, self._patience_ends}
            left = self._left(began, min(ASK_SECONDS, self._answer_seconds))
            await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise Unavailable("processor")
            return asking.result()
        finally:
            asking.cancel()

    async def _wish(self, payment_id: UUID, order: Order, default_method: str | None) -> Wish:
        settled = await self._settled(order, default_method)
        return await wish_for(self._processor, payment_id, settled, self._screening, self._owner)

    async def _settled(self, order: Order, default_method: str | None) -> Order:
        """Return the order as it is charged: with who its customer is at the processor, and their default method."""
        link = await self._linking.submit(order.customer_id) if order.customer_id is not None else None
        return order.settled(link, default_method)

    async def _authorized(self, payment: Payment, sending: Sending, began: float) -> Payment:
        """Send what we hold the claim to; return how the payment stands after it, or once the time is over."""
        return await self._in_time(payment, self._authorize(payment, sending), began)

    async def _in_time(self, payment: Payment, work: Coroutine[Any, Any, Payment], began: float) -> Payment:
        """Return what comes of the work, or the payment as it is once the time is over; the work goes on then."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        ends: set[asyncio.Future[Any]] = {task, self._patience_ends}
        left = self._left(began, self._answer_seconds)
        await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else payment

    async def _authorize(self, payment: Payment, sending: Sending) -> Payment:
        heard = await authorize.call(self._processor, sending, self._world.clock)
        try:
            return await self._recording.submit(heard)
        except Unavailable:
            # The order's row is durable, so it may be answered; the worker asks again when the claim expires.
            _log.warning("charge.unrecorded", payment_id=str(payment.id))
            return payment

    async def _operated(self, asked: Asked, record: _Recording, began: float) -> Payment:
        """Send what was asked for, where there is something to send; return how the payment stands after it."""
        if asked.claimed is None:
            return asked.payment
        return await self._in_time(asked.payment, self._operate(asked.payment, asked.claimed, record), began)

    async def _operate(self, payment: Payment, claimed: Claimed, record: _Recording) -> Payment:
        heard = await operating.call(self._processor, claimed, self._world.clock)
        try:
            (after,) = await record(self._world.pool, self._world.ids, [heard], self._world.clock.now())
        except Unavailable:
            _log.warning(f"{claimed.operation.kind.value}.unrecorded", payment_id=str(payment.id))
            return payment
        return after

    async def _links(self, customer_ids: Sequence[str]) -> Sequence[Link | None]:
        BATCH_SIZE.labels("links").observe(len(customer_ids))
        async with unavailable_when_down():
            found = await customers.links(self._world.pool, set(customer_ids))
        return [found.get(customer_id) for customer_id in customer_ids]

    async def _known(self, orders: Sequence[Order]) -> Sequence[Repeated | CounterfoilError | None]:
        BATCH_SIZE.labels("known").observe(len(orders))
        return await accept.known(self._world.pool, orders, self._world.clock.now())

    async def _accept(self, wishes: Sequence[Wish]) -> Sequence[Accepted | Repeated | CounterfoilError]:
        BATCH_SIZE.labels("accept").observe(len(wishes))
        answers = await accept.run(self._world.pool, self._world.ids, wishes, self._world.clock.now())
        for answer in answers:
            if isinstance(answer, Accepted):
                self._noting(answer.payment)
        return answers

    async def _record(self, heard: Sequence[Heard]) -> Sequence[Payment]:
        BATCH_SIZE.labels("record").observe(len(heard))
        return await authorize.record(self._world.pool, self._world.ids, heard, self._world.clock.now())


def _forget(asking: "asyncio.Task[Wish]") -> None:
    """Look at an answer that nobody waits for any more, so that asyncio does not complain."""
    if not asking.cancelled():
        asking.exception()
