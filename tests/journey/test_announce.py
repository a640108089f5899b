"""Facts get their place in the one order that readers follow."""

import asyncpg
import pytest_asyncio
from tests.orders import Shop, order

from counterfoil.journey import announce
from counterfoil.store import outbox, reading
from counterfoil.store.pool import Connection


@pytest_asyncio.fixture
async def leader(migrated_url: str) -> asyncpg.Connection:
    """The connection of a publisher."""
    return await asyncpg.connect(migrated_url)


async def publish_all(shop: Shop, leader: Connection) -> int:
    rounds = 0
    while await announce.run(leader, shop.clock.now()):
        rounds += 1
    return rounds


async def test_pitfall_28_every_fact_gets_a_position_and_leaves_the_outbox(shop: Shop, leader: Connection) -> None:
    """Position by position, each payment's facts in the order of their numbers."""
    payments = [await shop.charge(order(number)) for number in range(3)]
    await publish_all(shop, leader)
    published = await reading.facts_after(shop.pool, 0, 100)
    assert await outbox.waiting(leader) == 0
    assert sorted(fact.position for fact in published) == [fact.position for fact in published]
    for payment in payments:
        assert [fact.version for fact in published if fact.payment_id == payment.id] == [1, 2]


async def test_pitfall_28_a_late_commit_is_never_passed_over(shop: Shop, leader: Connection) -> None:
    """A fact that is committed after later ones were published still gets its own, higher position."""
    early = await shop.accepted(order(1))
    async with shop.pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("DELETE FROM outbox WHERE payment_id = $1", early.id)
        await slow.execute("INSERT INTO outbox VALUES ($1, 1)", early.id)
        await shop.accepted(order(2))
        await shop.pool.fetch("SELECT 1")
        before = len(await reading.facts_after(shop.pool, 0, 100))
        await transaction.commit()
    await publish_all(shop, leader)
    assert (before, len(await reading.facts_after(shop.pool, 0, 100))) == (0, 2)


async def test_only_one_may_lead(leader: Connection, migrated_url: str) -> None:
    """The lead is a lock of the session: a second publisher waits until the first is gone."""
    second = await asyncpg.connect(migrated_url)
    assert [await outbox.try_to_lead(leader), await outbox.try_to_lead(second)] == [True, False]
    await leader.close()
    assert await outbox.try_to_lead(second)
    await second.close()


async def test_reading_on_from_a_position_misses_and_repeats_nothing(shop: Shop, leader: Connection) -> None:
    """Page by page gives what one page gives."""
    for number in range(3):
        await shop.charge(order(number))
    await publish_all(shop, leader)
    whole = await reading.facts_after(shop.pool, 0, 100)
    paged, position = [], 0
    while page := await reading.facts_after(shop.pool, position, 2):
        paged += page
        position = page[-1].position
    assert whole == paged
