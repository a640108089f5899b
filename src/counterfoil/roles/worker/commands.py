"""What others ask of us, or tell us, on Kafka has its effect: the steps that the gateway takes for its routes.

No message is remembered by its id here. Each step is idempotent on something in the message that outlives any memory of
deliveries: the key of a payment or refund, the one decision on a payment, the one cancellation of an order.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from counterfoil.bus.message import Again, Dead, Done, Outcome
from counterfoil.domain.errors import (
    CounterfoilError,
    IdempotencyKeyReused,
    InProgress,
    NotFound,
    RateLimited,
    Refused,
    Retry,
    WrongState,
    named,
)
from counterfoil.domain.money import refuse_if_unchargeable
from counterfoil.domain.payment import Payment
from counterfoil.domain.screening import Check, Screening
from counterfoil.journey import accept, assess, cancel, refund
from counterfoil.journey.accept import Accepted, Repeated, Wish
from counterfoil.messages.decoding import decode
from counterfoil.messages.fraud_check_completed import FraudCheckCompleted
from counterfoil.messages.order_cancelled import OrderCancelled
from counterfoil.messages.process_payment import ProcessPayment
from counterfoil.messages.refund_payment import RefundPayment
from counterfoil.roles.hearing import Heard, Work
from counterfoil.roles.wishing import wish_for
from counterfoil.roles.worker.bench import GATHER_SECONDS, LINGER_SECONDS, Bench
from counterfoil.runtime.batching import Batcher
from counterfoil.store import customers
from counterfoil.store.pool import SPLITTING, unavailable_when_down

UNKNOWN_TRIES: Final = 3
"""A refund may be heard a moment before the payment that it is of; later than this it is a mistake."""


class Commands:
    """Works on the messages that the worker hears."""

    def __init__(self, bench: Bench, screening: Screening) -> None:
        self._world, self._processor, self._screening = bench.world, bench.processor, screening
        together: dict[str, Any] = {
            "linger_seconds": LINGER_SECONDS,
            "longest_seconds": GATHER_SECONDS,
            "splits_on": SPLITTING,
        }
        self._accepting: Batcher[Wish, Accepted | Repeated] = Batcher(self._accept, **together)
        self._assessing: Batcher[Check, Payment | None] = Batcher(self._assess, **together)

    def works(self) -> dict[str, Work]:
        """Return what to do with each message, by its name."""
        return {
            ProcessPayment.__name__: _answered(self._process),
            RefundPayment.__name__: _answered(self._refund),
            FraudCheckCompleted.__name__: _answered(self._check),
            OrderCancelled.__name__: _answered(self._cancel),
        }

    async def drain(self) -> None:
        """Return once what was begun together is done."""
        await self._accepting.drain()
        await self._assessing.drain()

    async def _process(self, heard: Heard) -> None:
        """Accept a payment under the id its sender chose; its attempt is the workers'."""
        asked = decode(heard.value, ProcessPayment, as_message=True)
        order = replace(asked.order(), traceparent=heard.traceparent)
        refuse_if_unchargeable(order.money)
        link = None
        if order.customer_id is not None:
            async with unavailable_when_down():
                link = (await customers.links(self._world.pool, {order.customer_id})).get(order.customer_id)
        wish = await wish_for(self._processor, asked.payment_id, order.settled(link, None), self._screening, None)
        accepted = await self._accepting.submit(replace(wish, owner=None))
        if accepted.payment.id != asked.payment_id:  # the key made another payment before
            raise IdempotencyKeyReused

    async def _refund(self, heard: Heard) -> None:
        """Reserve what is asked back; the workers send it."""
        asked = decode(heard.value, RefundPayment, as_message=True)
        await refund.ask(self._world.pool, self._world.ids, asked.asked(), self._world.clock.now())

    async def _check(self, heard: Heard) -> None:
        """Let a payment hear what was found of it, now or once it is here."""
        found = decode(heard.value, FraudCheckCompleted, as_message=True)
        await self._assessing.submit(found.check(self._screening))

    async def _cancel(self, heard: Heard) -> None:
        """Cancel an order, whether or not it has a payment yet."""
        cancellation = decode(heard.value, OrderCancelled, as_message=True).cancellation()
        await cancel.run(self._world.pool, self._world.ids, cancellation, self._world.clock.now())

    async def _accept(self, wishes: Sequence[Wish]) -> Sequence[Accepted | Repeated | CounterfoilError]:
        return await accept.run(self._world.pool, self._world.ids, wishes, self._world.clock.now())

    async def _assess(self, checks: Sequence[Check]) -> Sequence[Payment | None]:
        found = await assess.run(self._world.pool, self._world.ids, checks, self._world.clock.now())
        return [found.get(check.payment_id) for check in checks]


def _answered(work: Callable[[Heard], Awaitable[None]]) -> Work:
    """Return the work with what its errors mean for the message."""

    async def answered(heard: Heard, _tries: int) -> Outcome:
        try:
            await work(heard)
        except (Refused, Retry) as error:
            return _outcome(error)
        return Done()

    return answered


def _outcome(error: Refused | Retry) -> Outcome:
    """Return what becomes of a message that met this error."""
    if isinstance(error, RateLimited) and error.payment_id is not None:
        return Done()  # the payment is here, and has failed
    if isinstance(error, NotFound):
        return Again(str(error), holds=False, most=UNKNOWN_TRIES)
    if isinstance(error, WrongState):  # what is asked back may be on its way to us still
        return Again(str(error), holds=False)
    if isinstance(error, Retry):
        alone = isinstance(error, InProgress)
        return Again(str(error), counted=False, after_seconds=error.retry_after_seconds, holds=not alone)
    return Dead(named(error), str(error))
