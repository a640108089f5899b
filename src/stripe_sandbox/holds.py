"""Requests held in mid-air until somebody lets them go."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Literal, TypeAlias

from stripe_sandbox.faults import WHICH
from stripe_sandbox.matching import Asked, Which
from stripe_sandbox.told import choice, number, optional, read, whole

Moment: TypeAlias = Literal["before", "after"]
"""Before the work, with the idempotency key in use; or after it, with the answer on this side of the wire."""

LONGEST_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Hold:
    """Which requests are held, when, and how many.

    Attributes:
        id: names it, to let go what it holds.
        which: the requests it means.
        when: before or after the work.
        times: how many it holds; none is all of them.
        seconds: of real time, after which a request goes on by itself; none is never.
    """

    id: str
    which: Which = field(default_factory=Which)
    when: Moment = "before"
    times: int | None = 1
    seconds: float | None = None


@dataclass(slots=True)
class _Line:
    hold: Hold
    held: int = 0


@dataclass(slots=True)
class _Held:
    asked: Asked
    hold: Hold
    go: asyncio.Event = field(default_factory=asyncio.Event)


class Holds:
    """The holds in force, and what they hold."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._held: list[_Held] = []
        self._changed = asyncio.Condition()
        self._sequence = count(1)

    def add(self, sent: Any) -> dict[str, Any]:
        """Puts a hold as `/_sandbox/hold` takes it.

        Raises:
            UnusableError: a field is unknown or not what it should be.
        """
        values = read(
            sent,
            {
                **WHICH,
                "when": choice("before", "after"),
                "times": optional(whole(1, 1_000_000)),
                "seconds": optional(number(0, LONGEST_SECONDS)),
            },
        )
        which = Which(**{name: values.pop(name) for name in WHICH if name in values})
        hold = Hold(f"hold_{next(self._sequence)}", which, **values)
        self._lines[hold.id] = _Line(hold)
        return _shown(self._lines[hold.id])

    def shown(self) -> dict[str, Any]:
        """The holds, and the requests they hold, longest held first, as JSON tells it."""
        return {
            "holds": [_shown(line) for line in self._lines.values()],
            "held": [
                {
                    "hold": one.hold.id,
                    "when": one.hold.when,
                    "request": one.asked.request_id,
                    "method": one.asked.method,
                    "path": one.asked.path,
                    "idempotency_key": one.asked.idempotency_key,
                }
                for one in self._held
            ],
        }

    async def until_held(self, requests: int, seconds: float) -> None:
        """Waits until so many requests are held, or so many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: len(self._held) >= requests)

    async def passing(self, asked: Asked, when: Moment) -> None:
        """Keeps a request here as long as a hold says."""
        hold = self._taken(asked, when)
        if hold is None:
            return
        one = _Held(asked, hold)
        self._held.append(one)
        await self._tell()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(hold.seconds):
                    await one.go.wait()
        finally:
            self._held.remove(one)
            await self._tell()

    def release(self, identifier: str | None = None) -> bool:
        """Removes a hold, or all, and lets go what it holds; whether there was such a one."""
        known = identifier is None or identifier in self._lines
        for name in list(self._lines) if identifier is None else [identifier]:
            self._lines.pop(name, None)
        for one in self._held:
            if identifier in {None, one.hold.id}:
                one.go.set()
        return known

    def _taken(self, asked: Asked, when: Moment) -> Hold | None:
        for line in self._lines.values():
            hold = line.hold
            if hold.when == when and (hold.times is None or line.held < hold.times) and hold.which.means(asked):
                line.held += 1
                return hold
        return None

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _shown(line: _Line) -> dict[str, Any]:
    hold = line.hold
    return {
        "id": hold.id,
        "method": hold.which.method,
        "path": hold.which.path,
        "idempotency_key": hold.which.idempotency_key,
        "when": hold.when,
        "times": hold.times,
        "seconds": hold.seconds,
        "held": line.held,
    }
