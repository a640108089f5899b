"""The steps run against real PostgreSQL, the sandbox over HTTP, and a clock that is told."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.orders import Shop
from tests.told import Clock

from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.ids import Ids
from counterfoil.store.pool import Pool
from stripe_sandbox.clock import Clock as SandboxClock
from stripe_sandbox.sandbox import Sandbox, Server

KEY = "sk_test_journey"


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    """A Stripe of this test's own, in the time that the test tells."""
    return Sandbox(keys=[KEY], clock=SandboxClock(wall=lambda: clock.now().timestamp()))


@pytest_asyncio.fixture
async def peer(sandbox: Sandbox) -> AsyncIterator[Server]:
    """The same, listening."""
    async with sandbox.serve() as server:
        yield server


@pytest_asyncio.fixture
async def stripe(peer: Server) -> AsyncIterator[StripeProcessor]:
    """The processor, speaking to it."""
    processor = StripeProcessor(KEY, livemode=False, api_base=peer.url, return_url="https://shop.example/back")
    yield processor
    await processor.close()


@pytest.fixture
def shop(pool: Pool, clock: Clock, ids: Ids, stripe: StripeProcessor) -> Shop:
    """Places orders."""
    return Shop(pool, clock, ids, stripe)
