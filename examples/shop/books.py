"""Orders as they are read, and the shop's books: what it holds to be true, to be compared with Counterfoil's."""

import json
from typing import Any, Final

from examples.shop.database import Pool, Row
from examples.shop.placing import Unknown

PAGE: Final = 100
"""Orders of one page."""


async def one_order(pool: Pool, order_id: str) -> dict[str, Any]:
    """Return an order.

    Raises:
        Unknown: there is no such order.
    """
    row = await pool.fetchrow(f"{_ORDERS} WHERE order_id = $1", order_id)
    if row is None:
        raise Unknown("there is no such order")
    return _told(row)


async def page_of_orders(pool: Pool, status: str | None, after: str | None) -> list[dict[str, Any]]:
    """Return orders in the order of their ids, of one status or of all, behind that id or from the first on."""
    rows = await pool.fetch(
        f"{_ORDERS} WHERE ($1::text IS NULL OR status = $1) AND order_id > $2 ORDER BY order_id LIMIT $3",
        status,
        after or "",
        PAGE,
    )
    return [_told(row) for row in rows]


async def books(pool: Pool) -> dict[str, Any]:
    """Return what the shop holds to be true, all of it as of one moment.

    ``to_put_back`` is what was taken out of the stock for orders that were cancelled: it lies with whoever has the
    goods, and no message brings it back.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        orders = await connection.fetch(_BOOK_OF_ORDERS)
        stock = await connection.fetch(_BOOK_OF_STOCK)
        unreadable = await connection.fetchval("SELECT count(*) FROM unreadable")
        unpublished = await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    by_status = dict.fromkeys(("placed", "paid", "cancelled", "refused"), 0)
    for order in orders:
        by_status[order["status"]] += 1
    return {
        "orders": by_status,
        "paid_cents": sum(order["paid_cents"] for order in orders),
        "refunded_cents": sum(order["refunded_cents"] for order in orders),
        "by_order": {order["order_id"]: dict(list(order.items())[1:]) for order in orders},
        "stock": {one["sku"]: dict(list(one.items())[1:]) for one in stock},
        "unreadable": unreadable,
        "unpublished": unpublished,
    }


def _told(row: Row) -> dict[str, Any]:
    return {**dict(row), "items": json.loads(row["items"])}


_ORDERS: Final = """
SELECT order_id, status, stock, customer_id, payment_method, off_session, amount_cents, currency, paid_cents,
    refunded_cents, payment_id, reason, placed_at, (
        SELECT jsonb_agg(jsonb_build_object('sku', sku, 'quantity', quantity, 'price_cents', price_cents) ORDER BY sku)
        FROM order_lines WHERE order_lines.order_id = orders.order_id
    ) AS items
FROM orders
"""

_BOOK_OF_ORDERS: Final = """
SELECT order_id, status, stock, amount_cents, paid_cents, refunded_cents, payment_id FROM orders ORDER BY order_id
"""

_BOOK_OF_STOCK: Final = """
SELECT sku, at_start, on_hand, reserved, coalesce((
    SELECT sum(quantity) FROM order_lines JOIN orders USING (order_id)
    WHERE order_lines.sku = products.sku AND stock = 'taken' AND status IN ('cancelled', 'refused')
), 0)::integer AS to_put_back
FROM products ORDER BY sku
"""
