"""A trace goes the whole way, from another service's outbox to the facts of its payment; all roles are processes."""

import itertools
import json
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid5

import httpx
import pytest
import pytest_asyncio
from confluent_kafka import Message
from tests.broker import LACKING, WHY_SKIPPED, Kafka
from tests.conftest import DatabaseMaker
from tests.outboxes import NAMESPACE, TABLE, Shop
from tests.stage import Stage, authority, becomes, fetch, order

from counterfoil.bus.message import Outgoing
from counterfoil.roles.dispatcher import GROUP as DISPATCHERS
from counterfoil.roles.worker.listening import GROUP as WORKERS
from counterfoil.roles.worker.listening import TOPICS

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ANOTHER = "01-11f92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more"
BAD = "00-00000000000000000000000000000000-00f067aa0ba902b7-01"
NUMBERS = itertools.count(1)
HELD = "SELECT order_id, traceparent FROM payments ORDER BY order_id"


@pytest_asyncio.fixture
async def shop(make_database: DatabaseMaker) -> Shop:
    """Another service with an empty outbox."""
    made = Shop(await make_database())
    await made.execute(TABLE)
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def name(kafka: Kafka) -> AsyncIterator[str]:
    """What this test's orders are called; dispatchers and workers begin behind those of other tests."""
    for group, topic in [(DISPATCHERS, "orders.placed"), *((WORKERS, topic) for topic in TOPICS)]:
        await kafka.move(group, topic, await kafka.ends(topic))
    yield f"traced-{os.getpid()}x{next(NUMBERS)}"


async def traces(kafka: Kafka, topic: str, key: str, least: int = 1) -> list[str | None]:
    """Return the traces of all messages of a key, once there are so many."""

    def ours(found: list[Message]) -> list[Message]:
        return [one for one in found if one.key() == key.encode()]

    messages = ours(await kafka.heard(topic, lambda found: len(ours(found)) >= least))
    found: list[dict[str, Any]] = [dict(one.headers() or []) for one in messages]
    return [one["traceparent"].decode() if "traceparent" in one else None for one in found]


def placed(name: str, number: int, trace: str | None, **changes: Any) -> Outgoing:
    """A message with an order."""
    body = order(f"{name}-{number}", **changes)
    headers = () if trace is None else (("traceparent", trace.encode()),)
    return Outgoing("orders.placed", str(body["order_id"]).encode(), json.dumps(body).encode(), headers)


async def dispatching(stage: Stage, kafka: Kafka) -> None:
    """Start a gateway and a dispatcher that brings orders there."""
    gateway, token = stage.start("gateway"), (await authority(stage))["Authorization"].removeprefix("Bearer ")
    settings = {"PAYMENTS_GATEWAY_URL": gateway.url, "PAYMENTS_GATEWAY_TOKEN": token}
    stage.start("dispatcher", KAFKA_BROKERS=kafka.brokers, **settings)


async def test_a_trace_goes_from_an_outbox_to_the_facts(stage: Stage, kafka: Kafka, shop: Shop, name: str) -> None:
    """Shop, publisher, topic, dispatcher, gateway, store, publisher, topic: each passes on what it was given."""
    await dispatching(stage, kafka)
    source = {"name": "shop", "database_url": shop.url, "topics": {"OrderPlaced": "orders.placed"}}
    stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers, OUTBOX_SOURCES=json.dumps([source]))
    body = order(name)
    await shop.places({**body, "traceparent": TRACE})

    ((payment_id,),) = await becomes(lambda found: len(found) == 1, lambda: fetch(stage, "SELECT id FROM payments"))
    assert await traces(kafka, "orders.placed", body["order_id"]) == [TRACE]
    for topic in ("payments.requested", "payments.completed"):
        assert await traces(kafka, topic, str(payment_id)) == [TRACE]


