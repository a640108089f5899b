"""Customers are told how their payments ended, and what could not be told is counted."""

from collections.abc import Sequence

from counterfoil.config import Settings
from counterfoil.journey import fulfil
from counterfoil.journey.fulfil import Post, Tried
from counterfoil.mail.courier import Courier
from counterfoil.mail.letters import Writer
from counterfoil.roles.worker.bench import Bench
from counterfoil.runtime.batching import Batcher
from counterfoil.runtime.metrics import PARKED_EFFECTS
from counterfoil.store import effects
from counterfoil.store.effects import Errand
from counterfoil.store.pool import unavailable_when_down


def post_of(settings: Settings) -> Post | None:
    """Return how letters go out with these settings; None where no mail server is named."""
    if settings.smtp_url is None:
        return None
    assert settings.mail_from is not None, "the settings were checked"
    return Post(Writer(settings.mail_from, settings.public_url), Courier(settings.smtp_url))


class Effects:
    """Effects that are due are carried out, first or again."""

    name = "fulfil"

    def __init__(self, bench: Bench, post: Post | None) -> None:
        self._bench, self._post = bench, post
        self._recorded: Batcher[Tried, None] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, fulfil.MOST_AT_ONCE, self._claim, self._carry_out)

    async def _claim(self, free: int) -> list[Errand]:
        bench, world = self._bench, self._bench.world
        return await fulfil.claim_due(world.pool, bench.claimant.name, world.clock.now(), free)

    async def _carry_out(self, errand: Errand) -> None:
        await self._recorded.submit(await fulfil.call(self._post, errand, self._bench.world.clock))

    async def _record(self, tried: Sequence[Tried]) -> list[None]:
        world = self._bench.world
        await fulfil.record(world.pool, world.ids, tried, world.clock.now())
        return [None] * len(tried)


class ParkedEffects:
    """The gauge of what waits for a person."""

    name = "count parked effects"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world

    async def round(self) -> bool:
        """Set the gauge; there is never more."""
        async with unavailable_when_down():
            PARKED_EFFECTS.set(await effects.count_parked(self._world.pool))
        return False
