"""The processor as the settings name it, for the roles that hold its key. Nobody else imports its SDK."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from counterfoil.config import Mode, Settings, StripeDriver
from counterfoil.processors.stripe.client import StripeProcessor


@asynccontextmanager
async def open_processor(settings: Settings) -> AsyncIterator[StripeProcessor]:
    """Yield the processor of the settings; its connections are closed with it."""
    assert settings.stripe_key is not None, "the settings of this role demand it"
    processor = StripeProcessor(
        settings.stripe_key.reveal(),
        livemode=settings.mode is Mode.LIVE,
        api_base=settings.stripe_api_base,
        return_url=settings.return_url,
        by_charges=settings.stripe_driver is StripeDriver.CHARGES,
    )
    try:
        yield processor
    finally:
        await processor.close()
