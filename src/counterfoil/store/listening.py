"""Being told by the database that there is work, instead of asking it all the time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog

from counterfoil.runtime.clock import Clock
from counterfoil.store.pool import open_connection

AGAIN_SECONDS: Final = 1.0
"""Between tries to come back to a database that went away."""

_log = structlog.get_logger()


class Bell:
    """Rings when the database says that there is work. A ring may be lost, so nobody waits for it alone."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self, *_: Any) -> None:
        """Wake whoever waits, or the next who will."""
        self._rung.set()

    async def ring_on(self, event: asyncio.Event) -> None:
        """Ring once the event has happened, so that nobody sleeps through it."""
        await event.wait()
        self.ring()

    async def wait(self, seconds: float) -> None:
        """Return when rung, now or since the last wait, and after that many seconds in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for can lose a cancellation that comes with the ring (3.11)
                await self._rung.wait()
        self._rung.clear()


@asynccontextmanager
async def listening(url: str, channel: str, clock: Clock) -> AsyncIterator[Bell]:
    """Yield a bell that rings for a channel; the connection is made anew whenever it is lost.

    NOTIFY needs a session of its own: ``url`` must lead to PostgreSQL itself, not to a transaction pooler.
    """
    bell = Bell()
    task = asyncio.create_task(_listen(url, channel, bell, clock))
    try:
        yield bell
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _listen(url: str, channel: str, bell: Bell, clock: Clock) -> None:
    told = ""
    while True:
        why = ""
        try:
            await _listen_once(url, channel, bell)
        except Exception as error:  # noqa: BLE001 - whatever it is: who gave up would be deaf, and nobody would know
            why = type(error).__name__
        if why and why != told:
            _log.warning("store.not_listening", channel=channel, why=why)
        told = why
        await clock.sleep(AGAIN_SECONDS)


async def _listen_once(url: str, channel: str, bell: Bell) -> None:
    """Ring for the channel until the connection is lost."""
    async with open_connection(url, name=f"{channel}, listener") as connection:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(channel, bell.ring)
        bell.ring()  # whatever was said while nobody listened
        await lost.wait()
