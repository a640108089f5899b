"""Rows of task tokens: each once, claimed under a fence, woken, settled, forgotten; and whose payment is whose."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.driving import task
from tests.orders import order
from tests.told import Clock

from counterfoil.domain.acting import accept
from counterfoil.domain.driving import TaskStep, TokenOutcome, TokenStanding
from counterfoil.domain.hearing import hear
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Source, Verdict
from counterfoil.runtime.ids import Ids
from counterfoil.store import payments, queries, task_tokens
from counterfoil.store.payment_rows import Arrival, Claim
from counterfoil.store.pool import Contended, Pool
from counterfoil.store.task_tokens import Arriving, TakenToken

LATER = timedelta(seconds=30)


async def a_payment(pool: Pool, ids: Ids, clock: Clock, number: int = 1, **about: Any) -> Payment:
    """A payment whose attempt is sent, and heard of nothing yet."""
    wished = order(number)
    asked = Payment(ids.new(), wished.order_id, wished.event_id, wished.money, clock.now())
    advance = accept(asked, claimed=True, now=clock.now())
    claim = Claim("test", clock.now() + LATER)
    arrival = Arrival(wished, advance, Request(f"key-{number}", b"{}"), False, claim, **about)  # noqa: FBT003 - not live
    async with pool.acquire() as connection:
        assert await payments.insert(connection, [arrival], ids) == {asked.id}
    return advance.payment


async def take_in(pool: Pool, ids: Ids, clock: Clock, payment_id: UUID, token: str, **about: Any) -> None:
    step = about.pop("step", TaskStep.PAYMENT)
    arriving = Arriving(task(step, token), payment_id, about.pop("attempt", 1), about.pop("at", clock.now()))
    async with pool.acquire() as connection, connection.transaction():
        await task_tokens.take_in(connection, [arriving], ids, clock.now())


async def claim(pool: Pool, clock: Clock, owner: str = "worker") -> list[TakenToken]:
    async with pool.acquire() as connection, connection.transaction():
        return await task_tokens.claim(connection, owner, clock.now(), clock.now() + LATER, 10)


async def settle(pool: Pool, clock: Clock, token: TakenToken, standing: TokenStanding) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        return token.id in await task_tokens.settle(connection, [(token, standing)], clock.now())


def captured(payment: Payment, clock: Clock) -> Advance:
    cause = Cause(Source.ANSWER, "req_1")
    verdict = Verdict(AttemptHappening.CAPTURED, cause, "pi_1", "ch_1", amount_captured=1999)
    return hear(payment, 1, verdict, clock.now())


ANSWERED = TokenStanding(TokenOutcome.SUCCEEDED, None, None, 0)
DEAD = TokenStanding(TokenOutcome.DEAD, "gone", None, 0)


async def test_a_token_is_on_record_once(pool: Pool, ids: Ids, clock: Clock) -> None:
    """By its hash, so that one whose text is forgotten is known all the same."""
    payment = await a_payment(pool, ids, clock)
    await take_in(pool, ids, clock, payment.id, "token-1")
    (taken,) = await claim(pool, clock)
    await settle(pool, clock, taken, ANSWERED)
    await take_in(pool, ids, clock, payment.id, "token-1")
    rows = await pool.fetch("SELECT token, outcome FROM task_tokens")
    assert [tuple(row.values()) for row in rows] == [(None, "succeeded")]
    assert await claim(pool, clock) == []


async def test_a_claim_is_one_workers_until_it_is_over(pool: Pool, ids: Ids, clock: Clock) -> None:
    """And what was recorded under the older fence changes nothing."""
    payment = await a_payment(pool, ids, clock)
    await take_in(pool, ids, clock, payment.id, "token-1")
    (first,) = await claim(pool, clock)
    assert await claim(pool, clock) == []
    clock.advance(LATER)
    (second,) = await claim(pool, clock)
    assert not await settle(pool, clock, first, DEAD)
    assert await settle(pool, clock, second, ANSWERED)
    assert not await settle(pool, clock, second, DEAD)


async def test_a_token_wakes_in_the_transaction_that_ends_its_payment(pool: Pool, ids: Ids, clock: Clock) -> None:
    """The end of a payment wakes all: also what waits for an effect, for there may be none to wait for."""
    payment = await a_payment(pool, ids, clock)
    await take_in(pool, ids, clock, payment.id, "token-1", at=None)
    await take_in(pool, ids, clock, payment.id, "token-2", at=None, step=TaskStep.RECEIPT, attempt=None)
    assert await claim(pool, clock) == []
    async with pool.acquire() as connection, connection.transaction():
        await payments.lock(connection, [payment.id])
        await payments.write(connection, [captured(payment, clock)], ids, clock.now())
    rows = await pool.fetch("SELECT xmin::text FROM payments UNION SELECT xmin::text FROM task_tokens WHERE woken")
    assert len(rows) == 1
    assert sorted(token.step for token in await claim(pool, clock)) == [TaskStep.PAYMENT, TaskStep.RECEIPT]


async def test_what_is_woken_while_it_is_claimed_is_not_put_off(pool: Pool, ids: Ids, clock: Clock) -> None:
    """The next time that its claimant had in mind was before it knew."""
    payment = await a_payment(pool, ids, clock)
    await take_in(pool, ids, clock, payment.id, "token-1")
    (taken,) = await claim(pool, clock)
    async with pool.acquire() as connection, connection.transaction():
        await payments.lock(connection, [payment.id])
        await payments.write(connection, [captured(payment, clock)], ids, clock.now())
    await settle(pool, clock, taken, TokenStanding(None, None, clock.now() + timedelta(hours=1), 0))
    assert len(await claim(pool, clock)) == 1


async def test_a_payment_is_given_back_once_no_token_of_it_lives(pool: Pool, ids: Ids, clock: Clock) -> None:
    """And is its machine's again when a new one comes."""
    payment = await a_payment(pool, ids, clock)
    for token in ("token-1", "token-2"):
        await take_in(pool, ids, clock, payment.id, token)
    first, second = await claim(pool, clock)

    async def given_back() -> set[UUID]:
        async with pool.acquire() as connection, connection.transaction():
            return await task_tokens.give_back(connection, [payment.id], clock.now())

    await settle(pool, clock, first, DEAD)
    assert await given_back() == set()
    await settle(pool, clock, second, DEAD)
    assert await given_back() == {payment.id}
    assert await given_back() == set()
    await take_in(pool, ids, clock, payment.id, "token-3")
    driving = await task_tokens.driving(pool, payment.id)
    assert driving is not None
    assert driving.given_back_at is None


