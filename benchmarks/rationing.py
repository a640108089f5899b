"""What its turn in the shared budget costs a call: a lone one, one of a stream, and a durable commit beside them.

Starts a PostgreSQL of its own and interleaves the three, so that what else the machine does weighs on all of them::

    .venv/bin/python benchmarks/rationing.py [rounds]
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from counterfoil.processors.port import Priority
from counterfoil.roles.rationing import LEASE_SECONDS, Rationing, terms_of
from counterfoil.runtime.clock import SystemClock
from counterfoil.store import embedded
from counterfoil.store.budget import Account
from counterfoil.store.migrate import migrate
from counterfoil.store.pool import Pool, open_pool

LIMIT = 100_000
"""So high that nobody waits for a token, only for the budget to be asked."""

STREAM = 200
"""Calls in flight at once, each taking the next turn as soon as it has its own."""


async def timed(what: Callable[[], Awaitable[object]]) -> float:
    """Return how long something took, in milliseconds."""
    began = time.perf_counter()
    await what()
    return 1000 * (time.perf_counter() - began)


async def measure(pool: Pool, rounds: int) -> None:
    """Print the medians."""
    rationing = Rationing(pool, SystemClock(), Account("", livemode=False), terms_of(LIMIT))
    await pool.execute("CREATE TABLE committed (n int)")
    await asyncio.gather(*(rationing.take(Priority.CHARGE) for _ in range(STREAM)))

    async def stream() -> None:
        async def caller() -> None:
            for _ in range(20):
                await rationing.take(Priority.CHARGE)

        await asyncio.gather(*(caller() for _ in range(STREAM)))

    commits, lone, streams = [], [], []
    for _ in range(rounds):
        await asyncio.sleep(2 * LEASE_SECONDS)  # whatever was taken ahead has grown old
        lone.append(await timed(lambda: rationing.take(Priority.CHARGE)))
        commits.append(await timed(lambda: pool.execute("INSERT INTO committed VALUES (1)")))
        streams.append(await timed(stream) / (20 * STREAM))
    await rationing.close()
    print(f"a durable commit of one row: {median(commits):.2f} ms")
    print(f"the turn of a lone call:     {median(lone):.2f} ms, {median(lone) / median(commits):.2f} of that")
    print(f"a turn in a stream:          {median(streams):.4f} ms, {median(streams) / median(commits):.4f} of that")


async def main(rounds: int) -> None:
    """Measure on a database of its own."""
    home = Path(tempfile.mkdtemp())
    async with embedded.server(home) as server:
        connection = await asyncpg.connect(server.url)
        await migrate(connection, SystemClock().now().date())
        await connection.close()
        async with open_pool(server.url, name="benchmark", largest=4) as pool:
            await measure(pool, rounds)
    embedded.remove(home)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if sys.argv[1:] else 200))
