"""Things that will be due: settlements, retries, expiries.

What is due is named, for an account, with arguments that are plain JSON: a thing that waits for a week has to be
written down, and a closure cannot be.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from stripe_sandbox.clock import Clock
from stripe_sandbox.kept import Kept

logger = logging.getLogger(__name__)

P = ParamSpec("P")


class Half(Protocol):
    """The half of the account, test or live, that something is due for."""

    livemode: bool


A = TypeVar("A", bound=Half)

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
    account: Half
    arguments: tuple[Any, ...]


class Schedule:
    """Actions by the moment they are due; those of one moment keep the order in which they were put.

    Args:
        clock: whose time it follows.
        account: gives the half of the account that is live or not.
    """

    def __init__(self, clock: Clock, account: Callable[[bool], Half]) -> None:
        self._clock = clock
        self._account = account
        self._heap: list[tuple[float, int]] = []
        self.waiting: Kept[Due] = Kept(_told, self._heard)
        self._sequence = count()
        self._changed = asyncio.Event()

    def after(
        self,
        seconds: float,
        action: Callable[Concatenate[A, P], None],
        account: A,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> None:
        """Puts an action, one marked with `due`, that many seconds of the sandbox's time ahead."""
        assert not named, "arguments are given by place"
        name = _name(action)
        assert ACTIONS.get(name) is action, f"{name} is not marked with @due"
        self._put(next(self._sequence), Due(self._clock.now() + seconds, name, account, arguments))

    def resume(self) -> None:
        """Goes on with what was restored."""
        self._heap = [(entry.moment, int(number)) for number, entry in self.waiting.items()]
        heapq.heapify(self._heap)
        self._sequence = count(max((number for _, number in self._heap), default=-1) + 1)

    def next_moment(self) -> float | None:
        """When the next action is due, if any is."""
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        """Runs what is due by now, in order, and what that makes due at once."""
        while self._heap and self._heap[0][0] <= self._clock.now():
            entry = self.waiting.pop(str(heapq.heappop(self._heap)[1]))
            assert entry is not None
            try:
                ACTIONS[entry.action](entry.account, *entry.arguments)
            except Exception:
                logger.exception("%s was due and failed", entry.action)

    def clear(self) -> None:
        """Forgets everything, for a reset."""
        self._heap.clear()
        self.waiting.clear()

    async def keep(self) -> None:
        """Runs each action when real time brings it due; never returns."""
        while True:
            self._changed.clear()
            self.run_due()
            moment = self.next_moment()
            wait_seconds = None if moment is None else max(0.0, moment - self._clock.now())
            # Not `wait_for`: before Python 3.12 that forgets a cancellation which comes together with the change.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()

    def _put(self, number: int, entry: Due) -> None:
        self.waiting[str(number)] = entry
        heapq.heappush(self._heap, (entry.moment, number))
        self._changed.set()

    def _heard(self, told: Any) -> Due:
        return Due(told["moment"], told["action"], self._account(told["livemode"]), tuple(told["arguments"]))


def _told(entry: Due) -> Any:
    return {
        "moment": entry.moment,
        "action": entry.action,
        "livemode": entry.account.livemode,
        "arguments": entry.arguments,
    }
