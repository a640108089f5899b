"""Which of an order's payments tells how the order stands."""

import pytest

from counterfoil.store import statuses
from counterfoil.store.pool import Pool

PAYMENT = """
INSERT INTO payments (id, event_id, order_id, amount, currency, capture_method, payment_method, off_session, items,
                      metadata, fingerprint, livemode, created_at, state, version, amount_captured, amount_refunded,
                      next_check_at, updated_at, owns_order)
VALUES (gen_random_uuid(), $1, 'order-1', 1999, 'EUR', 'automatic', 'pm_card_visa', false, '[]', '{}', '', false, now(),
        $2, 1, $3, $4, now(), now(), $5)
"""

FAILED, PENDING = ("failed", 0, 0, False), ("processing", 0, 0, True)
PAID, GIVEN_BACK = ("succeeded", 1999, 0, True), ("succeeded", 1999, 1999, True)
PAID_LATE, LATE_AND_GIVEN_BACK = ("succeeded", 1999, 0, False), ("succeeded", 1999, 1999, False)


@pytest.mark.parametrize(
    ("first", "second", "tells"),
    [
        (FAILED, PENDING, PENDING),
        (FAILED, PAID, PAID),
        (FAILED, GIVEN_BACK, GIVEN_BACK),
        (FAILED, FAILED, FAILED),
        (PAID_LATE, FAILED, PAID_LATE),
        (PAID_LATE, PENDING, PAID_LATE),
        (LATE_AND_GIVEN_BACK, PENDING, PENDING),
    ],
)
async def test_the_money_tells_else_the_live_payment_else_the_latest(
    pool: Pool,
    first: tuple[str, int, int, bool],
    second: tuple[str, int, int, bool],
    tells: tuple[str, int, int, bool],
) -> None:
    """An order whose money came late is paid, whatever was tried after its failure."""
    for number, row in enumerate((first, second)):
        await pool.execute(PAYMENT, f"event-{number}", *row)
    found = await statuses.of_order(pool, "order-1")
    assert found is not None
    assert tells[:3] == (found.state, found.amount_captured, found.amount_refunded)


async def test_an_order_without_a_payment_stands_nowhere(pool: Pool) -> None:
    """Nothing is made up."""
    assert await statuses.of_order(pool, "order-1") is None
