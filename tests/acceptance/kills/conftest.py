from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from tests.acceptance.kills.record import Record
from tests.acceptance.kills.sandbox import Sandbox
from tests.acceptance.kills.scene import Scene
from tests.stage import Stage, authority


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop_authority(shared_stage: Stage) -> dict[str, str]:
    """What a module's client shows the gateways; the module's database is made ready for kills beside it."""
    async with Record.of(shared_stage.database_url) as record:
        await record.make_gates()
    return await authority(shared_stage)


@pytest.fixture
async def scene(shared_stage: Stage, shop_authority: dict[str, str]) -> AsyncIterator[Scene]:
    """The module's stage, for one test."""
    async with (
        httpx.AsyncClient(trust_env=False, timeout=40, limits=httpx.Limits(max_connections=None)) as http,
        Record.of(shared_stage.database_url) as record,
    ):
        yield Scene(shared_stage, record, Sandbox(shared_stage.sandbox_url, http), http, shop_authority)
