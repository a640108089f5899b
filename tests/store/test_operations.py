"""Captures and cancellations in the store: on record before they leave, claimed under a fence, and one key for each."""

from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio
from tests.orders import order
from tests.told import Clock

from counterfoil.domain.acting import accept
from counterfoil.domain.payment import Payment
from counterfoil.domain.request import Request
from counterfoil.runtime.ids import Ids
from counterfoil.store import operations, payments
from counterfoil.store.operations import Kind, Operation, Sent
from counterfoil.store.payment_rows import Arrival, Claim
from counterfoil.store.pool import Pool

FOR = timedelta(minutes=2)


def cancellation(payment: Payment, number: int = 1) -> Operation:
    request = Request(f"{payment.event_id}:cancel:{number}", b'{"call":"cancel"}')
    return Operation(payment.id, Kind.CANCEL, number, 1, request)


@pytest_asyncio.fixture
async def two(pool: Pool, clock: Clock, ids: Ids) -> list[Payment]:
    """Two payments, each with one attempt."""
    arrivals = []
    for number in (1, 2):
        wished = order(number)
        payment = Payment(ids.new(), wished.order_id, wished.event_id, wished.money, clock.now())
        advance = accept(payment, claimed=False, now=clock.now())
        arrivals.append(Arrival(wished, advance, Request(wished.event_id, b"{}"), livemode=False, claim=None))
    async with pool.acquire() as connection:
        await payments.insert(connection, arrivals, ids)
    return [arrival.advance.payment for arrival in arrivals]


async def claim(pool: Pool, clock: Clock, owner: str, *wanted: Operation) -> list[Claim]:
    async with pool.acquire() as connection:
        claims = await operations.claim(connection, wanted, owner, clock.now(), clock.now() + FOR)
    return [claims[one.payment_id] for one in wanted]


async def settle(pool: Pool, clock: Clock, *answered: tuple[Operation, Claim, bool]) -> int:
    async with pool.acquire() as connection:
        return len(await operations.settle(connection, answered, clock.now()))


async def latest(pool: Pool, payment: Payment, kind: Kind = Kind.CANCEL) -> Sent | None:
    async with pool.acquire() as connection:
        return (await operations.latest(connection, kind, [payment.id])).get(payment.id)


async def test_what_is_claimed_is_on_record(pool: Pool, clock: Clock, two: list[Payment]) -> None:
    """Key, bytes and the time of the first send stand there before anything leaves; other payments have none."""
    first, second = two
    await claim(pool, clock, "a", cancellation(first))
    expected = Sent(1, cancellation(first).request, clock.now(), amount=None, settled=False)
    assert (await latest(pool, first), await latest(pool, second)) == (expected, None)


async def test_each_claim_raises_the_fence_and_keeps_the_first_time(
    pool: Pool, clock: Clock, two: list[Payment]
) -> None:
    """Claimed again by another process: the key's age counts from its first send."""
    began = clock.now()
    (once,) = await claim(pool, clock, "a", cancellation(two[0]))
    clock.advance(FOR)
    (again,) = await claim(pool, clock, "b", cancellation(two[0]))
    row = await pool.fetchrow("SELECT claimed_by, first_sent_at, last_sent_at FROM operations")
    assert row is not None
    assert (once.fence, again.fence) == (1, 2)
    assert tuple(row.values()) == ("b", began, clock.now())


async def test_only_what_is_still_held_is_settled(pool: Pool, clock: Clock, two: list[Payment]) -> None:
    """The stale claim of one ends nothing; that of the other is over, with the time of its answer."""
    ours, lost = (cancellation(payment) for payment in two)
    held, stale = await claim(pool, clock, "a", ours, lost)
    await claim(pool, clock, "b", lost)
    assert await settle(pool, clock, (ours, held, True), (lost, stale, True)) == 1
    rows = await pool.fetch("SELECT claimed_by, settled_at FROM operations ORDER BY idempotency_key")
    assert [tuple(row.values()) for row in rows] == [(None, clock.now()), ("b", None)]


async def test_an_answer_that_said_nothing_settles_nothing(pool: Pool, clock: Clock, two: list[Payment]) -> None:
    """The claim is over, and the same request may go again."""
    wanted = cancellation(two[0])
    (held,) = await claim(pool, clock, "a", wanted)
    assert await settle(pool, clock, (wanted, held, False)) == 1
    unsettled = await latest(pool, two[0])
    (held,) = await claim(pool, clock, "a", wanted)
    await settle(pool, clock, (wanted, held, True))
    settled = await latest(pool, two[0])
    assert unsettled is not None
    assert settled is not None
    assert (unsettled.settled, settled.settled) == (False, True)


async def test_the_latest_is_the_one_of_the_highest_number(pool: Pool, clock: Clock, two: list[Payment]) -> None:
    """A new one was sent after the first one's key grew old."""
    for number in (1, 2):
        await claim(pool, clock, "a", cancellation(two[0], number))
    found = await latest(pool, two[0])
    assert found is not None
    assert (found.number, found.request.key) == (2, "event-1:cancel:2")


async def test_no_two_operations_share_a_key(pool: Pool, clock: Clock, two: list[Payment]) -> None:
    """The database itself refuses a key that another payment's operation has."""
    await claim(pool, clock, "a", cancellation(two[0]))
    thief = Operation(two[1].id, Kind.CANCEL, 1, 1, cancellation(two[0]).request)
    with pytest.raises(asyncpg.UniqueViolationError):
        await claim(pool, clock, "a", thief)


async def test_what_it_is_about_must_be_there(pool: Pool, clock: Clock, two: list[Payment]) -> None:
    """An attempt that does not exist can have nothing canceled."""
    nothing = Operation(two[0].id, Kind.CANCEL, 1, 7, cancellation(two[0]).request)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await claim(pool, clock, "a", nothing)


async def test_each_kind_is_counted_by_itself(pool: Pool, clock: Clock, two: list[Payment]) -> None:
    """A payment's first capture is no cancellation, has its amount, and is settled alone."""
    request = Request("event-1:capture:1", b'{"call":"capture"}')
    capture = Operation(two[0].id, Kind.CAPTURE, 1, 1, request, 500)
    (canceling,) = await claim(pool, clock, "a", cancellation(two[0]))
    (capturing,) = await claim(pool, clock, "b", capture)
    await settle(pool, clock, (capture, capturing, True))
    found = [await latest(pool, two[0], kind) for kind in (Kind.CAPTURE, Kind.CANCEL)]
    assert [(one.number, one.amount, one.settled) for one in found if one] == [(1, 500, True), (1, None, False)]
    assert canceling.fence == capturing.fence == 1
