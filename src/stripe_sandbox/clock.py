"""The sandbox's time: the machine's, moved forward at will."""

import time
from collections.abc import Callable


class Clock:
    """Wall time plus an offset that only grows.

    Objects, events, retries and key life follow `now`. Signatures of deliveries follow `wall`: whoever
    verifies them compares with a clock that nobody has moved.

    Args:
        wall: seconds since the epoch; a test passes its own to be deterministic.
    """

    __slots__ = ("_offset_seconds", "_wall")

    def __init__(self, wall: Callable[[], float] = time.time) -> None:  # noqa: TID251 - the one reading of the clock
        self._wall = wall
        self._offset_seconds = 0.0

    @property
    def offset_seconds(self) -> float:
        """How far the sandbox is ahead of the machine."""
        return self._offset_seconds

    def wall(self) -> float:
        """Seconds since the epoch by the machine's clock."""
        return self._wall()

    def now(self) -> float:
        """Seconds since the epoch by the sandbox's clock."""
        return self._wall() + self._offset_seconds

    def stamp(self) -> int:
        """The sandbox's time in whole seconds, as every `created` is."""
        return int(self.now())

    def move_to(self, moment: float) -> None:
        """Moves forward to a moment; an earlier one changes nothing."""
        self._offset_seconds += max(0.0, moment - self.now())

    def restore(self, offset_seconds: float = 0.0) -> None:
        """Sets how far it is ahead, for a reset or after a restart."""
        self._offset_seconds = offset_seconds