async def test_an_order_keeps_the_trace_that_it_came_with(stage: Stage, kafka: Kafka, name: str) -> None:
    """Also one of a later version; without one, or with one that is not well formed, its facts have none."""
    await dispatching(stage, kafka)
    given = [TRACE, ANOTHER, BAD, None]
    await kafka.say(*(placed(name, number, trace) for number, trace in enumerate(given)))
    wanted = [(f"order-{name}-{number}", trace) for number, trace in enumerate([TRACE, ANOTHER, None, None])]
    await becomes(wanted, lambda: fetch(stage, HELD))

    stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers)
    for payment_id, trace in await fetch(stage, "SELECT id, traceparent FROM payments"):
        assert await traces(kafka, "payments.completed", str(payment_id)) == [trace]


async def test_what_is_said_of_a_refused_order_has_its_trace(stage: Stage, kafka: Kafka, name: str) -> None:
    """OrderRefused, and the dead letter beside it, which has all headers as they came."""
    await dispatching(stage, kafka)
    await kafka.say(placed(name, 1, TRACE, amount_cents=1), placed(name, 2, BAD, amount_cents=1))
    assert await traces(kafka, "payments.failed", f"order-{name}-1") == [TRACE]
    assert await traces(kafka, "payments.failed", f"order-{name}-2") == [None]
    assert await traces(kafka, "orders.placed.dlq", f"order-{name}-1") == [TRACE]
    assert await traces(kafka, "orders.placed.dlq", f"order-{name}-2") == [BAD]


async def test_a_command_off_kafka_keeps_its_trace(stage: Stage, kafka: Kafka, name: str) -> None:
    """ProcessPayment, and every fact that the worker brings about, a refund's too: it is the payment's."""
    stage.start("worker", KAFKA_BROKERS=kafka.brokers)
    stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers)
    payment_id = str(uuid5(NAMESPACE, name))
    body: dict[str, Any] = {
        "paymentId": payment_id,
        "amount": "19.99",
        "currency": "EUR",
        "paymentMethod": {"type": "card", "token": "pm_card_visa"},
        "idempotencyKey": f"key-{name}",
        "metadata": {"orderId": f"order-{name}"},
    }
    back = {"paymentId": payment_id, "idempotencyKey": f"back-{name}"}
    for kind, said, trace in (("ProcessPayment", body, TRACE), ("RefundPayment", back, ANOTHER)):
        headers = (("ce_type", kind.encode()), ("traceparent", trace.encode()))
        await kafka.say(Outgoing("payments.commands", payment_id.encode(), json.dumps(said).encode(), headers))
    for topic in ("payments.requested", "payments.completed", "refunds.requested", "refunds.processed"):
        assert await traces(kafka, topic, payment_id) == [TRACE]


async def test_every_route_that_makes_a_payment_keeps_its_trace(stage: Stage, http: httpx.AsyncClient) -> None:
    """The first request counts: what comes again is the same payment. Two headers are none."""
    gateway, headers = stage.start("gateway"), await authority(stage)
    payment_id = str(uuid5(NAMESPACE, "route"))
    command = {
        "payment_id": payment_id,
        "amount": "19.99",
        "currency": "EUR",
        "payment_method": {"type": "card", "token": "pm_card_visa"},
        "idempotency_key": "key",
        "metadata": {"order_id": "order-command"},
    }
    hold = {"order_id": "order-hold", "amount": 1999, "currency": "EUR", "payment_method": "pm_card_visa"}
    asked: list[tuple[str, dict[str, Any], list[str]]] = [
        ("/charge", order("charge"), [TRACE]),
        ("/charge", order("charge"), [ANOTHER]),
        ("/charge", order("twice"), [TRACE, TRACE]),
        ("/payments", command, [TRACE]),
        ("/payments/authorize", hold, [ANOTHER]),
    ]
    for path, body, given in asked:
        sent = [*headers.items(), *(("traceparent", trace) for trace in given)]
        answer = await http.post(f"{gateway.url}{path}", json=body, headers=sent)
        assert answer.is_success, answer.text
    assert await fetch(stage, HELD) == [
        ("order-charge", TRACE), ("order-command", TRACE), ("order-hold", ANOTHER), ("order-twice", None),
    ]  # fmt: skip
