"""While the processor refuses our key nothing is sent with it, by any process, until it is taken again."""

from datetime import timedelta
from typing import Final

import structlog

from counterfoil.domain.errors import Misconfigured
from counterfoil.domain.refunding import Listing, RefundVerdict
from counterfoil.domain.verdict import Verdict
from counterfoil.journey import reconcile
from counterfoil.processors.port import Processor
from counterfoil.roles.probes import Check
from counterfoil.roles.world import World
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.metrics import PAUSED
from counterfoil.store import pauses
from counterfoil.store.pool import unavailable_when_down

PROBE_EVERY: Final = timedelta(seconds=30)
"""Between tries whether the key is taken again, by all processes that use it together."""

LEFT_AFTER: Final = timedelta(minutes=5)
"""A pause that nobody probes for so long is of a key that nobody has any more, and holds up nothing."""

_log = structlog.get_logger()


class Pausing:
    """The pause of one key, as the processes that use it share it through the store."""

    name = "probe"

    def __init__(self, world: World, processor: Processor) -> None:
        self._world, self._processor = world, processor

    async def note(self, verdict: Verdict | RefundVerdict | Listing) -> None:
        """Begin the pause where a verdict says that our key is refused, and it is refused altogether.

        A 403 may be about one object only; that payment goes on by itself, and its alarm was raised.
        """
        if not verdict.key_refused or await self._processor.admits_us():
            return
        now = self._world.clock.now()
        reason = verdict.alarm or "the processor refuses our key"
        async with unavailable_when_down(), self._world.pool.acquire() as connection:
            began = await pauses.begin(connection, self._processor.credential, reason, now, now + PROBE_EVERY)
        if began:
            alarm("processor", "paused", why=reason, reference=verdict.cause.reference)

    async def round(self) -> bool:
        """Try whether the key is taken again, where it is our turn; show what fell into doubt meanwhile."""
        credential, now = self._processor.credential, self._world.clock.now()
        async with unavailable_when_down(), self._world.pool.acquire() as connection:
            paused = await pauses.current(connection, credential) is not None
            ours = paused and await pauses.take_probe(connection, credential, now, now + PROBE_EVERY)
        PAUSED.set(paused)
        if paused:
            await reconcile.show_doubt(self._world.pool, self._world.ids, credential, now)
        if ours and await self._processor.admits_us():
            async with unavailable_when_down(), self._world.pool.acquire() as connection:
                since = await pauses.finish(connection, credential)
            PAUSED.set(0)
            if since is not None:
                _log.warning("processor.resumed", paused_seconds=(now - since).total_seconds())
        return False

    def check(self) -> Check:
        """Return the check that nothing is paused."""

        async def run() -> None:
            async with unavailable_when_down():
                pause = await pauses.current(self._world.pool, self._processor.credential)
            if pause is not None:
                raise Misconfigured(
                    "STRIPE_KEY", f"is paused since {pause.since:%Y-%m-%d %H:%M:%S} UTC: {pause.reason}"
                )

        return Check("processor", run)
