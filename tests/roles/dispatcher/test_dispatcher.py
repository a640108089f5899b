"""Dispatchers as processes between a real Kafka and a real gateway."""

import asyncio
import itertools
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from confluent_kafka import Message
from tests.broker import LACKING, WHY_SKIPPED, Kafka, header
from tests.roles.dispatcher.gateway_peer import GatewayPeer, Reply, problem
from tests.stage import KEY, Running, Stage, authority, becomes, fetch, free_port, order, ready

from counterfoil.bus.message import Outgoing
from counterfoil.roles.dispatcher import GROUP

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]

TOPIC = "orders.placed"
MADE_UP = "cf_made_up"
NUMBERS = itertools.count(1)
BOOKS = "SELECT order_id, id, state, amount_captured, version FROM payments ORDER BY order_id"


@pytest_asyncio.fixture(loop_scope="session")
async def name(kafka: Kafka) -> AsyncIterator[str]:
    """What this test's orders are called; dispatchers begin behind those of other tests."""
    await kafka.move(GROUP, TOPIC, await kafka.ends(TOPIC))
    yield f"{os.getpid()}-{next(NUMBERS)}"


def placed(name: str, number: int, **changes: Any) -> Outgoing:
    """A message with an order, without headers."""
    body = order(f"{name}-{number}", **changes)
    return Outgoing(TOPIC, str(body["order_id"]).encode(), json.dumps(body).encode(), ())


def dispatcher(stage: Stage, kafka: Kafka, url: str, token: str = MADE_UP) -> Running:
    """Start one that brings orders there, ready or not."""
    settings = {"KAFKA_BROKERS": kafka.brokers, "PAYMENTS_GATEWAY_URL": url, "PAYMENTS_GATEWAY_TOKEN": token}
    return stage.listening("dispatcher", **settings)


async def token_of(stage: Stage) -> str:
    return (await authority(stage))["Authorization"].removeprefix("Bearer ")


async def all_done(kafka: Kafka) -> None:
    """Return once the dispatchers have passed everything on the topic."""
    await becomes(await kafka.ends(TOPIC), lambda: kafka.committed(GROUP, TOPIC), seconds=90)


async def letters(kafka: Kafka, name: str, least: int = 0) -> list[Message]:
    """Return this test's dead letters, once there are so many."""

    def ours(found: list[Message]) -> list[Message]:
        return [one for one in found if name.encode() in (one.key() or b"") or name.encode() in (one.value() or b"")]

    end = sum(end for _, end in await kafka.ends(f"{TOPIC}.dlq"))
    return ours(await kafka.heard(f"{TOPIC}.dlq", lambda found: len(found) >= end and len(ours(found)) >= least))


async def charges(stage: Stage, http: httpx.AsyncClient) -> Counter[str]:
    """Return how often each order was charged, as the processor has it."""
    charged: Counter[str] = Counter()
    after: dict[str, str] = {}
    while True:
        answer = await http.get(
            f"{stage.sandbox_url}/v1/charges",
            params={"limit": "100", **after},
            headers={"Authorization": f"Bearer {KEY}"},
        )
        page = answer.json()
        charged.update(one["metadata"]["order_id"] for one in page["data"] if one["captured"])
        if not page["has_more"]:
            return charged
        after = {"starting_after": page["data"][-1]["id"]}


