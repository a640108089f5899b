"""The shop's own PostgreSQL: connections, and the schema it makes for itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Row: TypeAlias = asyncpg.Record
else:  # at run time asyncpg's classes take no parameters
    Connection, Pool, Row = asyncpg.Connection, asyncpg.Pool, asyncpg.Record

SCHEMA: Final = Path(__file__).with_name("schema.sql")

LARGEST_POOL: Final = 10
"""Connections at most: the one that listens to Kafka, and orders that are placed at the same time."""

CONNECT_SECONDS: Final = 3
STATEMENT_MS: Final = 5_000
LOCK_MS: Final = 2_000
"""Rows are held for milliseconds: whoever waits longer stands behind something broken."""

_ONE_AT_A_TIME: Final = 0x53484F50
"""Any number, but the same for all who make the schema: two processes may start at once."""

_FORGET: Final = "DELETE FROM heard WHERE heard_at < now() - interval '30 days'"
"""Four times as long as Counterfoil's topics keep what is on them: what is older does not come again."""


@asynccontextmanager
async def open_pool(url: str) -> AsyncIterator[Pool]:
    """Yield connections to the shop's database, its schema made and its catalogue there."""
    async with asyncpg.create_pool(
        url,
        min_size=1,
        max_size=LARGEST_POOL,
        timeout=CONNECT_SECONDS,
        server_settings={
            "application_name": "shop",
            "statement_timeout": str(STATEMENT_MS),
            "lock_timeout": str(LOCK_MS),
        },
    ) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _ONE_AT_A_TIME)
            await connection.execute(SCHEMA.read_text("utf-8"))
            await connection.execute(_FORGET)
        yield pool
