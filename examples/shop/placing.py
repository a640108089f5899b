"""Orders are placed, and cancelled by their customers: each with what is said of it, in one transaction.

The rows of a transaction are locked in one order everywhere: orders by their ids, then products by their skus.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from examples.shop import orders
from examples.shop.database import Connection, Pool, Row
from examples.shop.messages import LARGEST_AMOUNT, order_cancelled, order_placed
from examples.shop.orders import Order, Status, Stock

CURRENCY: Final = "EUR"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer wants to order. ``lines`` is how many of which sku; without ``order_id`` the order gets one."""

    order_id: str | None
    customer_id: str
    email: str
    lines: Counter[str]
    payment_method: str
    off_session: bool


class Refusal(Exception):
    """The order cannot be placed so. ``sku`` is what it is about, where it is about one."""

    def __init__(self, sentence: str, sku: str | None = None) -> None:
        super().__init__(sentence)
        self.sku = sku


class Unknown(Refusal):
    """There is no such thing: no such order, nothing of that sku in the catalogue."""


class OutOfStock(Refusal):
    """There is not enough of ``sku`` for sale."""


class AnotherOrder(Refusal):
    """Another order has that id."""


class TooMuch(Refusal):
    """The order's amount is larger than any payment may be."""


async def place(pool: Pool, wish: Wish) -> tuple[str, bool]:
    """Place an order once, however often it is asked for; return its id, and whether it is new.

    One transaction reserves the stock, writes the order, and writes OrderPlaced to the outbox: there is all of it, or
    nothing. Nothing is sent from here, so nothing can be sent of what is rolled back.

    Raises:
        AnotherOrder, OutOfStock, TooMuch, Unknown: nothing was written.
    """
    async with pool.acquire() as connection, connection.transaction():
        order_id, event_id = await _names(connection, wish.order_id)
        existing = await connection.fetchrow(_EXISTING, order_id)
        if existing is not None:
            if not _is_same(existing, wish):
                raise AnotherOrder("another order has this id")
            return order_id, False
        prices = await _reserve(connection, wish.lines)
        amount = sum(prices[sku] * quantity for sku, quantity in wish.lines.items())
        if amount > LARGEST_AMOUNT:
            raise TooMuch(f"an order may cost {LARGEST_AMOUNT} cents at most")
        await connection.execute(
            _INSERT_ORDER,
            order_id,
            event_id,
            wish.customer_id,
            wish.email,
            wish.payment_method,
            wish.off_session,
            amount,
            CURRENCY,
        )
        await connection.execute(
            _INSERT_LINES, order_id, list(wish.lines), list(wish.lines.values()), [prices[sku] for sku in wish.lines]
        )
        said = order_placed(
            event_id=event_id,
            order_id=order_id,
            amount_cents=amount,
            currency=CURRENCY,
            customer_id=wish.customer_id,
            email=wish.email,
            lines=wish.lines,
            payment_method=wish.payment_method,
            off_session=wish.off_session,
        )
        await connection.execute(_SAY, event_id, order_id, "OrderPlaced", json.dumps(said))
        return order_id, True


async def cancel(pool: Pool, order_id: str) -> None:
    """Cancel an order as its customer wishes, and say so in the same transaction; once, however often it is asked.

    Raises:
        Unknown: there is no such order.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK_ORDER, order_id)
        if row is None:
            raise Unknown("there is no such order")
        before = Order(order_id, {}, Status(row["status"]), Stock(row["stock"]), reason=row["reason"])
        after = orders.cancel(before)
        reason = orders.cancel_reason(before, after)
        if reason is None:
            return
        await connection.execute(_CANCEL, order_id, after.status.value, after.reason)
        said = order_cancelled(order_id=order_id, reason=reason, cancelled_at=row["now"])
        await connection.execute(_SAY, row["new_event_id"], order_id, "OrderCancelled", json.dumps(said))


async def _names(connection: Connection, wished: str | None) -> tuple[str, UUID]:
    """Return the order's id and that of its event; whoever places an order of this id at the same time waits."""
    row = await connection.fetchrow("SELECT coalesce($1, ordered_uuid()::text) AS order_id, ordered_uuid()", wished)
    assert row is not None
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", row["order_id"])
    return row["order_id"], row["ordered_uuid"]


async def _reserve(connection: Connection, lines: Counter[str]) -> dict[str, int]:
    """Reserve the goods, and return what one of each costs in cents."""
    found = {row["sku"]: row for row in await connection.fetch(_LOCK_PRODUCTS, list(lines))}
    for sku, quantity in sorted(lines.items()):
        if sku not in found:
            raise Unknown("the catalogue has nothing of this sku", sku)
        if found[sku]["for_sale"] < quantity:
            raise OutOfStock("there is not enough of this sku", sku)
    await connection.execute(_RESERVE, list(lines), list(lines.values()))
    return {sku: row["price_cents"] for sku, row in found.items()}


def _is_same(existing: Row, wish: Wish) -> bool:
    lines: dict[str, Any] = json.loads(existing["lines"])
    return (
        existing["customer_id"] == wish.customer_id
        and existing["email"] == wish.email
        and existing["payment_method"] == wish.payment_method
        and existing["off_session"] == wish.off_session
        and lines == wish.lines
    )


_EXISTING: Final = """
SELECT customer_id, email, payment_method, off_session,
    (SELECT jsonb_object_agg(sku, quantity) FROM order_lines WHERE order_lines.order_id = orders.order_id) AS lines
FROM orders WHERE order_id = $1
"""

_LOCK_PRODUCTS: Final = """
SELECT sku, price_cents, on_hand - reserved AS for_sale FROM products WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE
"""

_RESERVE: Final = """
UPDATE products SET reserved = reserved + wanted.quantity
FROM unnest($1::text[], $2::integer[]) AS wanted (sku, quantity) WHERE products.sku = wanted.sku
"""

_INSERT_ORDER: Final = """
INSERT INTO orders (order_id, event_id, customer_id, email, payment_method, off_session, amount_cents, currency)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_INSERT_LINES: Final = """
INSERT INTO order_lines (order_id, sku, quantity, price_cents)
SELECT $1, * FROM unnest($2::text[], $3::integer[], $4::bigint[])
"""

_LOCK_ORDER: Final = """
SELECT status, stock, reason, clock_timestamp() AS now, ordered_uuid() AS new_event_id
FROM orders WHERE order_id = $1 FOR UPDATE
"""

_CANCEL: Final = "UPDATE orders SET status = $2, reason = $3 WHERE order_id = $1"

_SAY: Final = """
INSERT INTO outbox (event_id, aggregate, aggregate_id, event_type, payload) VALUES ($1, 'order', $2, $3, $4)
"""
