"""Tasks of state machines are taken off their queue and have their effect, each before it is deleted.

A message comes at least once, in any order, and perhaps to two workers. What makes it one is on record: its token, and
the event of its order. While the store or the processor does not answer, a message stays in our hand rather than going
back: each time it is taken anew counts towards its dead-letter queue, and an outage of ours makes no dead letters.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from counterfoil.domain.errors import CounterfoilError, LookUpOnly, RateLimited, Refused, Retry, named
from counterfoil.domain.money import refuse_if_unchargeable
from counterfoil.domain.order import Order
from counterfoil.domain.screening import Screening
from counterfoil.journey import accept, undertake
from counterfoil.journey.accept import Accepted, Repeated, Wish
from counterfoil.messages.task import Task, TaskRefused, stray_of, task_of
from counterfoil.messages.task_answer import problem_of
from counterfoil.roles.probes import Check
from counterfoil.roles.wishing import wish_for
from counterfoil.roles.worker.bench import GATHER_SECONDS, LINGER_SECONDS, Bench
from counterfoil.runtime.batching import Batcher
from counterfoil.runtime.metrics import TASKS_HEARD
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import customers
from counterfoil.store.pool import SPLITTING, unavailable_when_down
from counterfoil.workflow import queue as sqs
from counterfoil.workflow.queue import CopyRefused, Letter, QueueUnavailable, TaskQueue

MOST_IN_HAND: Final = 20
"""Messages that one worker works on side by side: they share the connections of all its work."""

LONGEST_PAUSE_SECONDS: Final = 20.0
"""Between tries of what cannot be done now, and of a queue that does not answer: well within a message's visibility."""

_log = structlog.get_logger()


class Tasks:
    """Messages off the queue are worked on."""

    name = "tasks"

    def __init__(
        self, bench: Bench, queue: TaskQueue, shutdown: Shutdown, screening: Screening, default_method: str | None
    ) -> None:
        self._bench, self._world, self._queue, self._shutdown = bench, bench.world, queue, shutdown
        self._screening, self._default_method = screening, default_method
        self._taking: Batcher[Task, None] = bench.batched(self._take_in)
        self._accepting: Batcher[Wish, Accepted | Repeated] = Batcher(
            self._accept, linger_seconds=LINGER_SECONDS, longest_seconds=GATHER_SECONDS, splits_on=SPLITTING
        )
        self._deleting: Batcher[Letter, None] = Batcher(
            self._delete,
            linger_seconds=LINGER_SECONDS,
            longest_seconds=GATHER_SECONDS,
            largest=sqs.MOST_AT_ONCE,
        )
        self._unfit: QueueUnavailable | None = QueueUnavailable("it was not looked at yet")
        self._pause_seconds, self._asks_again_at, self._was_asked = 0.0, 0.0, False

    def check(self) -> Check:
        """Return the check that the queue could be read when it was read last."""

        async def fit() -> None:
            if self._unfit is not None:
                raise self._unfit

        return Check("task queue", fit)

    async def round(self) -> bool:
        """Take what is there, and begin to work on it; return whether to ask again at once: a poll waits itself."""
        self._was_asked = False
        if self._world.clock.monotonic() >= self._asks_again_at:
            await self._bench.fill(self.name, MOST_IN_HAND, self._receive, self._work_on)
        return self._was_asked

    async def _receive(self, free: int) -> list[Letter]:
        try:
            if self._unfit is not None:
                await self._queue.demand_fit()
                self._unfit = None
            letters = await self._queue.receive(free)
        except QueueUnavailable as why:
            if str(why) != str(self._unfit):
                _log.warning("tasks.no_queue", why=str(why))
            self._unfit = why
            self._pause_seconds = min(LONGEST_PAUSE_SECONDS, max(1.0, 2 * self._pause_seconds))
            self._asks_again_at = self._world.clock.monotonic() + self._pause_seconds
            return []
        self._pause_seconds, self._was_asked = 0.0, True
        return letters

    async def _work_on(self, letter: Letter) -> None:
        """See a message through to its deletion, or leave it to whoever is given it next when this process ends."""
        pause_seconds = 1.0
        while True:
            try:
                outcome = await self._heard(letter)
                await self._deleting.submit(letter)
            except Retry as why:
                TASKS_HEARD.labels("put_off").inc()
                _log.info("tasks.put_off", message_id=letter.id, why=str(why))
            except CopyRefused as why:
                # Left to the queue, which gives it out a few times more and then moves it to its dead letters itself.
                TASKS_HEARD.labels("put_off").inc()
                _log.warning("tasks.no_copy", message_id=letter.id, why=str(why))
                return
            else:
                TASKS_HEARD.labels(outcome).inc()
                return
            with suppress(QueueUnavailable):
                await self._queue.hold(letter)
            if await self._ends_within(pause_seconds):
                return
            pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * pause_seconds)

    async def _ends_within(self, seconds: float) -> bool:
        """Wait for so long; return whether the process is asked to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._shutdown.requested.wait(), seconds)
        return self._shutdown.requested.is_set()

    async def _heard(self, letter: Letter) -> str:
        """Let a message have its effect; return what became of it."""
        raw = letter.body.encode(errors="replace")
        try:
            task = task_of(raw)
        except TaskRefused as refusal:
            return await self._refuse(refusal.task, refusal.why)
        except Refused as why:
            stray = stray_of(raw)
            if stray is not None:
                await self._refuse(stray, why)
            await self._queue.put_aside(letter, named(why), str(why))
            _log.warning("tasks.dead_letter", message_id=letter.id, why=str(why))
            return "dead_letter"
        if task.order is None:
            await self._taking.submit(task)
            return "taken"
        if await undertake.is_known(self._world.pool, task):
            return "taken"  # what was refused then is not charged now
        try:
            await self._pay(task, task.order)
        except RateLimited as why:
            if why.payment_id is None:  # else the payment is here, and has failed
                raise
        except Refused as why:
            return await self._refuse(task, why)
        return "taken"

    async def _refuse(self, task: Task, why: Refused) -> str:
        """Keep that a task is refused: its machine is told as of any other, and as surely."""
        await undertake.refuse(self._world.pool, self._world.ids, task, problem_of(why), self._world.clock.now())
        return "refused"

    async def _pay(self, task: Task, order: Order) -> None:
        """Accept an order that a machine waits for, or let it wait for the payment that its event has already."""
        refuse_if_unchargeable(order.money)
        world, link = self._world, None
        async with unavailable_when_down():
            if order.customer_id is not None:
                link = (await customers.links(world.pool, {order.customer_id})).get(order.customer_id)
        settled = order.settled(link, self._default_method)
        (before,) = await accept.known(world.pool, [settled], world.clock.now())
        if isinstance(before, CounterfoilError):
            raise before
        if before is None:
            wish = await wish_for(self._bench.processor, world.ids.new(), settled, self._screening, None)
            accepted = await self._accepting.submit(replace(wish, task=task))
            before = accepted if isinstance(accepted, Repeated) else None
        if before is not None:
            await self._taking.submit(replace(task, order=None, payment_id=before.payment.id))

    async def _accept(self, wishes: Sequence[Wish]) -> Sequence[Accepted | Repeated | CounterfoilError]:
        return await accept.run(self._world.pool, self._world.ids, wishes, self._world.clock.now())

    async def _take_in(self, tasks: Sequence[Task]) -> Sequence[LookUpOnly | None]:
        return await undertake.run(self._world.pool, self._world.ids, tasks, self._world.clock.now())

    async def _delete(self, letters: Sequence[Letter]) -> list[None]:
        await self._queue.delete(letters)
        return [None] * len(letters)
