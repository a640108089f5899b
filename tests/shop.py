"""What Counterfoil tells the example's shop, made of the golden samples of its messages."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
from tests import told
from tests.broker import Kafka
from tests.stage import Running, free_port

from counterfoil.bus.message import Outgoing
from counterfoil.messages.cloud_event import Told, headers, refusal_headers, source_of
from counterfoil.messages.topics import TOPIC_OF
from counterfoil.roles import dispatcher
from counterfoil.roles.worker.listening import GROUP, TOPICS
from examples.shop.messages import Record

CHECKOUT = Path(__file__).parents[1]
GOLDEN = CHECKOUT / "tests" / "messages" / "golden"
OFFSETS = itertools.count()
_NAMES = UUID("018f3c1e-7a52-7c64-9d0b-5e1f6a2b8c91")


def golden(name: str) -> dict[str, Any]:
    """Return the golden sample of a message's first version."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}-1.0.0.json").read_text())
    return found


def payment_of(order_id: str) -> UUID:
    """Return the id of an order's payment."""
    return uuid5(_NAMES, order_id)


def refund_of(order_id: str) -> UUID:
    """Return the id of the refund of an order's payment."""
    return uuid5(_NAMES, f"{order_id} refund")


def said(name: str, order_id: str, sequence: int = 1, **changes: Any) -> Outgoing:
    """Return a message about an order as Counterfoil sends it; ``sequence`` tells it from others of its payment."""
    body = golden(name) | {"orderId": order_id} | changes
    message_id = uuid5(_NAMES, f"{order_id} {name} {sequence}")
    if name == "OrderRefused":
        key, marks = order_id, refusal_headers(str(message_id), order_id, told.START, None)
    else:
        payment_id = payment_of(order_id)
        body |= {"paymentId": str(payment_id)}
        if "refundId" in body:
            body |= {"refundId": str(refund_of(order_id))}
        key = str(payment_id)
        marks = headers(Told(message_id, name, "1.0.0", key, told.START, sequence), source_of("test"))
    return Outgoing(TOPIC_OF[name], key.encode(), json.dumps(body).encode(), marks)


def record(message: Outgoing) -> Record:
    """Return it as it comes off its topic."""
    return Record(message.topic, 0, next(OFFSETS), message.key, message.value, dict(message.headers))


def wanted(order_id: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return an order of two things for 26.70 euros, as a customer places it."""
    return {
        "order_id": order_id,
        "customer_id": "customer-1",
        "email": "ada@example.com",
        "items": [{"sku": "tea-sencha", "quantity": 1}, {"sku": "tea-rooibos", "quantity": 2}],
        "payment_method": "pm_card_visa",
        **changes,
    }


@contextmanager
def shop_process(folder: Path, database_url: str, brokers: str) -> Iterator[Running]:
    """Start the shop as whoever tries it does, from the checkout, and yield it; it is killed at the end."""
    port, log_file = free_port(), folder / f"shop-{next(OFFSETS)}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.shop"],
            cwd=CHECKOUT,
            env={"SHOP_DATABASE_URL": database_url, "KAFKA_BROKERS": brokers, "PORT": str(port), "PATH": os.defpath},
            stderr=log,
        )
    with Running(f"http://127.0.0.1:{port}", process, log_file) as running:
        yield running


async def behind_other_tests(kafka: Kafka) -> None:
    """Let Counterfoil's groups, which have no members now, begin behind what other tests have said."""
    for group, topics in ((dispatcher.GROUP, ["orders.placed"]), (GROUP, TOPICS)):
        for topic in topics:
            await kafka.move(group, topic, await kafka.ends(topic))


async def placed(http: httpx.AsyncClient, shop: str, order_id: str, **changes: Any) -> dict[str, Any]:
    """Place an order, and return it."""
    answer = await http.post(f"{shop}/orders", json=wanted(order_id, **changes))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found
