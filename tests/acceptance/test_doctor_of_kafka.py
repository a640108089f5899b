"""Faults planted at a real Kafka and in another service's outbox, one at a time: `counterfoil doctor` names each."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from tests.broker import LACKING, WHY_SKIPPED, Kafka
from tests.outboxes import TABLE, Shop
from tests.stage import Stage, becomes, now

from counterfoil.bus import letters, topics
from counterfoil.bus.message import Outgoing
from counterfoil.roles.dispatcher import GROUP
from counterfoil.runtime.clock import SystemClock

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]

OURS = ("kafka", "topics", "dead letters", "unread", "source shop", "sources")
"""The checks of Kafka and of sources; the others have no settings here."""

ROW = (
    "INSERT INTO outbox (event_id, aggregate, aggregate_id, event_type, payload, created_at)"
    " VALUES (gen_random_uuid(), 'order', '1', '{}', '{{}}', now() - interval '{}')"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A Kafka and another service's outbox, both in order."""

    stage: Stage
    kafka: Kafka
    shop: Shop

    def source(self, **changes: Any) -> str:
        """OUTBOX_SOURCES with that outbox, but for what is changed."""
        source = {"name": "shop", "database_url": self.shop.url, "topics": {"OrderPlaced": "orders.placed"}}
        return json.dumps([{**source, **changes}])

    def examine(self, **changes: str) -> tuple[list[dict[str, Any]], str]:
        """Return what the doctor finds of Kafka and the source, and all that it prints."""
        settings = {
            "DATABASE_URL": self.stage.database_url,
            "KAFKA_BROKERS": self.kafka.brokers,
            "OUTBOX_SOURCES": self.source(),
            **changes,
        }
        done = subprocess.run(
            [sys.executable, "-m", "counterfoil", "doctor", "--json"],
            cwd=self.stage.folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **settings},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.stdout, done.stderr
        return [one for one in json.loads(done.stdout) if one["check"] in OURS], done.stdout + done.stderr

    async def altered(self, topic: str, name: str, value: str | None) -> None:
        """Set something of a topic, or back to what all have."""
        what = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
        entry = ConfigEntry(name, value or "", incremental_operation=what)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin = self.kafka.admin()
        for future in admin.incremental_alter_configs([resource]).values():
            await asyncio.to_thread(future.result, 15)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(shared_stage: Stage, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> AsyncIterator[Place]:
    """A broker of this module's own: what other tests leave at theirs would be found too."""
    base = tmp_path_factory.getbasetemp()
    jars = (base if worker_id == "master" else base.parent) / "kafka-jars"
    kafka = await Kafka.started(tmp_path_factory.mktemp("examined-kafka"), jars)
    name = f"outbox_{os.getpid()}"
    server = await asyncpg.connect(shared_stage.database_url)
    await server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    shop = Shop(urlsplit(shared_stage.database_url)._replace(path=f"/{name}").geturl())
    await shop.execute(TABLE)
    yield Place(shared_stage, kafka, shop)
    await kafka.running.stop()
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


Planted = AbstractAsyncContextManager[Mapping[str, str]]


@asynccontextmanager
async def settings(_: Place, **changes: str) -> AsyncIterator[Mapping[str, str]]:
    yield changes


@asynccontextmanager
async def altered(place: Place, topic: str, name: str, value: str) -> AsyncIterator[Mapping[str, str]]:
    await place.altered(topic, name, value)
    yield {}
    await place.altered(topic, name, "delete" if name == "cleanup.policy" else str(topics.RETENTION_MS))


async def deleted(place: Place, topic: str) -> None:
    admin = place.kafka.admin()  # held: its answers end with it
    for future in admin.delete_topics([topic], operation_timeout=15).values():
        await asyncio.to_thread(future.result, 15)


@asynccontextmanager
async def without_topic(place: Place, topic: str) -> AsyncIterator[Mapping[str, str]]:
    await deleted(place, topic)
    yield {}
    await topics.create(place.kafka.config, 1)

    async def missing() -> list[str]:
        return [one.name for one in await topics.check(place.kafka.config) if one.missing]

    await becomes([], missing)
    await place.kafka.leads_all()


@asynccontextmanager
async def dead_letter(place: Place) -> AsyncIterator[Mapping[str, str]]:
    await place.kafka.say(Outgoing("orders.placed.dlq", b"1", None, (("dlq_reason", b"tries"),)))
    yield {}
    await letters.settle(place.kafka.config, await letters.waiting(place.kafka.config))


@asynccontextmanager
async def unread_order(place: Place, minutes: int) -> AsyncIterator[Mapping[str, str]]:
    """Nobody dispatches, and an order was placed so long ago, on a partition where none came later."""
    at = SystemClock().now() - timedelta(minutes=minutes)
    producer = Producer(place.kafka.config)
    producer.produce("orders.placed", b"{}", b"1", minutes // 10, timestamp=int(at.timestamp() * 1000))
    assert await asyncio.to_thread(producer.flush, 15) == 0
    yield {}
    await place.kafka.move(GROUP, "orders.placed", await place.kafka.ends("orders.placed"))


@asynccontextmanager
async def in_shop(place: Place, planted: str, mended: str = "DELETE FROM outbox") -> AsyncIterator[Mapping[str, str]]:
    await place.shop.execute(planted)
    yield {}
    await place.shop.execute(mended)


@asynccontextmanager
async def topic_alone(place: Place) -> AsyncIterator[Mapping[str, str]]:
    """A topic that nobody has made one of dead letters for."""
    name = await place.kafka.topic_of_own("alone")
    await deleted(place, f"{name}.dlq")
    yield {"OUTBOX_SOURCES": place.source(topics={"OrderPlaced": name})}


TLS = json.dumps({"security.protocol": "SSL"})
SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "a"}
PASSWORD = "a-password-of-ours"
NO_MECHANISM = {**SASL, "sasl.password": PASSWORD, "sasl.mechanism": "NONSENSE"}

FAULTS: dict[str, tuple[Callable[[Place], Planted], str, str, str]] = {
    "no broker": (
        lambda p: settings(p, KAFKA_BROKERS="127.0.0.1:1"), "kafka", "failure", "no broker answers: Connect to",
    ),
    "a broker without TLS": (
        lambda p: settings(p, KAFKA_CONFIG=TLS), "kafka", "failure", "the brokers and we do not agree on TLS: ",
    ),
    "a broker that refuses us": (
        lambda p: settings(p, KAFKA_CONFIG=json.dumps({**SASL, "sasl.password": PASSWORD})),
        "kafka", "failure", "the brokers do not let us in: SASL",
    ),
    "a mechanism that there is not": (
        lambda p: settings(p, KAFKA_CONFIG=json.dumps(NO_MECHANISM)), "kafka", "failure", "does not take KAFKA_CONFIG",
    ),
    "a missing topic": (
        lambda p: without_topic(p, "refunds.processed"), "topics", "failure", "refunds.processed is missing",
    ),
    "a compacted topic": (
        lambda p: altered(p, "payments.updates", "cleanup.policy", "compact"),
        "topics", "failure", "payments.updates is compacted",
    ),
    "a topic that forgets": (
        lambda p: altered(p, "payments.failed", "retention.ms", "3600000"),
        "topics", "warning", "payments.failed keeps messages 1 h",
    ),
    "a dead letter": (dead_letter, "dead letters", "warning", "1 on orders.placed.dlq"),
    "an order of two minutes ago": (
        lambda p: unread_order(p, 2),
        "unread", "warning", "messages for the dispatcher 1 are unread for more than 1 min",
    ),
    "an order of twenty minutes ago": (
        lambda p: unread_order(p, 20),
        "unread", "failure", "messages for the dispatcher 1 are unread for more than 10 min",
    ),
    "a source out of reach": (
        lambda p: settings(p, OUTBOX_SOURCES=p.source(database_url=f"postgresql://x:{PASSWORD}@127.0.0.1:1/x")),
        "source shop", "failure", "the database cannot be reached",
    ),
    "a source without its table": (
        lambda p: in_shop(p, "ALTER TABLE outbox RENAME TO away", "ALTER TABLE away RENAME TO outbox"),
        "source shop", "failure", "its table outbox is not there",
    ),
    "a source that is no outbox": (
        lambda p: in_shop(
            p, "ALTER TABLE outbox RENAME payload TO body", "ALTER TABLE outbox RENAME body TO payload"
        ),
        "source shop", "failure", "its table outbox has no column payload",
    ),
    "a row of two minutes ago": (
        lambda p: in_shop(p, ROW.format("OrderPlaced", "2 min")),
        "source shop", "warning", "1 rows wait, the oldest for 2 min",
    ),
    "a row of twenty minutes ago": (
        lambda p: in_shop(p, ROW.format("OrderPlaced", "20 min")),
        "source shop", "failure", "1 rows wait, the oldest for 20 min",
    ),
    "a type without a topic": (
        lambda p: in_shop(p, ROW.format("OrderShipped", "0 s")),
        "source shop", "warning", "1 rows are of types without a topic, such as OrderShipped",
    ),
    "a source without its topic": (
        lambda p: settings(p, OUTBOX_SOURCES=p.source(topics={"OrderPlaced": "nowhere"})),
        "source shop", "failure", "the topic nowhere is missing",
    ),
    "a topic without its dead letters": (topic_alone, "source shop", "warning", "the topic alone.dlq is missing"),
    "a source that speaks of payments": (
        lambda p: settings(p, OUTBOX_SOURCES=p.source(topics={"OrderPlaced": "payments.completed"})),
        "sources", "failure", "OUTBOX_SOURCES number 1: topics names a topic of our own facts",
    ),
}  # fmt: skip
"""What is planted, and what the doctor says of it: check, level, and words of the line."""


async def test_kafka_in_order_is_told_so(place: Place) -> None:
    """Nothing is found at the brokers and in the outbox; without KAFKA_BROKERS nobody is asked."""
    found, text = await asyncio.to_thread(place.examine)
    checks = ["kafka", "topics", "dead letters", "unread", "source shop"]
    assert [(one["check"], one["level"]) for one in found] == [(check, "ok") for check in checks], text
    nothing, _ = await asyncio.to_thread(lambda: place.examine(KAFKA_BROKERS="", OUTBOX_SOURCES=""))
    assert nothing == []


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_is_found(place: Place, name: str) -> None:
    """It is named by its check and in words, with a remedy; the doctor ends soon, and no secret is shown."""
    plant, check, level, words = FAULTS[name]
    began = now()
    async with plant(place) as changes:
        found, text = await asyncio.to_thread(lambda: place.examine(**changes))
    about = [one for one in found if (one["check"], one["level"]) == (check, level) and words in one["line"]]
    assert [bool(one["remedy"]) for one in about] == [True], text
    assert (check, now() - began < 40.0, PASSWORD in text) == (about[0]["check"], True, False)


async def test_a_table_in_our_own_database_is_found_there(place: Place) -> None:
    """A source without database_url is looked for where the payments are."""
    ours = Shop(place.stage.database_url)
    await ours.execute("CREATE SCHEMA shop", f"SET search_path TO shop; {TABLE}")
    source = {"name": "shop", "table": "shop.outbox", "topics": {"OrderPlaced": "orders.placed"}}
    found, text = await asyncio.to_thread(lambda: place.examine(OUTBOX_SOURCES=json.dumps([source])))
    assert [one["level"] for one in found if one["check"] == "source shop"] == ["ok"], text
