"""Payments in the store: the constraints that carry the promises."""

import asyncpg
import pytest

from counterfoil.store import payments
from counterfoil.store.pool import Pool

PAYMENT = """
INSERT INTO payments (id, event_id, order_id, amount, currency, capture_method, payment_method, off_session, items,
                      metadata, fingerprint, livemode, created_at, state, version, amount_captured, amount_refunded,
                      amount_refund_reserved, next_check_at, updated_at, owns_order)
VALUES (gen_random_uuid(), $1, $2, 1999, 'EUR', 'automatic', 'pm_card_visa', false, '[]', '{}', '', false, now(), $3, 1,
        $4, $5, $6, CASE WHEN $7 THEN now() END, now(), $3 NOT IN ('failed', 'canceled'))
"""


async def put(  # noqa: PLR0913, PLR0917 - one argument for each column the tests vary
    pool: Pool,
    event_id: str = "event-1",
    order_id: str = "order-1",
    state: str = "processing",
    captured: int = 0,
    refunded: int = 0,
    reserved: int = 0,
    *,
    due: bool = True,
) -> None:
    await pool.execute(PAYMENT, event_id, order_id, state, captured, refunded, reserved, due)


async def test_one_event_has_one_payment_for_ever(pool: Pool) -> None:
    """Even after it failed, the same event is the same payment."""
    await put(pool, state="failed", due=False)
    with pytest.raises(asyncpg.UniqueViolationError):
        await put(pool, order_id="order-2")


@pytest.mark.parametrize("state", ["requested", "processing", "in_doubt", "authorized", "succeeded"])
async def test_an_order_owns_one_live_payment(pool: Pool, state: str) -> None:
    """Whatever is live keeps a second payment out, in the database itself."""
    await put(pool, state=state)
    with pytest.raises(asyncpg.UniqueViolationError):
        await put(pool, event_id="event-2")


@pytest.mark.parametrize("state", ["failed", "canceled"])
async def test_an_ended_payment_frees_its_order(pool: Pool, state: str) -> None:
    """After a failure or a cancellation the order may be paid anew."""
    await put(pool, state=state, due=False)
    await put(pool, event_id="event-2")
    assert await pool.fetchval("SELECT count(*) FROM payments WHERE order_id = 'order-1'") == 2


@pytest.mark.parametrize(("refunded", "reserved"), [(1001, 0), (0, 1001), (501, 500), (-1, 0), (0, -1)])
async def test_refunds_never_exceed_what_was_captured(pool: Pool, refunded: int, reserved: int) -> None:
    """The database itself refuses, whoever asks."""
    with pytest.raises(asyncpg.CheckViolationError):
        await put(pool, state="succeeded", captured=1000, refunded=refunded, reserved=reserved)


async def test_pitfall_12_nothing_open_is_without_a_next_look(pool: Pool) -> None:
    """A payment that waits for ever cannot be written down."""
    with pytest.raises(asyncpg.CheckViolationError):
        await put(pool, state="processing", due=False)


async def test_what_has_ended_is_not_open_again_for_a_hint(pool: Pool) -> None:
    """It is due to be asked about once more, and makes nobody believe that something waits since it was placed."""
    await put(pool, state="failed", due=True)
    await put(pool, "event-2", "order-2", due=True)
    async with pool.acquire() as connection:
        (found,) = await payments.open_payments(connection)
    assert await pool.fetchval("SELECT created_at FROM payments WHERE event_id = 'event-2'") == found.oldest


@pytest.mark.parametrize("given", ["x", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "0" * 300])
async def test_no_payment_has_a_trace_that_is_none(pool: Pool, given: str) -> None:
    """Whoever writes it: it goes into the headers of messages as it is."""
    await put(pool)
    with pytest.raises(asyncpg.CheckViolationError, match="payments_traceparent_is_one"):
        await pool.execute("UPDATE payments SET traceparent = $1", given)