@pytest.mark.storm
async def test_killed_while_orders_flow_it_loses_and_doubles_none(
    stage: Stage, kafka: Kafka, http: httpx.AsyncClient, name: str
) -> None:
    """Each order has one payment and one charge; everything heard once more from the beginning changes no book."""
    gateway, token = stage.start("gateway"), await token_of(stage)
    running = dispatcher(stage, kafka, gateway.url, token)
    before = await kafka.ends(TOPIC)

    async def place() -> None:
        for first in range(0, 300, 30):
            await kafka.say(*(placed(name, number) for number in range(first, first + 30)))

    async def count() -> int:
        return int((await fetch(stage, "SELECT count(*) FROM payments"))[0][0])

    placing = asyncio.create_task(place())
    for enough in (40, 120, 200):
        await becomes(lambda found, enough=enough: found >= enough, count, seconds=60)
        running.kill()
        running = dispatcher(stage, kafka, gateway.url, token)
    await placing
    await all_done(kafka)

    names = sorted(f"order-{name}-{number}" for number in range(300))
    books = await fetch(stage, BOOKS)
    assert sorted(row[0] for row in books) == names
    assert {row[2] for row in books} == {"succeeded"}
    assert await charges(stage, http) == Counter(names)

    running.terminate()
    assert running.ended() == 0
    await kafka.move(GROUP, TOPIC, before)
    again = dispatcher(stage, kafka, gateway.url, token)
    await all_done(kafka)
    assert await fetch(stage, BOOKS) == books
    assert await charges(stage, http) == Counter(names)
    assert await letters(kafka, name) == []
    again.terminate()
    assert again.ended() == 0


async def test_poison_among_good_ones_stops_nothing(stage: Stage, kafka: Kafka, name: str) -> None:
    """No JSON, no key, a tombstone, a later version, an amount that nobody charges: the rest are paid."""
    gateway, token = stage.start("gateway"), await token_of(stage)
    good = [placed(name, number) for number in range(30)]
    key = f"{name}-bad".encode()
    newer = (("ce_dataschema", b"urn:counterfoil:OrderPlaced:2.0.0"),)
    bad = [
        Outgoing(TOPIC, key, b"no JSON", ()),
        Outgoing(TOPIC, None, placed(name, 100).value, ()),
        Outgoing(TOPIC, key, None, ()),
        Outgoing(TOPIC, key, placed(name, 101).value, newer),
        Outgoing(TOPIC, key, b"{}", (("ce_type", b"OrderForgotten"),)),
        Outgoing(TOPIC, key, json.dumps({**order(f"{name}-102"), "note": "4242424242424242"}).encode(), ()),
        placed(name, 103, amount_cents=1),
    ]
    await kafka.say(*itertools.chain.from_iterable(zip(good, bad * 5, strict=False)))
    running = dispatcher(stage, kafka, gateway.url, token)
    await all_done(kafka)

    assert await fetch(stage, "SELECT count(*) FROM payments WHERE state = 'succeeded'") == [(30,)]
    found = {(header(one, "dlq_reason"), one.value() is None) for one in await letters(kafka, name, 5)}
    assert found == {
        ("invalid-request", False),
        ("no_key", False),
        ("newer_version", False),
        ("card-data-not-accepted", True),
        ("amount-refused", False),
    }
    told = await kafka.heard(
        "payments.failed", lambda found: sum(name.encode() in (one.key() or b"") for one in found) >= 2
    )
    refused = {json.loads(one.value() or b"")["orderId"] for one in told if name.encode() in (one.key() or b"")}
    assert refused == {f"order-{name}-102", f"order-{name}-103"}
    assert "4242424242424242" not in running.log()
    running.terminate()
    assert running.ended() == 0


async def test_a_gateway_that_is_down_for_a_while_costs_no_order(stage: Stage, kafka: Kafka, name: str) -> None:
    """Orders wait while it is away, the dispatcher not ready but in its group; once it is back all are paid."""
    port, token = free_port(), await token_of(stage)
    running = dispatcher(stage, kafka, f"http://127.0.0.1:{port}", token)
    await kafka.say(*(placed(name, number) for number in range(100)))
    await becomes(lambda log: log.count("consumer.again") > 200, lambda: asyncio.to_thread(running.log), seconds=60)
    assert await asyncio.to_thread(lambda: ready(running)[0]) == 503
    first = stage.start("gateway", PORT=str(port))

    async def some() -> bool:
        return (await fetch(stage, "SELECT count(*) > 0 FROM payments")) == [(True,)]

    await becomes(bool, some)
    first.terminate()
    assert await asyncio.to_thread(first.ended) == 0
    stage.start("gateway", PORT=str(port))
    await all_done(kafka)

    assert await fetch(stage, "SELECT count(*) FROM payments WHERE state = 'succeeded'") == [(100,)]
    assert [header(one, "dlq_reason") + header(one, "dlq_error") for one in await letters(kafka, name)] == []
    running.terminate()
    assert running.ended() == 0


