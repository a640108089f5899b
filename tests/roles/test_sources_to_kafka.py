"""Publishers as processes, other services' outboxes in databases of their own, and a real Kafka."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import pytest_asyncio
from confluent_kafka import Message
from tests.broker import LACKING, WHY_SKIPPED, Kafka, header
from tests.conftest import DatabaseMaker
from tests.outboxes import TABLE, Shop, event, numbered
from tests.stage import Running, Stage, becomes, now, ready

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]


@pytest_asyncio.fixture
async def shop(make_database: DatabaseMaker) -> Shop:
    """Another service with an empty outbox."""
    made = Shop(await make_database())
    await made.execute(TABLE)
    return made


@pytest_asyncio.fixture
async def billing(make_database: DatabaseMaker) -> Shop:
    """Another one, without an outbox yet."""
    return Shop(await make_database())


def source(shop: Shop, topic: str, name: str = "shop", **more: Any) -> dict[str, Any]:
    return {"name": name, "database_url": shop.url, "topics": {"OrderPlaced": topic}, **more}


def launch(stage: Stage, kafka: Kafka, *sources: dict[str, Any]) -> Running:
    """Start a publisher that need not become ready."""
    return stage.listening("outbox-publisher", KAFKA_BROKERS=kafka.brokers, OUTBOX_SOURCES=json.dumps(sources))


def start(stage: Stage, kafka: Kafka, *sources: dict[str, Any]) -> Running:
    return stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers, OUTBOX_SOURCES=json.dumps(sources))


async def sent(shop: Shop, left: int = 0, *, table: str = "outbox", seconds: float = 60) -> None:
    """Return once no more than so many rows are unpublished."""
    await becomes(left, lambda: shop.waiting(table), seconds=seconds)


def said(messages: list[Message]) -> list[str]:
    return [json.loads(one.value() or b"{}")["said"] for one in messages]


def first_appearances(messages: list[Message], aggregate: str) -> list[str]:
    """Return what an aggregate said, each once, in the order in which it was heard first."""
    return list(dict.fromkeys(said([one for one in messages if one.key() == aggregate.encode()])))


async def checks(running: Running) -> dict[str, str]:
    """Return what readiness says, by check."""
    _, told = await asyncio.to_thread(ready, running)
    found: dict[str, str] = told["checks"]
    return found


async def test_each_aggregate_keeps_its_order(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """Rows of many aggregates, written in turn, each once, in headers what the row says of itself."""
    topic = await kafka.topic_of_own("order-of-aggregates", 3)
    aggregates = [f"order-{number}" for number in range(20)]
    publisher = start(stage, kafka, source(shop, topic))
    await shop.says(*numbered(aggregates, 10))
    await sent(shop)

    messages = await kafka.heard(topic, lambda found: len(found) >= 200)
    assert sorted(said(messages)) == sorted(name for _, name in numbered(aggregates, 10))
    for one in aggregates:
        assert first_appearances(messages, one) == [f"{one} {number}" for number in range(10)]
    assert {header(one, "ce_source") for one in messages} == {"/shop"}
    assert {header(one, "ce_id") for one in messages} == {str(event(name)) for _, name in numbered(aggregates, 10)}
    publisher.terminate()
    assert publisher.ended() == 0


async def test_a_row_is_sent_when_it_is_notified_of_and_without_that_a_moment_later(
    stage: Stage, kafka: Kafka, shop: Shop
) -> None:
    """The trigger wakes the leader; whoever has none is looked at every 2 s."""
    topic = await kafka.topic_of_own("woken")
    start(stage, kafka, source(shop, topic))
    await shop.says(("a", "warm"))
    await sent(shop)
    waits = []
    for number in range(5):
        began = now()
        await shop.says(("a", f"a {number}"))
        await sent(shop)
        waits.append(now() - began)
    assert sorted(waits)[2] < 1.0, waits

    await shop.execute("DROP TRIGGER outbox_tells ON outbox")
    began = now()
    await shop.says(("a", "silent"))
    await sent(shop, seconds=5)
    assert now() - began < 4.0


@pytest.mark.storm
async def test_no_row_is_lost_when_the_leader_is_killed(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """Killed with rows on their way: the next one takes over, and each aggregate keeps its order."""
    topic = await kafka.topic_of_own("killed-leaders", 3)
    aggregates = [f"order-{number}" for number in range(10)]
    publishers = [start(stage, kafka, source(shop, topic)) for _ in range(2)]

    async def writing() -> None:
        for number in range(40):
            await shop.says(*[(one, f"{one} {number}") for one in aggregates])
            await asyncio.sleep(0.05)

    written = asyncio.create_task(writing())
    for _ in range(4):
        await asyncio.sleep(0.5)
        publishers.pop(0).kill()
        publishers.append(launch(stage, kafka, source(shop, topic)))
    await written
    await sent(shop, seconds=90)
    messages = await kafka.heard(topic, lambda found: len(set(said(found))) >= 400)
    for one in aggregates:
        assert first_appearances(messages, one) == [f"{one} {number}" for number in range(40)]


async def test_a_follower_takes_over_within_five_seconds(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """From the leader's death to the first row that the next one sends."""
    topic = await kafka.topic_of_own("takeover")
    leader = start(stage, kafka, source(shop, topic))
    await shop.says(("a", "a 0"))
    await sent(shop)
    follower = start(stage, kafka, source(shop, topic))
    await asyncio.sleep(1.0)
    assert "source.leads" not in follower.log()
    leader.kill()
    began = now()
    await shop.says(("a", "a 1"))
    await sent(shop)
    assert now() - began < 5.0
    assert "source.leads" in follower.log()


