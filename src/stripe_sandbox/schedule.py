"""Things that will be due: settlements, retries, expiries."""

import asyncio
import heapq
import logging
from collections.abc import Callable
from itertools import count

from stripe_sandbox.clock import Clock

logger = logging.getLogger(__name__)


class Schedule:
    """Actions by the moment they are due; those of one moment keep the order in which they were put."""

    __slots__ = ("_changed", "_clock", "_heap", "_sequence")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = count()
        self._changed = asyncio.Event()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Puts an action that many seconds of the sandbox's time ahead."""
        heapq.heappush(self._heap, (self._clock.now() + seconds, next(self._sequence), action))
        self._changed.set()

    def next_moment(self) -> float | None:
        """When the next action is due, if any is."""
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        """Runs what is due by now, in order, and what that makes due at once."""
        while self._heap and self._heap[0][0] <= self._clock.now():
            action = heapq.heappop(self._heap)[2]
            try:
                action()
            except Exception:
                logger.exception("what was due failed")

    def clear(self) -> None:
        """Forgets everything, for a reset."""
        self._heap.clear()

    async def keep(self) -> None:
        """Runs each action when real time brings it due; never returns."""
        while True:
            self._changed.clear()
            self.run_due()
            moment = self.next_moment()
            wait_seconds = None if moment is None else max(0.0, moment - self._clock.now())
            try:
                await asyncio.wait_for(self._changed.wait(), wait_seconds)
            except TimeoutError:
                continue
