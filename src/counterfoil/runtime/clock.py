"""The one place that reads a clock."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of the program knows of time, so that a test or a simulation can tell it."""

    def now(self) -> datetime:
        """Return this moment in UTC."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring how long something took."""

    async def sleep(self, seconds: float) -> None:
        """Return once that many seconds of this clock have passed."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return this moment in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this module is where the clock is read

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()  # noqa: TID251 - this module is where the clock is read

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)
