"""A stream of events in a time that is told."""

import httpx
from tests.roles.conftest import Served
from tests.told import Clock

from counterfoil.store import tokens
from counterfoil.store.pool import Pool
from counterfoil.store.tokens import Scope


async def test_a_stream_ends_with_its_token(
    told_gateway: Served, http: httpx.AsyncClient, pool: Pool, clock: Clock
) -> None:
    """Whoever follows is cut off within a minute of the revocation, as a request would be refused."""
    async with pool.acquire() as connection:
        token = (await tokens.create(connection, "reader", [Scope.READ], clock.now())).reveal()
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}

    async with http.stream("GET", f"http://127.0.0.1:{told_gateway.port}/events", headers=headers) as answer:
        async with pool.acquire() as connection:
            await tokens.revoke(connection, "reader", clock.now())
        revoked = clock.monotonic()
        heard = await answer.aread()

    assert answer.status_code == 200
    assert b"data:" not in heard
    assert clock.monotonic() - revoked <= 60
