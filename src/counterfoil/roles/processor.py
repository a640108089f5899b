"""The processor as the settings name it, for the roles that hold its key. Nobody else imports its SDK."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from counterfoil.config import STRIPE_API_BASE, Mode, Settings, StripeDriver
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.processors.stripe.limits import LIVE_PER_SECOND, TEST_PER_SECOND
from counterfoil.roles.rationing import Rationing, terms_of
from counterfoil.roles.world import World
from counterfoil.store.budget import Account


@asynccontextmanager
async def open_processor(settings: Settings, world: World | None = None) -> AsyncIterator[StripeProcessor]:
    """Yield the processor of the settings; its connections are closed with it.

    Without a world its calls are not counted: those of a person's command are few, and must not depend on the store.
    """
    assert settings.stripe_key is not None, "the settings of this role demand it"
    livemode, limit = settings.mode is Mode.LIVE, limit_of(settings)
    rationing = None
    if limit is not None and world is not None:
        rationing = Rationing(world.pool, world.clock, Account("", livemode), terms_of(limit))
    processor = StripeProcessor(
        settings.stripe_key.reveal(),
        livemode=livemode,
        api_base=settings.stripe_api_base,
        return_url=settings.return_url,
        by_charges=settings.stripe_driver is StripeDriver.CHARGES,
        budget=rationing,
    )
    try:
        yield processor
    finally:
        await processor.close()
        if rationing is not None:
            await rationing.close()


def limit_of(settings: Settings) -> int | None:
    """Return how many requests a second may be made: as many as is set, else as Stripe takes.

    What listens elsewhere has a limit only where one is set.
    """
    if settings.stripe_rate_limit is not None or settings.stripe_api_base != STRIPE_API_BASE:
        return settings.stripe_rate_limit
    return LIVE_PER_SECOND if settings.mode is Mode.LIVE else TEST_PER_SECOND
