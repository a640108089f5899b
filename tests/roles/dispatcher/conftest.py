from collections.abc import AsyncIterator

import pytest_asyncio
from tests.roles.dispatcher.gateway_peer import GatewayPeer, listening_peer


@pytest_asyncio.fixture(loop_scope="session")
async def peer() -> AsyncIterator[GatewayPeer]:
    """A peer in the gateway's place."""
    async with listening_peer() as peer:
        yield peer
