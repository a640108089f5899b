"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Return once the condition holds; fails when it does not within so many seconds."""
    deadline = time.monotonic() + seconds  # noqa: TID251 - a test waits by the machine's own clock
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"  # noqa: TID251 - the same
        time.sleep(0.05)
