"""Bodies of notices go after their days, a day at a time; what was seen is known for ever, and nothing unread goes."""

import asyncio
from datetime import date, timedelta

import pytest
from tests.told import Clock

from counterfoil.store import notices, partitions
from counterfoil.store.notices import Delivery, NoticeId, NoticeState, Settled
from counterfoil.store.pool import Pool

PARTITIONS = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'notice_bodies'::regclass"


async def days(pool: Pool) -> list[date]:
    rows = await pool.fetch(PARTITIONS)
    return sorted(date.fromisoformat(row["name"].removeprefix("notice_bodies_")) for row in rows)


async def keep(pool: Pool, clock: Clock, event_id: str, state: NoticeState = NoticeState.DONE) -> NoticeId:
    """Keep a notice now, read or not."""
    notice = NoticeId("", livemode=False, event_id=event_id)
    async with pool.acquire() as connection, connection.transaction():
        await notices.keep(connection, [Delivery(notice, "charge.succeeded", "ch_1", b"{}")], clock.now())
        if state is not NoticeState.KEPT:
            await notices.settle(connection, [Settled(notice, state, "a test")], clock.now())
    return notice


async def bodies(pool: Pool) -> list[str]:
    rows = await pool.fetch("SELECT event_id FROM notice_bodies ORDER BY event_id")
    return [row["event_id"] for row in rows]


async def drop(pool: Pool, clock: Clock) -> int:
    return await partitions.drop_expired(pool, clock.now().date())


async def test_pitfall_25_bodies_go_after_thirty_days_and_what_was_seen_stays(pool: Pool, clock: Clock) -> None:
    """Not on the thirtieth day, but on the next; the small row then still knows the event when it comes again."""
    first = clock.now().date()
    await keep(pool, clock, "evt_1")
    clock.advance(timedelta(days=1))
    await keep(pool, clock, "evt_2")

    clock.advance(timedelta(days=29))
    assert (await drop(pool, clock), await bodies(pool)) == (0, ["evt_1", "evt_2"])
    clock.advance(timedelta(days=1))
    assert (await drop(pool, clock), await bodies(pool)) == (1, ["evt_2"])
    assert (await days(pool))[0] == first + timedelta(days=1)

    await partitions.make_partitions(pool, clock.now().date())
    await keep(pool, clock, "evt_1", NoticeState.KEPT)
    rows = await pool.fetch("SELECT event_id, state, deliveries FROM notices ORDER BY event_id")
    assert [tuple(row.values()) for row in rows] == [("evt_1", "done", 2), ("evt_2", "done", 1)]


async def test_a_day_with_something_unread_stays_and_those_around_it_go(pool: Pool, clock: Clock) -> None:
    """Its workers were down for a month: what they still have to read is there, and the day goes once it is read."""
    first = clock.now().date()
    for number, state in enumerate([NoticeState.DONE, NoticeState.KEPT, NoticeState.PARKED], start=1):
        await keep(pool, clock, f"evt_{number}", state)
        clock.advance(timedelta(days=1))
    clock.advance(timedelta(days=60))

    assert await drop(pool, clock) == partitions.DAYS_AHEAD - 1
    assert (await days(pool), await bodies(pool)) == ([first + timedelta(days=1)], ["evt_2"])

    async with pool.acquire() as connection:
        unread = NoticeId("", livemode=False, event_id="evt_2")
        await notices.settle(connection, [Settled(unread, NoticeState.DONE)], clock.now())
    assert (await drop(pool, clock), await days(pool)) == (1, [])


async def test_who_reads_bodies_is_not_waited_for(pool: Pool, clock: Clock) -> None:
    """A transaction that reads them goes on, and deliveries behind it too: the day is left for the next time."""
    await keep(pool, clock, "evt_1")
    clock.advance(timedelta(days=31))
    await partitions.make_partitions(pool, clock.now().date())
    async with pool.acquire() as reader, reader.transaction():
        assert await reader.fetchval("SELECT count(*) FROM notice_bodies") == 1
        dropped, _ = await asyncio.gather(drop(pool, clock), keep(pool, clock, "evt_2"))
        assert dropped == 0
        assert await reader.fetchval("SELECT count(*) FROM notice_bodies") == 2
    assert await drop(pool, clock) > 0
    assert await bodies(pool) == ["evt_2"]


async def test_more_than_go_at_once_go_one_after_the_other(pool: Pool, clock: Clock) -> None:
    """Nobody tended the store for long: all that are over are dropped, in transactions that each drop so many."""
    await partitions.make_partitions(pool, clock.now().date() + timedelta(days=partitions.DAYS_AHEAD))
    clock.advance(timedelta(days=100))
    assert 2 * partitions.DAYS_AHEAD > partitions.MOST_AT_ONCE
    assert await drop(pool, clock) == 2 * partitions.DAYS_AHEAD
    assert await days(pool) == []


async def test_many_roles_may_drop_at_once(pool: Pool, clock: Clock) -> None:
    """Each role tends the store; together they drop each day once."""
    clock.advance(timedelta(days=100))
    dropped = await asyncio.gather(*(drop(pool, clock) for _ in range(4)))
    while await drop(pool, clock):  # whoever met another at work has left some
        pass
    assert sum(dropped) <= partitions.DAYS_AHEAD
    assert await days(pool) == []


@pytest.mark.parametrize("ahead", [0, 1])
async def test_what_is_to_come_is_never_dropped(pool: Pool, clock: Clock, ahead: int) -> None:
    """Only days that are over go, whatever the clock says."""
    clock.advance(-timedelta(days=ahead * 400))
    assert await drop(pool, clock) == 0
    assert len(await days(pool)) == partitions.DAYS_AHEAD
