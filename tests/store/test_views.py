"""What reports read: each of our states in one of three words, and nothing of what lies behind."""

import re
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from tests.told import Clock

from counterfoil.domain.acting import accept
from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Advance, Payment, RefundState
from counterfoil.domain.request import Request
from counterfoil.domain.states import FINAL, PaymentState
from counterfoil.runtime.ids import Ids
from counterfoil.store import payments
from counterfoil.store.payment_rows import Arrival
from counterfoil.store.pool import Pool

PAGE = Path(__file__).parents[2] / "docs/reports.md"

REQUESTED, SUCCEEDED, FAILED = "REQUESTED", "SUCCEEDED", "FAILED"
STATUSES = {
    PaymentState.REQUESTED: REQUESTED,
    PaymentState.SCREENING: REQUESTED,
    PaymentState.PROCESSING: REQUESTED,
    PaymentState.IN_DOUBT: REQUESTED,
    PaymentState.REQUIRES_ACTION: REQUESTED,
    PaymentState.AUTHORIZED: REQUESTED,
    PaymentState.SUCCEEDED: SUCCEEDED,
    PaymentState.FAILED: FAILED,
    PaymentState.CANCELED: FAILED,
}
REFUND_STATUSES = {
    RefundState.REQUESTED: REQUESTED,
    RefundState.PENDING: REQUESTED,
    RefundState.PROCESSED: "PROCESSED",
    RefundState.FAILED: FAILED,
}


async def accepted(pool: Pool, ids: Ids, clock: Clock, number: int = 1) -> Payment:
    """A payment on record."""
    order = Order(f"event-{number}", f"order-{number}", Money(1999, "EUR"), "pm_card_visa", customer_id="ada")
    asked = Payment(ids.new(), order.order_id, order.event_id, order.money, clock.now(), customer_id="ada")
    advance = accept(asked, claimed=False, now=clock.now())
    arrival = Arrival(order, advance, Request(order.event_id, b"{}"), livemode=False, claim=None)
    async with pool.acquire() as connection:
        await payments.insert(connection, [arrival], ids)
    return advance.payment


@pytest.mark.parametrize("state", PaymentState)
async def test_every_state_of_a_payment_is_one_of_three_words(
    pool: Pool, ids: Ids, clock: Clock, state: PaymentState
) -> None:
    """REQUESTED while it is open, then SUCCEEDED or FAILED."""
    payment = await accepted(pool, ids, clock)
    moved = replace(payment, state=state, next_check_at=None if state in FINAL else clock.now())
    async with pool.acquire() as connection:
        await payments.write(connection, [Advance(moved)], ids, clock.now())
    row = await pool.fetchrow("SELECT id, order_id, amount, currency, status FROM payment_database.payments")
    assert row is not None
    assert (payment.id, "order-1", 1999, "EUR", STATUSES[state]) == tuple(row.values())


async def test_totals_are_exact_and_one_for_each_currency(pool: Pool, ids: Ids, clock: Clock) -> None:
    """A33: the page's own query, over more money than fits into 64 bits and to the last cent, which no float holds."""
    (query,) = re.findall(r"^```sql\n(SELECT.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    most = 2**63 - 1
    for number, (amount, currency) in enumerate([(most, "EUR"), (most, "EUR"), (1, "EUR"), (most, "JPY")]):
        payment = await accepted(pool, ids, clock, number)
        await pool.execute(
            "UPDATE payments SET amount = $2, currency = $3, state = 'succeeded', amount_captured = $2, "
            "next_check_at = NULL WHERE id = $1",
            payment.id,
            amount,
            currency,
        )

    totals = [tuple(row.values()) for row in await pool.fetch(query)]

    assert totals == [("EUR", 3, 2 * most + 1, 0), ("JPY", 1, most, 0)]


@pytest.mark.parametrize("state", RefundState)
async def test_every_state_of_a_refund_is_one_of_three_words(
    pool: Pool, ids: Ids, clock: Clock, state: RefundState
) -> None:
    """REQUESTED while it is open, then PROCESSED or FAILED."""
    payment = await accepted(pool, ids, clock)
    await pool.execute(
        "INSERT INTO refunds (id, payment_id, amount, currency, state, next_check_at, created_at, updated_at) "
        "VALUES ($1, $2, 500, 'EUR', $3, $4, $4, $4)",
        ids.new(),
        payment.id,
        state.value,
        clock.now(),
    )
    row = await pool.fetchrow("SELECT payment_id, amount, currency, status FROM payment_database.refunds")
    assert row is not None
    assert (payment.id, 500, "EUR", REFUND_STATUSES[state]) == tuple(row.values())


async def test_the_page_says_which_state_is_which_word() -> None:
    """What a person looks up is what the view says."""
    page, _, _ = PAGE.read_text("utf-8").partition("## payment_database.refunds")
    for word in set(STATUSES.values()):
        (told,) = re.findall(rf"^\| `{word}` \| (.*) \|$", page, re.MULTILINE)
        states = {state for state in PaymentState if f"`{state}`" in told}
        assert states == {state for state, status in STATUSES.items() if status == word}


@pytest.mark.parametrize("view", ["payments", "refunds"])
async def test_the_page_lists_the_views_columns(pool: Pool, view: str) -> None:
    """All of them, and no more."""
    columns = await pool.fetch(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = 'payment_database' AND table_name = $1",
        view,
    )
    table = re.search(rf"^\| Column of {view} \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE.read_text("utf-8"), re.MULTILINE)
    assert table is not None
    told = [name for line in table[1].splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(told) == sorted(record["column_name"] for record in columns)


async def test_who_reads_reports_sees_nothing_behind_them(pool: Pool) -> None:
    """The grants of the page let a role read both views, and none of our tables."""
    (grants,) = re.findall(r"^```sql\n(CREATE ROLE.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    async with pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.execute(grants)
        await connection.execute("SET LOCAL ROLE reports")
        for view in ("payments", "refunds"):
            assert await connection.fetch(f"SELECT * FROM payment_database.{view}") == []  # noqa: S608 - one of two words
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM public.payments")
        await undone.rollback()
