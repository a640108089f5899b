from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest_asyncio
from tests.stage import Running, Stage

from counterfoil.runtime.clock import SystemClock
from counterfoil.store import tokens
from counterfoil.store.tokens import Scope


@dataclass(frozen=True, slots=True)
class Counter:
    """A gateway process, spoken to with a token of all scopes unless another is shown; `limited` have one each."""

    stage: Stage
    running: Running
    token: str
    limited: Mapping[Scope, str]

    async def ask(self, http: httpx.AsyncClient, path: str, *, token: str | None = None) -> httpx.Response:
        """Ask for something."""
        return await http.get(self.running.url + path, headers=self.authority(token))

    async def charge(
        self,
        http: httpx.AsyncClient,
        body: Any,
        *,
        token: str | None = None,
        content_type: str = "application/json",
    ) -> httpx.Response:
        """Post a charge: a JSON value, or bytes as they are."""
        headers = {**self.authority(token), "Content-Type": content_type}
        sent: Any = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await http.post(f"{self.running.url}/charge", headers=headers, **sent)

    def authority(self, token: str | None = None) -> dict[str, str]:
        """Return the header that says who asks."""
        return {"Authorization": f"Bearer {token or self.token}"}

    async def fetch(self, query: str, *arguments: Any) -> Any:
        """Return the one value of a query of the test's own."""
        connection = await asyncpg.connect(self.stage.database_url)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def told(self, http: httpx.AsyncClient) -> int:
        """Return how many requests the sandbox has heard."""
        log = await http.get(f"{self.stage.sandbox_url}/_sandbox/requests")
        return len(log.json()["requests"])


async def new_token(stage: Stage, name: str, *scopes: Scope) -> str:
    connection = await asyncpg.connect(stage.database_url)
    try:
        return (await tokens.create(connection, name, scopes, SystemClock().now())).reveal()
    finally:
        await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(shared_stage: Stage) -> AsyncIterator[Counter]:
    """A gateway with a sandbox behind it, shared by the tests of a module."""
    token = await new_token(shared_stage, "shop", *Scope)
    limited = {scope: await new_token(shared_stage, scope, scope) for scope in Scope}
    yield Counter(shared_stage, shared_stage.start("gateway"), token, limited)
