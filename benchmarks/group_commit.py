"""What it gains to commit orders together: payments a second, one order a transaction beside many, in the same run.

Starts a PostgreSQL of its own (fsync on) and stops it again; nothing is sent to a processor::

    .venv/bin/python benchmarks/group_commit.py [payments]
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg
import uvloop

from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Source, Verdict
from counterfoil.journey import accept, authorize
from counterfoil.journey.accept import Accepted, Wish
from counterfoil.journey.authorize import Heard, Sending
from counterfoil.processors.stripe import requests
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.store import embedded
from counterfoil.store.migrate import migrate
from counterfoil.store.pool import Pool, open_pool

ROUNDS = 5
TOGETHER = 200

clock = SystemClock()
ids = TimeOrderedIds(clock)


def wish() -> Wish:
    """An order nobody placed before."""
    payment_id = ids.new()
    order = Order(f"event-{payment_id}", f"order-{payment_id}", Money(1999, "EUR"), "pm_card_visa")
    request: Request = requests.create_and_confirm(payment_id, order, "card", "https://shop.example/back")
    return Wish(payment_id, order, request, livemode=False, owner="benchmark")


async def settle(pool: Pool, wishes: list[Wish]) -> None:
    """Accept the orders together and record a success for each, as the gateway does around its call."""
    accepted = await accept.run(pool, ids, wishes, clock.now())
    heard = [success(wish, answer) for wish, answer in zip(wishes, accepted, strict=True)]
    await authorize.record(pool, ids, heard, clock.now())


def success(wished: Wish, answer: object) -> Heard:
    """What Stripe would have said."""
    assert isinstance(answer, Accepted)
    assert answer.claim is not None
    name = str(wished.payment_id)
    cause = Cause(Source.ANSWER, "req")
    verdict = Verdict(AttemptHappening.CAPTURED, cause, f"pi_{name}", f"ch_{name}", amount_captured=1999)
    return Heard(Sending(UUID(name), 1, answer.claim, wished.request, again=False), verdict)


async def a_second(pool: Pool, payments: int, together: int, at_once: int) -> float:
    """Return payments a second, ``together`` in a transaction, ``at_once`` transactions under way."""
    batches = [[wish() for _ in range(together)] for _ in range(payments // together)]
    queue = iter(batches)

    async def worker() -> None:
        for batch in queue:
            await settle(pool, batch)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return payments / (time.perf_counter() - began)


async def main(payments: int) -> None:
    """Print the two figures and their ratio, round by round paired."""
    home = Path(tempfile.mkdtemp())
    async with embedded.server(home) as server:
        connection = await asyncpg.connect(server.url)
        await migrate(connection, clock.now().date())
        await connection.close()
        async with open_pool(server.url, name="benchmark", largest=8) as pool:
            await a_second(pool, TOGETHER, TOGETHER, 1)
            alone, grouped = [], []
            for _ in range(ROUNDS):
                alone.append(await a_second(pool, payments // 5, 1, 8))
                grouped.append(await a_second(pool, payments, TOGETHER, 1))
    embedded.remove(home)
    ratios = [group / single for group, single in zip(grouped, alone, strict=True)]
    print(f"one order a transaction, 8 under way: {statistics.median(alone):7.0f} payments/s")
    print(f"{TOGETHER} orders a transaction, 1 under way: {statistics.median(grouped):7.0f} payments/s")
    print(f"ratio: {statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f} in {ROUNDS} rounds)")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000))
