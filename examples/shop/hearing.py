"""Facts have their effect: many at a time, in one transaction with the ids that they are known by."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from uuid import UUID

import asyncpg

from examples.shop import messages, orders
from examples.shop.database import Connection, Pool
from examples.shop.messages import Heard, Record, Unreadable
from examples.shop.orders import Order, Refund, Status, Stock

SPOILT: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""What PostgreSQL answers where a value is at fault: to try the same again would fail again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PutAside:
    """A message for a person to look at."""

    record: Record
    why: str


async def hear(pool: Pool, records: Sequence[Record]) -> None:
    """Let messages have their effect, each once, however often it comes; put aside what cannot be read.

    Once this returns, all of it is committed, and the messages may be passed over. A failure leaves nothing behind, and
    the same messages can be heard again.
    """
    heard, aside = _sorted_out(records)
    try:
        await _write(pool, heard, aside)
    except SPOILT as error:
        if len(records) == 1:  # only now is it known which one is at fault
            await _write(pool, [], [PutAside(records[0], f"the database refuses it: {type(error).__name__}")])
        else:
            for record in records:
                await hear(pool, [record])


def _sorted_out(records: Iterable[Record]) -> tuple[list[Heard], list[PutAside]]:
    heard: dict[str, Heard] = {}
    aside: list[PutAside] = []
    for record in records:
        try:
            found = messages.read(record)
        except Unreadable as why:
            aside.append(PutAside(record, str(why)))
        else:
            if found is not None:
                heard.setdefault(found.message_id, found)
    return list(heard.values()), aside


async def _write(pool: Pool, heard: Sequence[Heard], aside: Sequence[PutAside]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        new_ids = {row[0] for row in await connection.fetch(_NEW, sorted(one.message_id for one in heard))}
        new = [one for one in heard if one.message_id in new_ids]
        before = await _locked(connection, {one.order_id for one in new})
        after = dict(before)
        for one in new:
            if one.order_id in after:  # else it is the order of another service that Counterfoil works for
                after[one.order_id] = orders.hear(after[one.order_id], one.fact)
        changed = [order_id for order_id in before if after[order_id] != before[order_id]]
        if changed:
            await _update(connection, [(before[order_id], after[order_id]) for order_id in changed])
        await _put_aside(connection, aside)
    for put in aside:
        record = put.record
        _log.error("unreadable: %s:%s:%s: %s", record.topic, record.partition, record.offset, put.why)


async def _locked(connection: Connection, order_ids: Iterable[str]) -> dict[str, Order]:
    """Return these orders as they are, locked in the order of their ids; nothing of those that are not ours."""
    rows = await connection.fetch(_LOCK_ORDERS, list(order_ids))
    found = [row["order_id"] for row in rows]
    lines: dict[str, dict[str, int]] = {order_id: {} for order_id in found}
    for line in await connection.fetch(_LINES, found):
        lines[line["order_id"]][line["sku"]] = line["quantity"]
    refunds: dict[str, dict[UUID, Refund]] = {order_id: {} for order_id in found}
    for one in await connection.fetch(_REFUNDS, found):
        refunds[one["order_id"]][one["refund_id"]] = Refund(one["sequence"], one["amount_cents"], one["processed"])
    return {
        row["order_id"]: Order(
            order_id=row["order_id"],
            lines=MappingProxyType(lines[row["order_id"]]),
            status=Status(row["status"]),
            stock=Stock(row["stock"]),
            paid_cents=row["paid_cents"],
            payment_id=row["payment_id"],
            reason=row["reason"],
            refunds=MappingProxyType(refunds[row["order_id"]]),
        )
        for row in rows
    }


async def _update(connection: Connection, changes: Sequence[tuple[Order, Order]]) -> None:
    """Write what has become of orders, what that does to the stock, and what is said of it."""
    await connection.execute(
        _UPDATE_ORDERS,
        [after.order_id for _, after in changes],
        [after.status.value for _, after in changes],
        [after.stock.value for _, after in changes],
        [after.paid_cents for _, after in changes],
        [after.refunded_cents for _, after in changes],
        [after.payment_id for _, after in changes],
        [after.reason for _, after in changes],
    )
    refunds = [
        (refund_id, after.order_id, refund.sequence, refund.amount_cents, refund.processed)
        for before, after in changes
        for refund_id, refund in after.refunds.items()
        if before.refunds.get(refund_id) != refund
    ]
    await connection.executemany(_KEEP_REFUND, refunds)
    await _move_stock(connection, changes)
    await _say(connection, changes)


async def _move_stock(connection: Connection, changes: Sequence[tuple[Order, Order]]) -> None:
    on_hand, reserved = Counter[str](), Counter[str]()
    for before, after in changes:
        for sku, move in orders.moved_stock(before, after).items():
            on_hand[sku] += move.on_hand
            reserved[sku] += move.reserved
    if skus := sorted(on_hand.keys() | reserved.keys()):
        await connection.fetch(_LOCK_PRODUCTS, skus)
        await connection.execute(_MOVE, skus, [on_hand[sku] for sku in skus], [reserved[sku] for sku in skus])


async def _say(connection: Connection, changes: Sequence[tuple[Order, Order]]) -> None:
    reasons = {after.order_id: orders.cancel_reason(before, after) for before, after in changes}
    said = {order_id: reason for order_id, reason in reasons.items() if reason is not None}
    if not said:
        return
    now = await connection.fetchval("SELECT clock_timestamp()")
    payloads = [
        json.dumps(messages.order_cancelled(order_id=order_id, reason=reason, cancelled_at=now))
        for order_id, reason in said.items()
    ]
    await connection.execute(_SAY_CANCELLED, list(said), payloads)


async def _put_aside(connection: Connection, aside: Sequence[PutAside]) -> None:
    rows = [
        (one.record.topic, one.record.partition, one.record.offset, one.record.key, one.record.value, one.why)
        for one in aside
    ]
    await connection.executemany(_PUT_ASIDE, rows)


_NEW: Final = """
INSERT INTO heard (message_id) SELECT unnest($1::text[]) ON CONFLICT (message_id) DO NOTHING RETURNING message_id
"""

_LOCK_ORDERS: Final = """
SELECT order_id, status, stock, paid_cents, payment_id, reason
FROM orders WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE
"""

_LINES: Final = "SELECT order_id, sku, quantity FROM order_lines WHERE order_id = ANY ($1)"

_REFUNDS: Final = """
SELECT refund_id, order_id, sequence, amount_cents, processed FROM refunds WHERE order_id = ANY ($1)
"""

_UPDATE_ORDERS: Final = """
UPDATE orders
SET status = new.status, stock = new.stock, paid_cents = new.paid_cents, refunded_cents = new.refunded_cents,
    payment_id = new.payment_id, reason = new.reason
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::uuid[], $7::text[])
    AS new (order_id, status, stock, paid_cents, refunded_cents, payment_id, reason)
WHERE orders.order_id = new.order_id
"""

_KEEP_REFUND: Final = """
INSERT INTO refunds (refund_id, order_id, sequence, amount_cents, processed) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (refund_id) DO UPDATE
SET sequence = excluded.sequence, amount_cents = excluded.amount_cents, processed = excluded.processed
"""

_LOCK_PRODUCTS: Final = "SELECT 1 FROM products WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE"

_MOVE: Final = """
UPDATE products SET on_hand = products.on_hand + move.on_hand, reserved = products.reserved + move.reserved
FROM unnest($1::text[], $2::integer[], $3::integer[]) AS move (sku, on_hand, reserved)
WHERE products.sku = move.sku
"""

_SAY_CANCELLED: Final = """
INSERT INTO outbox (event_id, aggregate, aggregate_id, event_type, payload)
SELECT ordered_uuid(), 'order', said.order_id, 'OrderCancelled', said.payload::jsonb
FROM unnest($1::text[], $2::text[]) AS said (order_id, payload)
"""

_PUT_ASIDE: Final = """
INSERT INTO unreadable (topic, partition, "offset", key, value, why) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (topic, partition, "offset") DO NOTHING
"""
