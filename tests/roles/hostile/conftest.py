from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest_asyncio
from tests.roles.hostile.door import Door, charging, delivering, watching
from tests.stage import Stage

from counterfoil.runtime.clock import SystemClock
from counterfoil.store import tokens
from counterfoil.store.tokens import Scope

HOSTS = "127.0.0.1,pay.example"


async def new_token(stage: Stage, name: str, *scopes: Scope, revoked: bool = False) -> bytes:
    """Return a new token, which may have been revoked at once."""
    connection = await asyncpg.connect(stage.database_url)
    try:
        token = (await tokens.create(connection, name, scopes, SystemClock().now())).reveal()
        if revoked:
            await tokens.revoke(connection, name, SystemClock().now())
    finally:
        await connection.close()
    return token.encode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tokens_of_callers(shared_stage: Stage) -> AsyncIterator[Mapping[str, bytes]]:
    """A good token, one that may read only, and one that was revoked: made before there is a gateway to know them."""
    yield {
        "good": await new_token(shared_stage, "shop", *Scope),
        "reader": await new_token(shared_stage, "reader", Scope.READ),
        "revoked": await new_token(shared_stage, "revoked", *Scope, revoked=True),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(shared_stage: Stage, tokens_of_callers: Mapping[str, bytes]) -> AsyncIterator[Door]:
    """The way into a gateway process with the sandbox behind it, shared by the tests of a module."""
    running = shared_stage.start("gateway", ALLOWED_HOSTS=HOSTS)
    yield charging(shared_stage, running, tokens_of_callers["good"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def receiver(shared_stage: Stage) -> AsyncIterator[Door]:
    """The way into a receiver process, shared by the tests of a module."""
    yield delivering(shared_stage, shared_stage.start("webhook-receiver", ALLOWED_HOSTS=HOSTS))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worker(shared_stage: Stage) -> AsyncIterator[Door]:
    """The way to a worker process, started by the first test of a module that asks for it."""
    yield watching(shared_stage, shared_stage.start("worker"))