@pytest.mark.storm
async def test_a_broker_that_was_killed_is_caught_up_with(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """Rows wait while it is away, unmarked, and arrive in their order once it is back."""
    topic = await kafka.topic_of_own("broker-away")
    publisher = start(stage, kafka, source(shop, topic))
    await shop.says(("a", "a 0"))
    await sent(shop)
    await kafka.killed()
    await shop.says(*numbered("ab", 5)[2:])
    await becomes(503, lambda: asyncio.to_thread(lambda: ready(publisher)[0]))
    assert await shop.waiting() == 8
    await kafka.again()
    await sent(shop, seconds=90)
    messages = await kafka.heard(topic, lambda found: len(set(said(found))) >= 9)
    assert first_appearances(messages, "a") == [f"a {number}" for number in range(5)]
    assert first_appearances(messages, "b") == [f"b {number}" for number in range(1, 5)]


async def test_a_row_too_large_is_a_dead_letter_and_its_aggregate_goes_on(
    stage: Stage, kafka: Kafka, shop: Shop
) -> None:
    """Its payload is not carried anywhere: it stays in its table, which says that it is done with."""
    topic = await kafka.topic_of_own("too-large")
    publisher = start(stage, kafka, source(shop, topic))
    for number, bytes_ in enumerate([999_990, 1_500_000]):  # refused by the client, and not even read
        await shop.says(("a", f"large {number}"), padding="x" * bytes_)
        await shop.says(("a", f"a {number}"))
    await sent(shop)
    assert said(await kafka.heard(topic, lambda found: len(found) >= 2)) == ["a 0", "a 1"]
    letters = await kafka.heard(f"{topic}.dlq", lambda found: len(found) >= 2)
    assert [(one.value(), header(one, "dlq_reason"), header(one, "ce_id")) for one in letters] == [
        (None, "too_large", str(event(f"large {number}"))) for number in range(2)
    ]
    assert publisher.log().count("forward.parked") == 2


async def test_a_type_without_a_topic_holds_up_nothing_and_is_seen(
    stage: Stage, kafka: Kafka, shop: Shop, http: httpx.AsyncClient
) -> None:
    """It stays as it is; the gauge counts it and the log names it."""
    topic = await kafka.topic_of_own("unmapped")
    await shop.says(("a", "ours to leave"), kind="OrderShipped")
    await shop.says(("a", "a 0"))
    publisher = start(stage, kafka, source(shop, topic))
    await sent(shop, 1)
    assert said(await kafka.heard(topic, lambda found: len(found) >= 1)) == ["a 0"]
    assert await shop.fetch("SELECT event_id FROM outbox WHERE published_at IS NULL") == [(event("ours to leave"),)]
    assert '"type": "OrderShipped"' in publisher.log()

    async def told() -> str:
        return (await http.get(f"{publisher.url}/metrics")).text

    await becomes(lambda text: 'counterfoil_source_unmapped{source="shop"} 1.0' in text, told)
    assert 'counterfoil_source_published_total{source="shop"} 1.0' in await told()


async def test_a_topic_that_is_not_there_holds_up_what_is_for_it(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """All else goes on, and once it is made what waited for it arrives."""
    topic = await kafka.topic_of_own("there")
    topics = {"OrderPlaced": topic, "OrderPaid": "made-later"}
    publisher = start(stage, kafka, source(shop, topic, topics=topics))
    await shop.says(("a", "a 0"), kind="OrderPaid")
    await shop.says(("a", "a 1"), ("b", "b 0"))
    await sent(shop, 1)
    assert sorted(said(await kafka.heard(topic, lambda found: len(found) >= 2))) == ["a 1", "b 0"]
    await becomes(lambda log: "source.undelivered" in log, lambda: asyncio.to_thread(publisher.log))
    await kafka.topic_of_own("made-later")
    await sent(shop, seconds=60)
    assert said(await kafka.heard("made-later", lambda found: len(found) >= 1)) == ["a 0"]


async def test_a_missing_table_is_named_and_stops_no_other(
    stage: Stage, kafka: Kafka, shop: Shop, billing: Shop
) -> None:
    """Two sources at once, one of them without its table, one without its database; when mended they go on."""
    topic = await kafka.topic_of_own("two-sources")
    nowhere = Shop("postgresql://app:hidden@127.0.0.1:1/nowhere")
    publisher = launch(
        stage, kafka, source(billing, topic, "billing"), source(nowhere, topic, "nowhere"), source(shop, topic)
    )
    await shop.says(("a", "a 0"))
    await sent(shop)

    def told(found: dict[str, str]) -> bool:
        return found["source billing"] == "OUTBOX_SOURCES names billing, whose table is not there"

    found = await becomes(told, lambda: checks(publisher))
    assert found["source shop"] == "ok"
    assert found["source nowhere"].startswith("OUTBOX_SOURCES names nowhere, whose database does not answer")
    assert await asyncio.to_thread(lambda: ready(publisher)[0]) == 503
    await billing.execute(TABLE)
    await billing.says(("a", "of billing"))
    await sent(billing)
    assert said(await kafka.heard(topic, lambda found: len(found) >= 2)) == ["a 0", "of billing"]
    assert (await checks(publisher))["source billing"] == "ok"
    assert "hidden" not in publisher.log()


async def test_a_table_that_is_taken_away_is_noticed(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """And when it is there again, it is read again."""
    topic = await kafka.topic_of_own("taken-away")
    publisher = start(stage, kafka, source(shop, topic))
    await shop.execute("ALTER TABLE outbox RENAME TO away")
    wrong = "OUTBOX_SOURCES names shop, whose table is not there"
    await becomes(lambda found: found["source shop"] == wrong, lambda: checks(publisher))
    await shop.execute("ALTER TABLE away RENAME TO outbox")
    await shop.says(("a", "a 0"))
    await sent(shop)
    assert said(await kafka.heard(topic, lambda found: len(found) >= 1)) == ["a 0"]


async def test_a_connection_that_is_lost_is_made_anew(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """The lead goes with it, and comes back; nothing is left out."""
    topic = await kafka.topic_of_own("connection-lost")
    publisher = start(stage, kafka, source(shop, topic))
    await shop.says(("a", "a 0"))
    await sent(shop)
    ours = "application_name LIKE 'counterfoil%' OR application_name LIKE '%listener'"
    ended = await shop.fetch(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND ({ours})"  # noqa: S608 - the test's own
    )
    assert ended == [(True,), (True,)]
    await shop.says(("a", "a 1"))
    await sent(shop, seconds=10)
    assert first_appearances(await kafka.heard(topic, lambda found: len(set(said(found))) >= 2), "a") == ["a 0", "a 1"]
    assert publisher.log().count("source.leads") == 2


async def test_a_table_in_our_own_database_is_sent_beside_our_facts(stage: Stage, kafka: Kafka) -> None:
    """Without database_url it is a table of another name there, and its channel is named as it is."""
    topic = await kafka.topic_of_own("own-database")
    ours = Shop(stage.database_url)
    await ours.execute("CREATE SCHEMA shop", f"SET search_path TO shop; {TABLE}")
    topics = {"OrderPlaced": topic}
    publisher = start(stage, kafka, {"name": "shop", "table": "shop.outbox", "topics": topics})
    await ours.says(("a", "a 0"), table="shop.outbox")
    await sent(ours, table="shop.outbox")
    assert said(await kafka.heard(topic, lambda found: len(found) >= 1)) == ["a 0"]
    publisher.terminate()
    assert publisher.ended() == 0


async def test_nobody_else_speaks_of_payments(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """A source that names a topic of our own facts is refused at the start."""
    sources = json.dumps([source(shop, "payments.completed")])
    publisher = stage.launch("outbox-publisher", KAFKA_BROKERS=kafka.brokers, OUTBOX_SOURCES=sources)
    assert publisher.ended() == 78
    assert "OUTBOX_SOURCES number 1: topics names a topic of our own facts" in publisher.log()


async def test_what_the_database_refuses_is_named_and_no_row_is_quoted(stage: Stage, kafka: Kafka, shop: Shop) -> None:
    """PostgreSQL quotes a row that breaks a rule of its table, with all that it says: that is for nobody's log."""
    topic = await kafka.topic_of_own("refused-marks")
    await shop.execute("ALTER TABLE outbox ADD CHECK (published_at IS NULL)")
    await shop.says(("a", "a 0"), email="kim@shop.example")
    publisher = launch(stage, kafka, source(shop, topic))
    wrong = "database refuses what we do there (CheckViolationError)"
    await becomes(lambda log: wrong in log, lambda: asyncio.to_thread(publisher.log))
    assert await shop.waiting() == 1
    assert "kim@shop.example" not in publisher.log()
