"""What orders usually ask for."""

from counterfoil.store import amounts
from counterfoil.store.pool import Pool

PAYMENTS = """
INSERT INTO payments (id, event_id, order_id, amount, currency, capture_method, payment_method, off_session, items,
                      metadata, fingerprint, livemode, created_at, state, version, next_check_at, updated_at)
SELECT gen_random_uuid(), $2 || amount, $2 || amount, amount, $2, 'automatic', 'pm_card_visa', false, '[]', '{}', '',
       false, now(), 'processing', 1, now(), now()
  FROM generate_series(1, $1::int) AS amount
"""


async def test_one_in_a_thousand_asks_for_more(pool: Pool) -> None:
    """Of two thousand payments two do; each currency has its own measure."""
    await pool.execute(PAYMENTS, 2000, "EUR")
    await pool.execute(PAYMENTS, amounts.FEWEST, "JPY")

    assert await amounts.usual(pool) == {"EUR": 1998, "JPY": 999}


async def test_of_too_few_nothing_is_said(pool: Pool) -> None:
    """The largest of a handful is not unusual."""
    await pool.execute(PAYMENTS, amounts.FEWEST - 1, "JPY")

    assert await amounts.usual(pool) == {}
