"""What the shop says of itself to whoever watches over it."""

import httpx
import pytest

from examples.shop.api import application
from examples.shop.database import Pool

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def asked(pool: Pool, path: str, *, listens: bool) -> tuple[int, dict[str, str]]:
    transport = httpx.ASGITransport(application(pool, lambda: listens))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
        answer = await client.get(path)
        return answer.status_code, answer.json()


async def test_it_is_ready_with_its_database_and_its_share_of_kafka(shop_pool: Pool) -> None:
    """Each is named; without either it is not ready, and lives all the same."""
    assert await asked(shop_pool, "/readyz", listens=True) == (200, {"database": "ok", "kafka": "ok"})
    assert await asked(shop_pool, "/readyz", listens=False) == (503, {"database": "ok", "kafka": "not joined"})
    await shop_pool.close()
    assert await asked(shop_pool, "/readyz", listens=True) == (503, {"database": "InterfaceError", "kafka": "ok"})
    assert await asked(shop_pool, "/healthz", listens=False) == (200, {"status": "ok"})
