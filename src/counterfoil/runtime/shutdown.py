"""How a process is asked to end: SIGTERM or SIGINT once to finish what is in hand, twice to leave it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """A wish to end that all parts of one process look at.

    Attributes:
        requested: Set from the first request on: not ready, no new work, finish what is in hand.
        forced: Set from the second: do not wait for what is in hand either.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.forced = asyncio.Event()

    def request(self) -> None:
        """Ask once; asking again forces."""
        if self.requested.is_set():
            self.forced.set()
        self.requested.set()

    async def wait_for(self, ending: "asyncio.Task[None]", seconds: float | None = None) -> None:
        """Return when that has ended, or so much time is over, or the end is forced; it is left as it is then."""
        forced = asyncio.create_task(self.forced.wait())
        first: set[asyncio.Future[Any]] = {ending, forced}
        await asyncio.wait(first, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT ask, for as long as the context lasts. Called in the main thread's running loop.

        The signals do nothing else: the process ends when its work has, with the exit code of its work.
        """
        loop = asyncio.get_running_loop()
        for name in SIGNALS:
            loop.add_signal_handler(name, self.request)
        try:
            yield
        finally:
            for name in SIGNALS:
                loop.remove_signal_handler(name)
