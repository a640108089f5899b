"""The secrets that deliveries are signed with: how they are now, though a file may change while the receiver runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from counterfoil.config import SigningSecret
from counterfoil.domain.errors import Misconfigured
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock

AGAIN_SECONDS: Final = 2.0
"""Between looks at the file: a rotation is over within a minute by contract, and a look costs nothing."""

_log = structlog.get_logger()


class Signing:
    """The signing secrets in their order, and whatever they are replaced with."""

    def __init__(self, secrets: Sequence[SigningSecret], clock: Clock) -> None:
        self._secrets, self._clock = tuple(secrets), clock

    def good(self) -> dict[int, bytes]:
        """Return the secrets that are good now, by their places in the setting, from 1 on, and in that order."""
        now = self._clock.now()
        return {
            place: one.secret.reveal().encode() for place, one in enumerate(self._secrets, start=1) if one.is_good(now)
        }

    @asynccontextmanager
    async def followed(self, read: Callable[[], Sequence[SigningSecret]] | None) -> AsyncIterator[None]:
        """Read the secrets again and again while the context lasts; the last good ones stay where that fails.

        Args:
            read: returns them as they are now; raises Misconfigured where they cannot be used. None: they stay.
        """
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._follow(read)) if read is not None else None
            yield
            if task is not None:
                task.cancel()

    async def _follow(self, read: Callable[[], Sequence[SigningSecret]]) -> None:
        told = ""
        while True:
            await self._clock.sleep(AGAIN_SECONDS)
            why = self._replace(read)
            if why and why != told:
                alarm("secrets", "unusable", why=why)
            told = why

    def _replace(self, read: Callable[[], Sequence[SigningSecret]]) -> str:
        """Take over what is read; return why it cannot be used, or nothing."""
        try:
            found = tuple(read())
        except Misconfigured as refusal:
            return str(refusal)
        if found != self._secrets:
            _log.info("secrets.replaced", before=len(self._secrets), now=len(found))
            self._secrets = found
        return ""
