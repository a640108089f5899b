"""What aiosql's asyncpg adapter adds to a call, beside asyncpg alone; see docs/decisions/0003-own-named-queries.md.

It is no dependency of ours, so it is measured in an environment of its own, against any PostgreSQL::

    python -m venv scratch && scratch/bin/pip install aiosql==15.0 asyncpg==0.32.0 uvloop
    scratch/bin/python benchmarks/named_queries.py "$DATABASE_URL"
"""

import inspect
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiosql
import asyncpg
import uvloop

NAMED = """
-- name: one$
select :n::int as n;

-- name: many
select n from unnest(:ns::bigint[]) as n;
"""
ONE = "select $1::int as n"
MANY = "select n from unnest($1::bigint[]) as n"
ROUNDS = 7
CALLS = 2000


async def microseconds(call: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Give the median over some rounds of what one call takes: wall time, and processor time of this process."""
    wall, processor = [], []
    for _ in range(ROUNDS):
        wall_before, processor_before = time.perf_counter(), time.process_time()
        for _ in range(CALLS):
            await call()
        wall.append((time.perf_counter() - wall_before) / CALLS * 1e6)
        processor.append((time.process_time() - processor_before) / CALLS * 1e6)
    return statistics.median(wall), statistics.median(processor)


async def drained(answer: Any) -> Any:
    """Take all rows, however the adapter hands them out."""
    return [row async for row in answer] if inspect.isasyncgen(answer) else await answer


async def main(url: str) -> None:
    """Print one line for each pair."""
    connection = await asyncpg.connect(url)
    queries = aiosql.from_str(NAMED, "asyncpg", mandatory_parameters=False)
    numbers = list(range(200))
    pairs = {
        "one value": (lambda: connection.fetchval(ONE, 1), lambda: drained(queries.one(connection, n=1))),
        "200 rows": (lambda: connection.fetch(MANY, numbers), lambda: drained(queries.many(connection, ns=numbers))),
    }
    for title, (plain, adapted) in pairs.items():
        (plain_wall, plain_processor), (wall, processor) = await microseconds(plain), await microseconds(adapted)
        print(
            f"{title}: asyncpg {plain_wall:.0f} µs (processor {plain_processor:.0f}),"
            f" aiosql {wall:.0f} ({processor:.0f}): {wall / plain_wall:.2f} times ({processor / plain_processor:.2f})"
        )
    await connection.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
