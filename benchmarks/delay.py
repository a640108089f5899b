"""How long a fact takes from its commit to whoever reads Kafka, at a steady rate, beside a message sent at once.

Starts a PostgreSQL, a Kafka (Java and Maven are needed) and an outbox-publisher, each a process of its own. Payments
are accepted and succeed at that rate, a few in a transaction, so each says two facts; a reader notes when it has each.
Beside them the client alone sends a message now and then, which is what Kafka itself takes::

    .venv/bin/python benchmarks/delay.py [payments a second] [seconds]
"""

import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from confluent_kafka import Consumer, TopicPartition
from group_commit import clock, ids, success, wish

from counterfoil.bus import local, topics
from counterfoil.bus.connection import client_config
from counterfoil.bus.message import Outgoing, delivered
from counterfoil.bus.producer import Producer
from counterfoil.journey import accept, authorize
from counterfoil.store import embedded
from counterfoil.store.migrate import migrate
from counterfoil.store.pool import Pool, open_connection, open_pool

PORTS = (19_394, 19_395)
HEALTH_PORT = 19_396
TOGETHER_SECONDS = 0.01
WARM_SECONDS = 3.0
SAID = ("payments.requested", "payments.completed")
ALONE = "payments.updates"


class Reader:
    """Notes when it has each message, by topic and key."""

    def __init__(self, brokers: str) -> None:
        self.had: dict[tuple[str, bytes], float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(brokers,))
        self._thread.start()

    def _read(self, brokers: str) -> None:
        consumer = Consumer({**client_config(brokers, {}), "group.id": "benchmark", "enable.auto.commit": False})
        there = consumer.list_topics(timeout=15).topics
        consumer.assign([TopicPartition(one, number, 0) for one in (*SAID, ALONE) for number in there[one].partitions])
        while not self._ending.is_set():
            message = consumer.poll(0.05)  # one at a time: many would be waited for
            if message is not None:
                self.had[message.topic(), message.key()] = time.perf_counter()
        consumer.close()

    def end(self) -> None:
        """Read no more."""
        self._ending.set()
        self._thread.join()


async def lived(pool: Pool, together: int, said: dict[tuple[str, bytes], float]) -> None:
    """Accept a few payments in one transaction, and let them succeed in another."""
    wishes = [wish() for _ in range(together)]
    accepted = await accept.run(pool, ids, wishes, clock.now())
    said |= dict.fromkeys(((SAID[0], str(one.payment_id).encode()) for one in wishes), time.perf_counter())
    heard = [success(one, answer) for one, answer in zip(wishes, accepted, strict=True)]
    await authorize.record(pool, ids, heard, clock.now())
    said |= dict.fromkeys(((SAID[1], str(one.payment_id).encode()) for one in wishes), time.perf_counter())


async def sent_alone(config: dict[str, object], said: dict[tuple[str, bytes], float]) -> None:
    """Send a message twenty times a second with nothing but the client."""
    producer = Producer(config)
    try:
        for number in range(1_000_000):
            key = b"alone-%d" % number
            said[ALONE, key] = time.perf_counter()
            assert await delivered(producer, Outgoing(ALONE, key, b"x" * 1000, ())) is None
            await asyncio.sleep(0.05)
    finally:
        await producer.close(5)


async def steady(url: str, config: dict[str, object], rate: int, seconds: float) -> dict[tuple[str, bytes], float]:
    """Put payments on record at a steady rate; return when each fact was there to be published."""
    said: dict[tuple[str, bytes], float] = {}
    together = max(1, round(rate * TOGETHER_SECONDS))
    async with open_pool(url, name="benchmark", largest=10) as pool, asyncio.TaskGroup() as tasks:
        alone = tasks.create_task(sent_alone(config, said))
        began, under_way = time.perf_counter(), set()
        for number in range(round(rate * seconds / together)):
            await asyncio.sleep(max(0.0, began + number * together / rate - time.perf_counter()))
            under_way = {task for task in under_way if not task.done()}
            under_way.add(tasks.create_task(lived(pool, together, said)))
        await asyncio.gather(*under_way)
        print(f"{rate} payments a second wanted, {rate * seconds / (time.perf_counter() - began):.0f} had")
        alone.cancel()
    return said


async def main(rate: int, seconds: float) -> None:
    """Measure on a broker that flushes as Kafka does, and on one that has each message on disk before it says so."""
    for flushed in (False, True):
        print("\neach message flushed at once" if flushed else "flushed as Kafka does")
        await measured(rate, seconds, flushed=flushed)


async def measured(rate: int, seconds: float, *, flushed: bool) -> None:
    """Measure on a database and a broker of its own."""
    home = Path(tempfile.mkdtemp())
    broker = await local.start(home / "kafka", *PORTS, flushed=flushed)
    try:
        config = client_config(broker.brokers, {})
        await topics.create(config, 1)
        async with embedded.server(home / "postgres") as server:
            async with open_connection(server.url, name="benchmark") as connection:
                await migrate(connection, clock.now().date())
            own = {"DATABASE_URL": server.url, "KAFKA_BROKERS": broker.brokers, "PORT": str(HEALTH_PORT)}
            publisher = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "counterfoil", "run", "outbox-publisher"),
                env={"PATH": os.defpath, "LISTEN_ADDRESS": "127.0.0.1", "LOG_LEVEL": "warning", **own},
            )
            reader = Reader(broker.brokers)
            await asyncio.sleep(WARM_SECONDS)
            await steady(server.url, config, rate, WARM_SECONDS)
            said = await steady(server.url, config, rate, seconds)
            await asyncio.sleep(WARM_SECONDS)
            reader.end()
            publisher.terminate()
            await publisher.wait()
    finally:
        await broker.stop()
        embedded.remove(home / "postgres")
    alone = [reader.had[one] - since for one, since in said.items() if one[0] == ALONE]
    facts = [reader.had[one] - since for one, since in said.items() if one[0] != ALONE]
    print(f"{len(facts)} facts, from commit to reader: {shown(facts)}")
    print(f"{len(alone)} messages sent at once, from the client to reader: {shown(alone)}")
    print(f"at p99 that is {quantile(facts, 99) / quantile(alone, 99):.1f} times")


def quantile(found: Sequence[float], percent: int) -> float:
    """Return that percentile."""
    return statistics.quantiles(found, n=100)[percent - 1]


def shown(found: Sequence[float]) -> str:
    """Return the percentiles in words."""
    parts = [f"p{one} {quantile(found, one) * 1000:.1f} ms" for one in (50, 90, 99)]
    return f"{', '.join(parts)}, at most {max(found) * 1000:.1f} ms"


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if sys.argv[1:] else 500, float(sys.argv[2]) if sys.argv[2:] else 30.0))