async def test_each_answer_has_its_end(stage: Stage, kafka: Kafka, peer: GatewayPeer, name: str) -> None:
    """Some orders are done at once, some by a further try, and one never: that one is a dead letter within a minute."""
    ids = [f"order-{name}-{number}" for number in range(8)]
    replies = [
        [],
        [Reply(503)],
        [Reply(409, {}, {"Retry-After": "2"}), Reply(0)],
        [Reply(401), Reply(429)],
        [problem(422, "order-has-payment")],
        [problem(400, "invalid-request")],
        [Reply(500)] * 50,
        [problem(429, "rate-limited", payment_id="p")],
    ]
    for order_id, some in zip(ids, replies, strict=True):
        peer.replies[order_id] = some
    await kafka.say(*(placed(name, number) for number in range(8)))
    running = dispatcher(stage, kafka, peer.url)
    await all_done(kafka)

    assert [peer.asked[order_id] for order_id in ids] == [1, 2, 3, 3, 1, 1, 8, 1]
    found = {
        (one.key() or b"").decode(): (header(one, "dlq_reason"), header(one, "dlq_attempts"))
        for one in await letters(kafka, name, 3)
    }
    assert found == {
        ids[4]: ("order-has-payment", "1"),
        ids[5]: ("invalid-request", "1"),
        ids[6]: ("tries", "8"),
    }
    assert "dispatcher.refused" in running.log()
    running.terminate()
    assert running.ended() == 0


@pytest.mark.storm
async def test_one_that_was_frozen_comes_back_to_nothing(
    stage: Stage, kafka: Kafka, peer: GatewayPeer, name: str
) -> None:
    """Taken for gone, with orders in hand: another brings these; awake again it lets them be, and works on."""
    for number in range(20):
        peer.replies[f"order-{name}-{number}"] = [Reply(503, {}, {"Retry-After": "2"})]
    frozen = dispatcher(stage, kafka, peer.url)
    await kafka.say(*(placed(name, number) for number in range(20)))
    await becomes(lambda log: "consumer.again" in log, lambda: asyncio.to_thread(frozen.log))
    frozen.freeze()
    other = dispatcher(stage, kafka, peer.url)
    await all_done(kafka)
    frozen.thaw()
    await becomes(lambda log: "consumer.lost" in log, lambda: asyncio.to_thread(frozen.log))
    await kafka.say(*(placed(name, number) for number in range(20, 60)))
    await all_done(kafka)
    assert sorted(peer.asked) == sorted(f"order-{name}-{number}" for number in range(60))
    assert await letters(kafka, name) == []
    for running in (frozen, other):
        running.terminate()
        assert await asyncio.to_thread(running.ended) == 0


async def test_it_ends_without_a_broker_too(kafka: Kafka, stage: Stage, peer: GatewayPeer, name: str) -> None:
    """Asked to end while no broker answers, it does so with 0, in its time; later the next one goes on from there."""
    running = dispatcher(stage, kafka, peer.url)
    await kafka.say(placed(name, 1))
    await all_done(kafka)
    await kafka.killed()

    async def readiness() -> dict[str, str]:
        checks: dict[str, str] = (await asyncio.to_thread(lambda: ready(running)[1]))["checks"]
        return checks

    await becomes(lambda checks: checks["kafka"] != "ok" and checks["gateway"] == "ok", readiness)
    running.terminate()
    assert await asyncio.to_thread(running.ended) == 0
    await kafka.again()
    await kafka.say(placed(name, 2))
    after = dispatcher(stage, kafka, peer.url)
    await all_done(kafka)
    assert [peer.asked[f"order-{name}-{number}"] for number in (1, 2)] == [1, 1]
    after.terminate()
    assert after.ended() == 0
