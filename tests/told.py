"""Time as a test tells it."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""When every test begins, but for those whose peer may not be told what time it is."""


class Clock:
    """Stands still until it is told to move; who sleeps is let go at once, and the clock has moved meanwhile."""

    def __init__(self, start: datetime = START) -> None:
        self._start = self._now = start

    def now(self) -> datetime:
        """Return the time last told."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds told since the start."""
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Move by that much, and let others run."""
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)

    def advance(self, by: timedelta) -> datetime:
        """Move by that much and return the new time."""
        self._now += by
        return self._now
