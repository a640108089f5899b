"""PostgreSQL goes away under running roles, and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from tests import deliveries
from tests.stage import Running, becomes, now, order, staged

from counterfoil.runtime.clock import SystemClock
from counterfoil.store import embedded, tokens
from counterfoil.store.migrate import migrate
from counterfoil.store.tokens import Scope

ROLES = ("gateway", "webhook-receiver", "worker", "outbox-publisher")


@dataclass
class Database:
    """A server of the test's own, that can be stopped and started again at the same address."""

    home: Path
    server: embedded.EmbeddedServer | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> str:
        """Start it and return its URL, which is the same each time."""
        port = self.server.port if self.server else None
        self.server = await self._running.enter_async_context(embedded.server(self.home, port=port))
        return self.server.url

    async def stop(self) -> None:
        """Stop it as an operator would; sessions are ended."""
        await self._running.aclose()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "postgres")
    yield database
    await database.stop()
    embedded.remove(database.home)


async def ask(http: httpx.AsyncClient, running: Running, path: str) -> tuple[int, Any]:
    assert running.process.poll() is None, running.log()
    answer = await http.get(running.url + path)
    return answer.status_code, answer.json()


async def followed(http: httpx.AsyncClient, gateway: Running, token: str) -> list[str]:
    """Follow /events; return the types of the first two, heard on one connection."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    types: list[str] = []
    async with http.stream("GET", f"{gateway.url}/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            types += [line] if line.startswith("event: ") else []
            if len(types) == 2:
                break
    return types


async def timed(request: Any) -> tuple[Any, float]:
    began = now()
    answer = await request
    return answer, now() - began


async def test_every_role_outlives_the_database(database: Database, http: httpx.AsyncClient, tmp_path: Path) -> None:
    """While it is away all are alive, not ready and name it within 2 s; writers answer 503; after 5 s all is well."""
    url = await database.start()
    connection = await asyncpg.connect(url)
    await migrate(connection, SystemClock().now().date())
    token = (await tokens.create(connection, "shop", [Scope.CHARGE, Scope.READ], SystemClock().now())).reveal()
    await connection.close()
    with staged(url, tmp_path) as stage:
        roles = {name: stage.start(name) for name in ROLES}

        following = asyncio.create_task(followed(http, roles["gateway"], token))
        await asyncio.wait([following], timeout=1)
        await database.stop()

        for name, running in roles.items():
            (code, said), seconds = await timed(ask(http, running, "/readyz"))
            assert (name, 503, "the database does not answer") == (name, code, said["checks"]["database"])
            assert seconds < 2
            assert await ask(http, running, "/healthz") == (200, {"alive": True})
        authority = {"Authorization": f"Bearer {token}"}
        charge = http.post(f"{roles['gateway'].url}/charge", json=order(1), headers=authority)
        body = deliveries.encoded(deliveries.event("1"))
        delivery = http.post(
            f"{roles['webhook-receiver'].url}/stripe/webhook", content=body, headers=deliveries.signed(body)
        )
        (charged, _), (delivered, seconds) = await asyncio.gather(timed(charge), timed(delivery))
        assert (charged.status_code, delivered.status_code) == (503, 503)
        assert (charged.json()["type"], charged.headers["retry-after"]) == ("urn:counterfoil:problem:unavailable", "1")
        assert seconds < 2

        await database.start()

        for running in roles.values():
            await becomes(200, partial(status, http, running), seconds=5)
        again = await http.post(f"{roles['gateway'].url}/charge", json=order(1), headers=authority)
        assert (again.status_code, again.json()["status"]) == (200, "succeeded")
        kept = await http.post(
            f"{roles['webhook-receiver'].url}/stripe/webhook", content=body, headers=deliveries.signed(body)
        )
        assert kept.status_code == 200
        assert await becomes(2, lambda: positions(url), seconds=10) == 2
        assert await asyncio.wait_for(following, 10) == ["event: PaymentRequested", "event: PaymentSucceeded"]
        for running in roles.values():
            running.terminate()
        assert [running.ended() for running in roles.values()] == [0, 0, 0, 0]


async def status(http: httpx.AsyncClient, running: Running) -> int:
    return (await http.get(f"{running.url}/readyz")).status_code


async def positions(url: str) -> int:
    """How many facts have their place in the order of publication."""
    connection = await asyncpg.connect(url)
    try:
        found: int = await connection.fetchval("SELECT count(*) FROM positions")
        return found
    finally:
        await connection.close()
