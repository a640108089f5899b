"""How much memory a reconciliation takes: the worker's peak at few payments beside many, in the same run.

Starts a PostgreSQL of its own, and a list server in Stripe's place that makes its pages as they are asked for. The
payments are put on record by SQL, and each comparison is a process of its own, whose peak the system tells::

    .venv/bin/python benchmarks/reconciling.py [few] [many]

A part of the payments is not in the lists, so that what is asked for by name is measured, too.
"""

import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import uvloop
from aiohttp import web
from peaks import beside, told_by_child

from counterfoil.journey import compare
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.store import reconciliations
from counterfoil.store.migrate import migrate
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import open_pool
from counterfoil.store.reconciliations import Wanted

AT = datetime(2026, 3, 1, tzinfo=UTC)
KEPT_BACK = 1000
"""Of so many payments one is in no list."""

clock = SystemClock()
ids = TimeOrderedIds(clock)

PAYMENTS = """
WITH made AS (
    INSERT INTO payments (
        id, event_id, order_id, amount, currency, capture_method, payment_method, off_session, items, metadata,
        fingerprint, livemode, created_at, state, version, intent_id, amount_captured, updated_at, fee, fee_currency)
    SELECT id, 'event-' || n, 'order-' || n, 1999, 'EUR', 'automatic', 'pm_card_visa', false, '[]', '{}', '', false,
           $1::timestamptz + n * interval '1 ms', 'succeeded', 2, 'pi_' || n, 1999, $1, 88, 'EUR'
      FROM (SELECT n, lpad(to_hex(n), 32, '0')::uuid AS id FROM generate_series(1, $2::int) AS n) AS t
    RETURNING id, order_id
)
INSERT INTO attempts (
    payment_id, number, state, payment_method, idempotency_key, request, request_hash, created_at, fence, exposed,
    first_sent_at, last_sent_at, charge_id)
SELECT id, 1, 'captured', 'pm_card_visa', order_id, '{}', '', $1, 1, true, $1, $1, 'ch_' || substr(order_id, 7)
  FROM made
"""


def intent(number: int) -> dict[str, object]:
    """Return a PaymentIntent as Stripe lists it, as far as we read it, its charge with it."""
    metadata = {"payment_id": str(UUID(int=number)), "order_id": f"order-{number}", "event_id": f"event-{number}"}
    shared = {"metadata": metadata, "amount": 1999, "currency": "eur", "created": int(AT.timestamp())}
    charge = {
        **shared, "id": f"ch_{number}", "object": "charge", "payment_intent": f"pi_{number}", "status": "succeeded",
        "captured": True, "amount_captured": 1999, "amount_refunded": 0, "refunded": False, "disputed": False,
        "balance_transaction": {"id": f"txn_{number}", "object": "balance_transaction", "fee": 88, "currency": "eur"},
    }  # fmt: skip
    return {
        **shared, "id": f"pi_{number}", "object": "payment_intent", "status": "succeeded", "amount_received": 1999,
        "latest_charge": charge,
    }  # fmt: skip


def lists(size: int) -> web.Application:
    """Return a server in Stripe's place that has so many payments, the newest first."""

    async def page(request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in {"payment_intents", "charges"}:
            return web.json_response({"object": "list", "data": [], "has_more": False, "url": "/"})
        behind = request.query.get("starting_after")
        first = size if behind is None else int(behind.partition("_")[2]) - 1
        numbers = range(first, max(first - int(request.query["limit"]), 0), -1)
        data = [intent(number) for number in numbers if number % KEPT_BACK]
        shown = data if kind == "payment_intents" else [one["latest_charge"] for one in data]
        body = {"object": "list", "data": shown, "has_more": bool(numbers) and numbers[-1] > 1, "url": "/"}
        return web.Response(text=json.dumps(body), content_type="application/json")

    async def one(request: web.Request) -> web.Response:
        found = intent(int(request.match_info["name"].partition("_")[2]))
        is_charge = request.match_info["kind"] == "charges"
        return web.json_response(found["latest_charge"] if is_charge else found)

    app = web.Application()
    app.add_routes([web.get("/v1/{kind}", page), web.get("/v1/{kind}/{name}", one)])
    return app


async def reconcile(url: str, api_base: str) -> None:
    """Compare all of it, as a worker does; print seconds, payments, differences left and this process's peak in KiB."""
    processor = StripeProcessor("sk_test_benchmark", livemode=False, api_base=api_base)
    claimant, began = Claimant("benchmark", "none"), time.perf_counter()
    async with open_pool(url, name="benchmark", largest=2) as pool:
        name, now = ids.new(), clock.now()
        async with pool.acquire() as connection:
            wanted = Wanted("benchmark", AT - timedelta(days=1), AT + timedelta(days=1))
            await reconciliations.ask(connection, wanted, name, now)
        view = None
        while view is None or view.finished_at is None:
            turn = await compare.claim(pool, claimant, clock.now())
            if turn is not None:
                read = await compare.read(pool, processor.books, turn, clock.now())
                await compare.record(pool, ids, read, clock.now())
            view = await reconciliations.view(pool, name)
            assert view is not None
    await processor.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{time.perf_counter() - began:.1f} {view.compared} {view.left + view.settled} {peak}")


async def measured(url: str, size: int) -> int:
    """Put so many payments on record and compare them in a process of its own; print, and return its peak in KiB."""
    connection = await asyncpg.connect(url)
    await migrate(connection, clock.now().date())
    await connection.execute(PAYMENTS, AT, size)
    await connection.execute("ANALYZE")
    await connection.close()
    seconds, compared, differing, peak = await told_by_child(__file__, "--compare", url, lists(size))
    print(
        f"{size:7} payments: {compared} compared, {differing} differ, {seconds} s, {int(peak) / 1024:.1f} MiB at most"
    )
    return int(peak)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compare"]:
        uvloop.run(reconcile(sys.argv[2], sys.argv[3]))
    else:
        uvloop.run(beside(*(int(size) for size in (sys.argv[1:] or ["10000", "100000"])), "payments", measured))
