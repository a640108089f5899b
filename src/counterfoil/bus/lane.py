"""One partition of a topic: what of it is in hand, and up to where all of it is done."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from counterfoil.bus.dead_letters import dead_letter, without_value
from counterfoil.bus.message import Again, Dead, Done, Handler, Incoming, Outgoing, Sender, delivered
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.metrics import MESSAGES_HEARD

IN_FLIGHT: Final = 64
"""Messages of a partition that are worked on side by side: enough to fill a commit of whoever works on them."""

FULL: Final = 256
"""Messages of a partition that are here; from then on no more are fetched until there are fewer."""

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 8.0
"""Between tries: 1, 2, 4 and then 8 s, so that a message that always fails is a dead letter within a minute."""

TOO_OFTEN: Final = "tries"

_SPREAD: Final = 8
"""Messages that failed together come again a little apart, by their offsets."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hands:
    """Who works on the messages of all lanes, and with what."""

    handle: Handler
    sender: Sender
    clock: Clock
    in_flight: int = IN_FLIGHT


class Lane:
    """Works on many messages of a partition at once, on those of one key one after another.

    While one of them waits for another try no further one is begun, unless that failed for a reason of its own.
    """

    def __init__(self, hands: Hands, first: int | None, moved: Callable[[], None]) -> None:
        """Begin at that offset, if it is known; ``moved`` is called whenever something has changed."""
        self._hands, self._moved = hands, moved
        self._waiting: deque[Incoming] = deque()
        self._open: dict[int, None] = {}
        self._next = first
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_of: dict[bytes, asyncio.Task[None]] = {}
        self._backing_off: set[asyncio.Task[None]] = set()
        self._holding: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def upto(self) -> int | None:
        """The offset below which everything is done; None as long as that is not known."""
        return next(iter(self._open), self._next)

    @property
    def full(self) -> bool:
        """Whether no more messages are to be fetched for now."""
        return self._stopped or bool(self._holding) or len(self._open) >= FULL

    def take(self, messages: Iterable[Incoming]) -> None:
        """Take messages, in the order of their offsets."""
        if self._stopped:
            return
        for message in messages:
            if self._next is not None and message.offset < self._next:
                continue  # fetched once more, as after a pause: it is in hand, or done
            self._open[message.offset] = None
            self._next = message.offset + 1
            self._waiting.append(message)
        self._begin()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, and return once what is in hand is done, or after so many seconds: then it is cut off."""
        self._stopped = True
        self._waiting.clear()
        for task in tuple(self._backing_off):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)
        left = tuple(self._tasks)
        for task in left:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*left)

    def _begin(self) -> None:
        while self._waiting and len(self._tasks) < self._hands.in_flight and not self._holding:
            message = self._waiting.popleft()
            before = None if message.key is None else self._last_of.get(message.key)
            task = asyncio.create_task(self._carry(message, before))
            self._tasks.add(task)
            if message.key is not None:
                self._last_of[message.key] = task
            task.add_done_callback(self._ended)

    async def _carry(self, message: Incoming, before: asyncio.Task[None] | None) -> None:
        """Take a message to its end; cut off, it has none, and whoever has the partition next begins it anew."""
        this = asyncio.current_task()
        try:
            if before is not None:
                await asyncio.wait([before])
            if self._stopped:
                return
            how = await self._to_its_end(message)
            MESSAGES_HEARD.labels(message.topic, how).inc()
            del self._open[message.offset]
        finally:
            if message.key is not None and self._last_of.get(message.key) is this:
                del self._last_of[message.key]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()
            self._go_on()

    def _go_on(self) -> None:
        if not self._stopped:
            self._begin()
        self._moved()

    async def _to_its_end(self, message: Incoming) -> str:
        """Try until the message is done or a dead letter; return which."""
        rounds = counted = 0
        while True:
            outcome = await self._hands.handle(message, rounds)
            rounds += 1
            if isinstance(outcome, Again):
                counted += outcome.counted
                if not (outcome.counted and counted >= outcome.most):
                    _log.info("consumer.again", place=message.place, why=outcome.why, counted=counted)
                    MESSAGES_HEARD.labels(message.topic, "again").inc()
                    await self._back_off(message, rounds, outcome)
                    continue
                outcome = Dead(TOO_OFTEN, outcome.why)
            if isinstance(outcome, Done):
                return outcome.how
            await self._bury(message, outcome, max(counted, 1))
            return "dead"

    async def _bury(self, message: Incoming, dead: Dead, tries: int) -> None:
        letter = dead_letter(message, dead, tries)
        if not await self._is_there(message, letter):
            alarm("consumer", "letter_cut", place=message.place)
            await self._is_there(message, without_value(letter))
        for one in dead.also:
            await self._is_there(message, one)
        _log.warning("consumer.dead_letter", place=message.place, reason=dead.reason, why=dead.error, attempts=tries)

    async def _is_there(self, message: Incoming, letter: Outgoing) -> bool:
        """Return once a broker has the letter, however often it has to be sent; False where none ever will."""
        rounds = 0
        while (found := await delivered(self._hands.sender, letter)) is not None:
            if found.for_good:
                return False
            rounds += 1
            _log.error("consumer.undelivered", place=message.place, topic=letter.topic, why=found.why)
            await self._back_off(message, rounds, Again(found.why))
        return True

    async def _back_off(self, message: Incoming, rounds: int, again: Again) -> None:
        """Wait before the next try; where that is to be, the partition waits with it."""
        task = asyncio.current_task()
        assert task is not None
        if self._stopped:
            raise asyncio.CancelledError
        seconds = max(again.after_seconds, min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(rounds - 1, _SPREAD)))
        self._backing_off.add(task)
        if again.holds:
            self._holding.add(task)
            self._moved()
        try:
            await self._hands.clock.sleep(seconds * (1 + (message.offset % _SPREAD) / (4 * _SPREAD)))
        finally:
            self._backing_off.discard(task)
            self._holding.discard(task)
        self._go_on()
