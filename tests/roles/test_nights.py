"""Each night somebody asks for both books to be compared, and only one does."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio
from tests.orders import Shop, order
from tests.told import START, Clock

from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles.worker.bench import Bench
from counterfoil.roles.worker.comparisons import Nights
from counterfoil.roles.world import World
from counterfoil.runtime.ids import Ids
from counterfoil.store.pool import Pool

ASKED = "SELECT night, asked_at, since FROM reconciliations ORDER BY asked_at"


@pytest_asyncio.fixture
async def bench(pool: Pool, clock: Clock, ids: Ids) -> AsyncIterator[Bench]:
    """A worker's bench; its processor is never spoken to."""
    processor = StripeProcessor("sk_test_nights", livemode=False, return_url="https://shop.example/back")
    yield Bench(World(pool, clock, ids), processor, "worker")
    await processor.close()


async def test_the_first_worker_of_a_night_asks_and_no_other(bench: Bench, clock: Clock, pool: Pool, ids: Ids) -> None:
    """From three o'clock on, for the last three days; once a night, whoever looks and however often."""
    processor = bench.processor
    assert isinstance(processor, StripeProcessor)
    await Shop(pool, clock, ids, processor).accepted(order(1), owner=None)
    first, second = Nights(bench), Nights(bench)
    for _ in range(40):
        await first.round()
        await second.round()
        clock.advance(timedelta(hours=1))
    told = [(row["night"], row["asked_at"] - row["since"]) for row in await pool.fetch(ASKED)]
    days = timedelta(days=3)
    assert told == [(START.date() + timedelta(days=1), days), (START.date() + timedelta(days=2), days)]


async def test_a_night_that_was_missed_is_made_up_for(bench: Bench, clock: Clock, pool: Pool, ids: Ids) -> None:
    """Every worker was down at three; the one that comes at noon asks."""
    processor = bench.processor
    assert isinstance(processor, StripeProcessor)
    await Shop(pool, clock, ids, processor).accepted(order(1), owner=None)
    clock.advance(timedelta(days=1))
    await Nights(bench).round()
    assert [row["asked_at"] for row in await pool.fetch(ASKED)] == [clock.now()]


async def test_where_there_is_nothing_to_compare_nobody_asks(bench: Bench, clock: Clock, pool: Pool) -> None:
    """Before the first payment that is older than the night."""
    clock.advance(timedelta(days=1))
    await Nights(bench).round()
    assert await pool.fetch(ASKED) == []
