"""How many facts a second the leading publisher brings to Kafka, beside what the client for Kafka does alone.

Starts a PostgreSQL and a Kafka of its own (Java and Maven are needed), puts payments on record with a fact of a
kilobyte each, and publishes all of them as the outbox publisher does; then sends as many with nothing but the client::

    .venv/bin/python benchmarks/publishing.py [payments]
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg
import uvloop

from counterfoil.bus import local, topics
from counterfoil.bus.connection import client_config
from counterfoil.bus.message import Outgoing, Undelivered
from counterfoil.bus.producer import Producer
from counterfoil.bus.underway import Underway
from counterfoil.journey import announce
from counterfoil.messages import cloud_event
from counterfoil.runtime.clock import SystemClock
from counterfoil.store import embedded
from counterfoil.store.listening import Bell
from counterfoil.store.migrate import migrate
from counterfoil.store.outbox import Unpublished

PORTS = (19_392, 19_393)

PAYMENTS = """
WITH made AS (
    INSERT INTO payments (id, event_id, order_id, amount, currency, capture_method, payment_method, off_session, items,
                          metadata, fingerprint, livemode, created_at, updated_at, state, version, amount_captured)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'event-' || n, 'order-' || n, 1999, 'EUR', 'automatic', 'pm_card_visa',
           false, '[]', '{}', decode(lpad(to_hex(n), 64, '0'), 'hex'), false, now(), now(), 'succeeded', 1, 1999
      FROM generate_series(1, $1::int) AS n
    RETURNING id
), said AS (
    INSERT INTO facts (payment_id, version, id, name, schema_version, body, cause_source, cause_reference, occurred_at)
    SELECT id, 1, gen_random_uuid(), 'PaymentSucceeded', '1.0.0', jsonb_build_object('padding', repeat('x', 1000)),
           'answer', 'benchmark', now()
      FROM made
)
INSERT INTO outbox (payment_id, version) SELECT id, 1 FROM made
"""


async def published(connection: asyncpg.Connection, producer: Producer, count: int) -> float:
    """Publish all that waits, as whoever leads does; return the seconds it took."""
    bell, clock = Bell(), SystemClock()
    underway = Underway[UUID, Unpublished](cloud_event.source_of("benchmark"), bell.ring)
    began, done = time.perf_counter(), 0
    while done < count:
        marked = await announce.mark(connection, underway, clock.now())
        done += marked
        handed_over = await announce.hand_over(connection, producer, underway, clock.now())
        if not marked and not handed_over:
            await bell.wait(1.0)
    return time.perf_counter() - began


async def sent(producer: Producer, count: int) -> float:
    """Send as many messages of that size with the client alone; return the seconds it took."""
    left, all_there = count, asyncio.Event()

    def told(lost: Undelivered | None) -> None:
        nonlocal left
        assert lost is None, lost
        left -= 1
        if not left:
            all_there.set()

    began = time.perf_counter()
    for number in range(count):
        if number % 1000 == 0:
            await asyncio.sleep(0)
        producer.hand_over(
            Outgoing("payments.updates", b"%d" % number, b"x" * 1000, (("ce_id", b"%d" % number),)), told
        )
    await all_there.wait()
    return time.perf_counter() - began


async def main(count: int) -> None:
    """Measure on a database and a broker of its own."""
    home = Path(tempfile.mkdtemp())
    broker = await local.start(home / "kafka", *PORTS)
    try:
        config = client_config(broker.brokers, {})
        await topics.create(config, 1)
        async with embedded.server(home / "postgres") as server:
            connection = await asyncpg.connect(server.url)
            await migrate(connection, SystemClock().now().date())
            await connection.execute(PAYMENTS, count)
            await connection.execute("ANALYZE")
            producer = Producer(config)
            ours, alone = await published(connection, producer, count), await sent(producer, count)
            await producer.close(5)
            await connection.close()
    finally:
        await broker.stop()
        embedded.remove(home / "postgres")
    rates = f"{count / ours:,.0f} a second; the client alone: {count / alone:,.0f}; {alone / ours:.2f} of that"
    print(f"{count} facts of 1 KB: {rates}")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if sys.argv[1:] else 50_000))
