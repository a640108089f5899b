"""How much memory catching up takes: a worker's peak at few missed events beside many, in the same run.

Starts a PostgreSQL of its own, and a server in Stripe's place that makes its list of events page by page as it is asked
for. Each run is a process of its own, whose peak the system tells::

    .venv/bin/python benchmarks/catching_up.py [few] [many]
"""

import json
import resource
import sys
import time
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import uvloop
from aiohttp import web
from peaks import beside, told_by_child

from counterfoil.journey import catch_up
from counterfoil.journey.catch_up import Looked
from counterfoil.processors.stripe import notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.store import catch_up as cursors
from counterfoil.store.catch_up import Source
from counterfoil.store.migrate import migrate
from counterfoil.store.pool import open_pool

OURS = Source("", livemode=False)

clock = SystemClock()
ids = TimeOrderedIds(clock)


def event(number: int, made_at: datetime) -> dict[str, object]:
    """Return an event as Stripe lists it, as far as we read it, about a payment of ours."""
    intent = {
        "id": f"pi_{number}", "object": "payment_intent", "status": "succeeded", "amount": 1999, "currency": "eur",
        "amount_received": 1999, "latest_charge": f"ch_{number}", "metadata": {"payment_id": str(UUID(int=number))},
        "description": "x" * 2000,  # what else an intent holds
    }  # fmt: skip
    return {
        "id": f"evt_{number}", "object": "event", "api_version": "2024-06-20", "created": int(made_at.timestamp()),
        "livemode": False, "type": "payment_intent.succeeded", "data": {"object": intent},
    }  # fmt: skip


def listed(size: int) -> web.Application:
    """Return a server in Stripe's place with so many events, all undelivered, the newest first."""
    made_at = clock.now() - timedelta(hours=1)

    async def page(request: web.Request) -> web.Response:
        behind = request.query.get("starting_after")
        first = size if behind is None else int(behind.partition("_")[2]) - 1
        numbers = range(first, max(first - int(request.query["limit"]), 0), -1)
        data = [event(number, made_at) for number in numbers]
        body = {"object": "list", "data": data, "has_more": bool(numbers) and numbers[-1] > 1, "url": "/v1/events"}
        return web.Response(text=json.dumps(body), content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/v1/events", page)])
    return app


async def catch_all_up(url: str, api_base: str) -> None:
    """Go through all of it, as a worker does; print seconds, events that were missing and our peak in KiB."""
    processor = StripeProcessor("sk_test_benchmark", livemode=False, api_base=api_base)
    began, last = time.perf_counter(), None
    async with open_pool(url, name="benchmark", largest=2) as pool:
        await cursors.ask(pool, OURS, clock.now() - timedelta(days=1), clock.now())
        while last is None:
            page = await catch_up.take(pool, OURS, "none", clock.now())
            assert page is not None, "this process is the only worker"
            place = page.place
            found = await processor.events(place.since, place.after, undelivered=place.undelivered)
            await catch_up.record(pool, notices, ids, Looked(page, found), clock.now())
            view = await cursors.shown(pool, OURS)
            last = view.last if view is not None else None
    await processor.close()
    assert last.expected == last.missing.total()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{time.perf_counter() - began:.1f} {last.missing.total()} {peak}")


async def measured(url: str, size: int) -> int:
    """Have so many events caught up with in a process of its own; print, and return its peak in KiB."""
    connection = await asyncpg.connect(url)
    await migrate(connection, clock.now().date())
    await connection.close()
    seconds, missing, peak = await told_by_child(__file__, "--catch-up", url, listed(size))
    print(f"{size:7} events: {missing} missing, {seconds} s, {int(peak) / 1024:.1f} MiB at most")
    return int(peak)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--catch-up"]:
        uvloop.run(catch_all_up(sys.argv[2], sys.argv[3]))
    else:
        uvloop.run(beside(*(int(size) for size in (sys.argv[1:] or ["5000", "50000"])), "events", measured))