async def test_a_message_of_old_does_not_take_a_payment_back(pool: Pool, ids: Ids, clock: Clock) -> None:
    """The token in it was settled: nobody waits."""
    payment = await a_payment(pool, ids, clock)
    await take_in(pool, ids, clock, payment.id, "token-1")
    (taken,) = await claim(pool, clock)
    await settle(pool, clock, taken, DEAD)
    async with pool.acquire() as connection, connection.transaction():
        await task_tokens.give_back(connection, [payment.id], clock.now())
    await take_in(pool, ids, clock, payment.id, "token-1")
    driving = await task_tokens.driving(pool, payment.id)
    assert driving is not None
    assert driving.given_back_at == clock.now()


async def test_a_payment_and_its_machines_token_come_together(pool: Pool, ids: Ids, clock: Clock) -> None:
    """With its heartbeat ahead; a payment that is not new brings none."""
    asked = task(TaskStep.PAYMENT, "token-1", heartbeat_seconds=30)
    payment = await a_payment(pool, ids, clock, task=asked)
    rows = await pool.fetch("SELECT payment_id, attempt, next_try_at FROM task_tokens")
    assert [tuple(row.values()) for row in rows] == [(payment.id, 1, clock.now() + timedelta(seconds=10))]
    waiting = await task_tokens.waiting(pool)
    assert (waiting.alive, waiting.parked, waiting.oldest) == (1, 0, clock.now())


async def test_a_token_that_was_decided_on_meanwhile_makes_no_payment(pool: Pool, ids: Ids, clock: Clock) -> None:
    """Another worker had the same message and refused it: it is told so, and charged by nobody."""
    asked = task(TaskStep.PAYMENT, "token-1")
    refused = Arriving(asked, None, None, clock.now(), {"problem": "order-has-payment"})
    async with pool.acquire() as connection:
        await task_tokens.take_in(connection, [refused], ids, clock.now())
    with pytest.raises(Contended):
        await a_payment(pool, ids, clock, task=asked)
    assert await pool.fetchval("SELECT count(*) FROM payments") == 0


@pytest.mark.parametrize(
    "change",
    [
        "settled_at = now(), outcome = 'dead'",
        "settled_at = now(), token = NULL, next_try_at = NULL",
        "settled_at = now(), outcome = 'dead', token = NULL",
        "token = NULL",
        "payment_id = NULL",
        "outcome = 'lost'",
        "step = 'dance'",
    ],
)
async def test_the_database_refuses_a_token_that_makes_no_sense(
    pool: Pool, ids: Ids, clock: Clock, change: str
) -> None:
    """What is settled is over, has an outcome and no text; what is not has a text and a payment."""
    payment = await a_payment(pool, ids, clock)
    await take_in(pool, ids, clock, payment.id, "token-1")
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(f"UPDATE task_tokens SET {change}")  # noqa: S608 - one of the changes above


async def test_to_count_tokens_is_to_look_at_those_that_live_and_those_that_are_parked(
    pool: Pool, ids: Ids, clock: Clock
) -> None:
    """It is done every second, and the settled ones are kept for ever."""
    payment = await a_payment(pool, ids, clock)
    for number in range(3):
        await take_in(pool, ids, clock, payment.id, f"token-{number}")
    first, second, _ = await claim(pool, clock)
    assert await settle(pool, clock, first, ANSWERED)
    assert await settle(pool, clock, second, TokenStanding(TokenOutcome.PARKED, "no", None, 8))
    found = await task_tokens.waiting(pool)
    assert (found.alive, found.parked, found.oldest) == (1, 1, clock.now())
    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch(f"EXPLAIN {queries.load('task_tokens').waiting}")
    lines = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in lines, lines


async def test_what_people_see_of_a_token_is_not_its_text(pool: Pool, ids: Ids, clock: Clock) -> None:
    """Nor is it in what a worker holds, when that is printed."""
    payment = await a_payment(pool, ids, clock)
    await take_in(pool, ids, clock, payment.id, "token-to-be-hidden")
    (taken,) = await claim(pool, clock)
    (seen,) = await task_tokens.of_payment(pool, payment.id)
    assert "token-to-be-hidden" not in f"{taken!r} {seen!r} {await task_tokens.waiting(pool)!r}"
