"""The budget of calls: whole tokens by arithmetic from the time told, charges first, never more than the terms say."""

import asyncio
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime, timedelta

import asyncpg
import pytest
from tests.told import Clock

from counterfoil.roles.rationing import LEASE_SECONDS, terms_of
from counterfoil.store import budget
from counterfoil.store.budget import Account, Wanted
from counterfoil.store.pool import Pool

OURS = Account("", livemode=False)
LIVE = Account("", livemode=True)
TEST_TERMS, LIVE_TERMS = terms_of(25), terms_of(100)
ALL = Wanted(1000, 1000, 1000, 1000, 1000)
STEP = timedelta(milliseconds=10)


async def filled(pool: Pool, clock: Clock, account: Account = OURS) -> None:
    """Open the budget and let it fill."""
    await budget.lease(pool, account, TEST_TERMS, Wanted(), clock.now())
    clock.advance(timedelta(minutes=1))


async def granted(pool: Pool, clock: Clock, wanted: Wanted) -> Wanted:
    return (await budget.lease(pool, OURS, TEST_TERMS, wanted, clock.now())).granted


async def test_it_begins_with_nothing_and_fills_by_the_time_told(pool: Pool, clock: Clock) -> None:
    """At 20 a second, up to its capacity of two and a half."""
    seen = []
    for wait in (0, 49, 1, 100, 60_000):
        clock.advance(timedelta(milliseconds=wait))
        seen.append((await budget.lease(pool, OURS, TEST_TERMS, Wanted(), clock.now())).left)
    assert seen == [0.0, 0.98, 1.0, 2.5, 2.5]


async def test_only_whole_tokens_are_given_and_the_rest_is_kept(pool: Pool, clock: Clock) -> None:
    """Two and a half are two now, and a third after half as long as one takes."""
    await filled(pool, clock)
    first = await granted(pool, clock, Wanted(charges=5))
    clock.advance(timedelta(milliseconds=25))
    assert [first.charges, (await granted(pool, clock, Wanted(charges=5))).charges] == [2, 1]


async def test_charges_come_first_and_questions_leave_them_some(pool: Pool, clock: Clock) -> None:
    """Each kind finds less than the one before: of two and a half a look-up leaves one, catching up one and a half."""
    for wanted, expected in [
        (Wanted(charges=1, look_ups=5, reconciliations=5, catch_ups=5), Wanted(charges=1)),
        (Wanted(to_come=5, look_ups=5), Wanted(to_come=1)),
        (Wanted(look_ups=5, reconciliations=5, catch_ups=5), Wanted(look_ups=1)),
        (Wanted(reconciliations=5, catch_ups=5), Wanted(reconciliations=1)),
        (Wanted(catch_ups=5), Wanted(catch_ups=1)),
    ]:
        await filled(pool, clock)
        assert await granted(pool, clock, wanted) == expected
        charged = await granted(pool, clock, Wanted(charges=1))
        assert charged.charges == 1, "whatever was asked, a charge finds its token"


async def test_what_charges_leave_goes_to_questions_by_their_priority(pool: Pool, clock: Clock) -> None:
    """All want everything for ten seconds: each has about its share; beside five charges a second the last has none."""
    shares = []
    for charging in (False, True):
        await filled(pool, clock)
        taken = Wanted()
        for number in range(1000):
            charges = 1 if charging and number % 20 == 0 else 0
            taken = plus(taken, await granted(pool, clock, Wanted(charges, 0, 1000, 1000, 1000)))
            clock.advance(STEP)
        shares.append(taken)

    quiet, busy = shares
    assert (quiet.look_ups, 50 <= quiet.reconciliations <= 61, 15 <= quiet.catch_ups <= 21) == (121, True, True)
    assert (busy.charges, busy.catch_ups) == (50, 0)
    assert busy.look_ups > 2 * busy.reconciliations > 0


