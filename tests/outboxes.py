"""Outboxes of other services, made as the page tells their teams to make them."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg

PAGE = (Path(__file__).parents[1] / "docs" / "concepts" / "outbox-sources.md").read_text("utf-8")
TABLE, GRANTS = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NAMESPACE = UUID("018f3c1e-7a52-7c64-9d0b-5e1f6a2b8c91")


def event(name: str) -> UUID:
    """Return the id of an event of the test's own."""
    return uuid5(NAMESPACE, name)


class Shop:
    """Another service with its own database, and its outbox there."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def execute(self, *statements: str) -> None:
        """Do something to its database."""
        connection = await asyncpg.connect(self.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def says(self, *rows: tuple[str, str], kind: str = "OrderPlaced", table: str = "outbox", **more: Any) -> None:
        """Write rows, each of an aggregate and with a name, in one transaction."""
        payload = {"said": None, **more}
        connection = await asyncpg.connect(self.url)
        try:
            await connection.executemany(
                f"INSERT INTO {table} (event_id, aggregate, aggregate_id, event_type, payload, tenant_id)"  # noqa: S608 - a name of the test's own
                " VALUES ($1, 'order', $2, $3, $4::jsonb, 'tenant-1')",
                [(event(name), of, kind, json.dumps({**payload, "said": name})) for of, name in rows],
            )
        finally:
            await connection.close()

    async def places(self, order: Mapping[str, Any]) -> None:
        """Write an order to be paid, and no more than that."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(
                "INSERT INTO outbox (event_id, aggregate, aggregate_id, event_type, payload)"
                " VALUES ($1, 'order', $2, 'OrderPlaced', $3::jsonb)",
                event(order["event_id"]),
                order["order_id"],
                json.dumps(dict(order)),
            )
        finally:
            await connection.close()

    async def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the test's own."""
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(row.values()) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def waiting(self, table: str = "outbox") -> int:
        """Return how many of its rows are not published."""
        ((count,),) = await self.fetch(f"SELECT count(*) FROM {table} WHERE published_at IS NULL")  # noqa: S608 - the same
        return int(count)


def numbered(aggregates: Iterable[str], count: int) -> list[tuple[str, str]]:
    """Return so many rows of each aggregate, those of all aggregates in turn."""
    named = list(aggregates)
    return [(one, f"{one} {number}") for number in range(count) for one in named]
