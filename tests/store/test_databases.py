"""The databases that tests are given: empty, one's own, and copies of a template on request."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg


async def tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT relname FROM pg_stat_user_tables")
    await connection.close()
    return [row["relname"] for row in rows]


async def make_table(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE mark ()")
    await connection.close()


async def test_each_database_is_empty_and_apart(
    database_url: str, make_database: Callable[..., Awaitable[str]]
) -> None:
    """What one database is given is not seen in the next."""
    other_url = await make_database()
    await make_table(database_url)

    assert (await tables(database_url), await tables(other_url)) == (["mark"], [])


async def test_a_template_is_copied(database_url: str, make_database: Callable[..., Awaitable[str]]) -> None:
    """A database made from a template has its tables from the start."""
    await make_table(database_url)

    copy_url = await make_database(urlsplit(database_url).path[1:])

    assert await tables(copy_url) == ["mark"]
