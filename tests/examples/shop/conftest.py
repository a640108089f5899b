"""The shop on a real database and a real port."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest_asyncio
import uvicorn

from examples.shop.api import application
from examples.shop.database import Pool, open_pool


@pytest_asyncio.fixture(loop_scope="session")
async def shop_pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to a fresh database with the shop's schema and catalogue."""
    async with open_pool(database_url) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="session")
async def shop(shop_pool: Pool) -> AsyncIterator[str]:
    """The address of a shop that hears nothing from Kafka."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(application(shop_pool, lambda: True), lifespan="off", log_config=None, access_log=False)
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving
