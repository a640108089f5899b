"""The bell that the database rings."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
from structlog.testing import capture_logs

from counterfoil.runtime.clock import SystemClock
from counterfoil.store.listening import listening

CHANNEL = "test_bell"


async def test_a_listener_outlives_what_nobody_foresaw(postgres_url: str, database_url: str) -> None:
    """A database that takes no connections for a while is named once in the log, and heard again when it does."""
    name = urlsplit(database_url).path.removeprefix("/")
    server = await asyncpg.connect(postgres_url)
    await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')

    with capture_logs() as logs:
        async with listening(database_url, CHANNEL, SystemClock()) as bell:
            await bell.wait(1.5)
            await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            async with asyncio.timeout(10):
                await bell.wait(60)  # it rings as soon as it listens

    await server.close()
    assert logs == [
        {
            "event": "store.not_listening",
            "log_level": "warning",
            "channel": CHANNEL,
            "why": "ObjectNotInPrerequisiteStateError",
        }
    ]