@pytest.mark.parametrize(("account", "limit"), [(OURS, 25), (LIVE, 100), (LIVE, 1000)])
async def test_two_processes_never_have_more_than_the_limit_in_any_second(
    pool: Pool, clock: Clock, account: Account, limit: int
) -> None:
    """However they ask, at whatever moments; each token counted at any moment of its life, even the worst."""
    terms, given = terms_of(limit), list[tuple[datetime, int]]()
    async with pool.acquire() as one, pool.acquire() as other:
        for number in range(400):
            process = other if number % 3 else one
            wanted = (ALL, Wanted(charges=3, look_ups=2), Wanted(to_come=9))[number % 7 % 3]
            lease = await budget.lease(process, account, terms, wanted, clock.now())
            given.append((clock.now(), sum(astuple(lease.granted))))
            clock.advance(timedelta(milliseconds=(1, 13, 40, 7, 120, 2)[number % 6]))

    window = timedelta(seconds=1 + LEASE_SECONDS)
    most = max(sum(count for at, count in given if begin <= at < begin + window) for begin, _ in given)
    ran = (clock.now() - given[0][0]).total_seconds()
    assert most <= limit
    assert sum(count for _, count in given) >= 0.6 * limit * ran, "and they had what they may have"


async def test_leases_at_the_same_moment_share_what_there_is(migrated_url: str, pool: Pool, clock: Clock) -> None:
    """Eight connections ask at once, all for everything: together they get no more than one would."""
    await filled(pool, clock)
    connections = [await asyncpg.connect(migrated_url) for _ in range(8)]
    for _ in range(20):
        clock.advance(timedelta(milliseconds=100))
        asked = [budget.lease(one, OURS, TEST_TERMS, Wanted(charges=9), clock.now()) for one in connections]
        given = [lease.granted.charges for lease in await asyncio.gather(*asked)]
        assert sum(given) == 2
    for one in connections:
        await one.close()


async def test_time_that_goes_back_gives_nothing_and_takes_nothing(pool: Pool, clock: Clock) -> None:
    """A clock that is behind the last one sees what is left; the tokens of one stretch of time are given once."""
    await filled(pool, clock)
    await granted(pool, clock, Wanted(charges=2))
    clock.advance(-timedelta(seconds=10))
    behind = await granted(pool, clock, ALL)
    clock.advance(timedelta(seconds=10))
    assert [behind, await granted(pool, clock, ALL)] == [Wanted(), Wanted()]


async def test_what_is_emptied_fills_again_only_after_the_pause(pool: Pool, clock: Clock) -> None:
    """After a 429: nothing for a second, whoever asks, and then at the usual pace."""
    await filled(pool, clock)
    await budget.empty(pool, OURS, timedelta(seconds=1), clock.now())
    seen = [await granted(pool, clock, ALL)]
    clock.advance(timedelta(seconds=1))
    seen.append(await granted(pool, clock, ALL))
    clock.advance(timedelta(milliseconds=50))
    seen.append(await granted(pool, clock, ALL))
    assert seen == [Wanted(), Wanted(), Wanted(charges=1)]


async def test_live_and_test_calls_are_counted_apart(pool: Pool, clock: Clock) -> None:
    """As Stripe counts them: what the one has spent, the other has still."""
    await filled(pool, clock)
    await filled(pool, clock, LIVE)
    await granted(pool, clock, ALL)
    assert (await budget.lease(pool, LIVE, LIVE_TERMS, ALL, clock.now())).granted.charges == 10


async def test_without_a_time_the_servers_own_clock_is_taken(pool: Pool) -> None:
    """So that processes whose clocks differ still share one: the server's, which a test cannot tell and need not."""
    await budget.lease(pool, OURS, TEST_TERMS, Wanted())
    before = await pool.fetchval("SELECT clock_timestamp()")
    await budget.lease(pool, OURS, TEST_TERMS, Wanted())
    refilled = await pool.fetchval("SELECT refilled_at FROM rate_budgets")
    assert before <= refilled <= await pool.fetchval("SELECT clock_timestamp()")


def plus(one: Wanted, other: Wanted) -> Wanted:
    def sums(left: Sequence[int], right: Sequence[int]) -> list[int]:
        return [a + b for a, b in zip(left, right, strict=True)]

    return Wanted(*sums(astuple(one), astuple(other)))
