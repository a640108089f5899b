"""The example's shop and the whole of Counterfoil, over a real Kafka: customers come, and both books agree."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from tests.broker import LACKING, WHY_SKIPPED, Kafka
from tests.shop import behind_other_tests, placed, shop_process
from tests.stage import Running, Stage, authority, becomes, fetch

from counterfoil.messages.topics import TOPIC_OF
from examples.shop.customers import Cancels, plan, play

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]

ORDERS = 60
CARD_NUMBER = "4242424242424242"
TAKEN = "SELECT sku, sum(quantity) FROM order_lines JOIN orders USING (order_id) WHERE paid_cents > 0 GROUP BY sku"
PAID = "SELECT order_id, id::text, amount_captured, amount_refunded FROM payments"


def source(database_url: str) -> str:
    """Return the setting by which the publisher finds the shop's outbox."""
    topics = {name: TOPIC_OF[name] for name in ("OrderPlaced", "OrderCancelled")}
    return json.dumps([{"name": "shop", "database_url": database_url, "topics": topics}])


@asynccontextmanager
async def all_roles(stage: Stage, kafka: Kafka, shops_database: str) -> AsyncIterator[None]:
    """Run all that Counterfoil has."""
    await behind_other_tests(kafka)
    stage.start_registered_receiver()
    gateway = stage.start("gateway")
    token = (await authority(stage))["Authorization"].removeprefix("Bearer ")
    stage.start("worker", KAFKA_BROKERS=kafka.brokers)
    stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers, OUTBOX_SOURCES=source(shops_database))
    stage.start(
        "dispatcher",
        KAFKA_BROKERS=kafka.brokers,
        PAYMENTS_GATEWAY_URL=gateway.url,
        PAYMENTS_GATEWAY_TOKEN=token,
    )
    yield


def settled(books: dict[str, Any]) -> bool:
    """Whether every order has its end, every reservation too, and what is not wanted was given back."""
    return (
        not books["orders"]["placed"]
        and not books["unpublished"]
        and not any(one["reserved"] for one in books["stock"].values())
        and all(
            one["refunded_cents"] == (0 if one["status"] == "paid" else one["paid_cents"])
            for one in books["by_order"].values()
        )
    )


async def served(http: httpx.AsyncClient, shop: Running) -> None:
    """Let sixty customers in, and one who gives a card's number in place of its token."""
    visits = plan(11, ORDERS)
    assert {Cancels.AT_ONCE, Cancels.ONCE_PAID} < {visit.cancels for visit in visits}
    await placed(http, shop.url, "with-a-number", payment_method=CARD_NUMBER)
    ends = await asyncio.to_thread(play, visits, shop.url)
    assert ends.total() == ORDERS


async def test_both_books_agree(
    stage: Stage, kafka: Kafka, http: httpx.AsyncClient, database_url: str, tmp_path: Path
) -> None:
    """Paid, declined, cancelled before and after: each order has its end, and no cent and no cup is unaccounted for."""
    with shop_process(tmp_path, database_url, kafka.brokers) as shop:

        async def books() -> dict[str, Any]:
            try:
                found: dict[str, Any] = (await http.get(f"{shop.url}/books")).json()
            except httpx.TransportError:
                assert shop.process.poll() is None, shop.log()
                return {}
            return found

        await becomes(bool, books)
        async with all_roles(stage, kafka, database_url):
            await served(http, shop)
            found = await becomes(settled, books, seconds=120)

    assert {one["status"] for one in found["by_order"].values()} == {"paid", "cancelled", "refused"}
    assert found["by_order"]["with-a-number"]["status"] == "refused"
    theirs = {row[0]: row[1:] for row in await fetch(stage, PAID)}
    ours = {
        order_id: (one["payment_id"], one["paid_cents"], one["refunded_cents"])
        for order_id, one in found["by_order"].items()
        if one["status"] != "refused"
    }
    assert ours == theirs
    assert found["unreadable"] == 0
    connection = await asyncpg.connect(database_url)
    taken = {row["sku"]: row["sum"] for row in await connection.fetch(TAKEN)}
    await connection.close()
    assert taken == {
        sku: one["at_start"] - one["on_hand"] for sku, one in found["stock"].items() if one["at_start"] > one["on_hand"]
    }
