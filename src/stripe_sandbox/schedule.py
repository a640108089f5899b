"""Things that will be due: settlements, retries, expiries.

What is due is named, with arguments that are an account or plain JSON: a thing that waits for a week has to be
written down, and a closure cannot be.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, ParamSpec

from stripe_sandbox.clock import Clock

logger = logging.getLogger(__name__)

P = ParamSpec("P")

ACTIONS: Final[dict[str, Callable[..., None]]] = {}
"""What can be due, by name."""


def due(action: Callable[P, None]) -> Callable[P, None]:
    """Marks a module's function as one that can be due."""
    ACTIONS[_name(action)] = action
    return action


def _name(action: Callable[..., None]) -> str:
    return f"{action.__module__.removeprefix('stripe_sandbox.')}.{action.__qualname__}"


@dataclass(frozen=True, slots=True)
class Due:
    """One thing that waits: the moment in seconds since the epoch, by the sandbox's clock, and what to do then."""

    moment: float
    action: str
    arguments: tuple[Any, ...]


class Schedule:
    """Actions by the moment they are due; those of one moment keep the order in which they were put."""

    __slots__ = ("_changed", "_clock", "_heap", "_sequence", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int]] = []
        self._waiting: dict[int, Due] = {}
        self._sequence = count()
        self._changed = asyncio.Event()

    def after(self, seconds: float, action: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        """Puts an action, one marked with `due`, that many seconds of the sandbox's time ahead."""
        assert not named, "arguments are given by place"
        name = _name(action)
        assert ACTIONS.get(name) is action, f"{name} is not marked with @due"
        number = next(self._sequence)
        self._waiting[number] = Due(self._clock.now() + seconds, name, arguments)
        heapq.heappush(self._heap, (self._waiting[number].moment, number))
        self._changed.set()

    def next_moment(self) -> float | None:
        """When the next action is due, if any is."""
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        """Runs what is due by now, in order, and what that makes due at once."""
        while self._heap and self._heap[0][0] <= self._clock.now():
            entry = self._waiting.pop(heapq.heappop(self._heap)[1])
            try:
                ACTIONS[entry.action](*entry.arguments)
            except Exception:
                logger.exception("%s was due and failed", entry.action)

    def clear(self) -> None:
        """Forgets everything, for a reset."""
        self._heap.clear()
        self._waiting.clear()

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
