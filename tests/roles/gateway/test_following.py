"""A stream of events in a time that is told."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from tests.told import Clock

from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles.gateway.application import application
from counterfoil.roles.gateway.authentication import Doorkeeper
from counterfoil.roles.gateway.charging import Charging
from counterfoil.roles.gateway.routing import Gateway
from counterfoil.roles.world import World
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import tokens
from counterfoil.store.pool import Pool
from counterfoil.store.tokens import Scope


async def test_a_stream_ends_with_its_token(
    server: Callable[..., Awaitable[Any]], http: httpx.AsyncClient, pool: Pool, clock: Clock, ids: Ids
) -> None:
    """Whoever follows is cut off within a minute of the revocation, as a request would be refused."""
    world, shutdown = World(pool, clock, ids), Shutdown()
    processor = StripeProcessor("sk_test_none", livemode=False)
    charging = Charging(world, processor, "test", shutdown.requested)
    gateway = Gateway(
        world=world,
        charging=charging,
        doorkeeper=Doorkeeper(pool, clock),
        shutdown=shutdown,
        default_method=None,
    )
    served = await server(application(gateway, []))
    async with pool.acquire() as connection:
        token = (await tokens.create(connection, "reader", [Scope.READ], clock.now())).reveal()
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}

    async with http.stream("GET", f"http://127.0.0.1:{served.port}/events", headers=headers) as answer:
        async with pool.acquire() as connection:
            await tokens.revoke(connection, "reader", clock.now())
        revoked = clock.monotonic()
        heard = await answer.aread()

    assert answer.status_code == 200
    assert b"data:" not in heard
    assert clock.monotonic() - revoked <= 60
    await charging.drain()
    await processor.close()
