"""Facts off a real Kafka: none is passed over before it had its effect, whoever dies, comes, or is away."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.broker import LACKING, WHY_SKIPPED, Kafka
from tests.shop import placed, said, shop_process
from tests.stage import Running, becomes

from counterfoil.bus.message import Outgoing
from examples.shop.database import Pool
from examples.shop.hearing import hear
from examples.shop.listening import Listener
from examples.shop.messages import TOPICS, Record

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]

GROUPS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Scene:
    """A shop, and a group of this test alone that hears for it."""

    http: httpx.AsyncClient
    url: str
    pool: Pool
    kafka: Kafka
    group: str
    ending: AsyncExitStack

    def listen(self, hear_them: Callable[[Sequence[Record]], Awaitable[None]] | None = None) -> Listener:
        """Let a listener join the group; it leaves at the end, if it has not before."""
        listener = Listener(self.kafka.brokers, self.group, hear_them or partial(hear, self.pool))
        self.ending.push_async_callback(listener.stop)
        listener.start()
        return listener


@pytest_asyncio.fixture(loop_scope="session")
async def scene(shop: str, http: httpx.AsyncClient, shop_pool: Pool, kafka: Kafka) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as ending:
        yield Scene(http, shop, shop_pool, kafka, f"shop-{next(GROUPS)}", ending)


async def all_passed(kafka: Kafka, group: str) -> None:
    """Return once the group has committed every message of its topics."""
    for topic in TOPICS:
        ends = [(partition, end) for partition, end in await kafka.ends(topic) if end]
        await becomes(ends, partial(kafka.committed, group, topic))


async def books(http: httpx.AsyncClient, shop: str) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"{shop}/books")).json()
    return found


def paid(order_id: str) -> tuple[Outgoing, Outgoing]:
    return (
        said("PaymentSucceeded", order_id, 2, amount=2670),
        said("InventoryAdjustmentRequested", order_id, 3),
    )


def failed(order_id: str) -> tuple[Outgoing, Outgoing]:
    return (
        said("PaymentFailed", order_id, 2),
        said("InventoryAdjustmentRequested", order_id, 3, direction="RELEASE"),
    )


async def test_facts_are_heard_and_passed(scene: Scene) -> None:
    """From the beginning of the topics, as a new group does; it is ready once it has its share of the partitions."""
    for number in range(6):
        await placed(scene.http, scene.url, f"heard-{number}")
    for number in range(6):
        await scene.kafka.say(*(failed if number % 3 == 0 else paid)(f"heard-{number}"))
    listener = scene.listen()
    await all_passed(scene.kafka, scene.group)
    found = await books(scene.http, scene.url)
    assert found["orders"] == {"placed": 0, "paid": 4, "cancelled": 2, "refused": 0}
    assert (found["stock"]["tea-sencha"]["on_hand"], found["stock"]["tea-sencha"]["reserved"]) == (99_996, 0)
    assert listener.is_ready
    await listener.stop()
    assert not listener.is_ready


async def test_a_spoilt_message_stops_nobody(scene: Scene) -> None:
    """It stands before others of its partition: it is put aside, and they are heard."""
    await placed(scene.http, scene.url, "spoilt-1")
    good, adjustment = paid("spoilt-1")
    poison = [replace(good, value=b"{"), replace(good, headers=()), said("PaymentSucceeded", "spoilt-\0")]
    scene.listen()
    await scene.kafka.say(*[replace(one, key=good.key) for one in poison])
    await scene.kafka.say(good, adjustment)
    await all_passed(scene.kafka, scene.group)
    found = await books(scene.http, scene.url)
    assert (found["orders"]["paid"], found["unreadable"]) == (1, 3)


async def test_what_cannot_be_heard_now_is_heard_later(scene: Scene) -> None:
    """While the database does not take it nothing is committed, not at the end either, and it is tried again."""
    await placed(scene.http, scene.url, "later-1")
    tries = 0

    async def hear_if_possible(records: Sequence[Record]) -> None:
        nonlocal tries
        tries += 1
        await hear(scene.pool, records)

    await scene.pool.execute("ALTER TABLE heard RENAME TO away")
    await scene.kafka.say(*paid("later-1"))
    first = scene.listen(hear_if_possible)

    async def tried() -> int:
        return tries

    await becomes(lambda count: count >= 2, tried)
    await first.stop()
    for topic in TOPICS:
        assert await scene.kafka.committed(scene.group, topic) == []
    scene.listen(hear_if_possible)
    await scene.pool.execute("ALTER TABLE away RENAME TO heard")
    await all_passed(scene.kafka, scene.group)
    assert (await books(scene.http, scene.url))["orders"]["paid"] == 1


@pytest.mark.storm
async def test_brokers_that_go_and_come_back(scene: Scene) -> None:
    """Without them it is not ready, once the group has taken it for gone; back, it hears what was missed."""
    await placed(scene.http, scene.url, "away-1")
    listener = scene.listen()

    async def state() -> str:
        return "ready" if listener.is_ready else "away"

    await becomes("ready", state)
    await scene.kafka.killed()
    await becomes("away", state, seconds=60)
    await scene.kafka.again()
    await scene.kafka.say(*paid("away-1"))
    await becomes("ready", state, seconds=60)
    await all_passed(scene.kafka, scene.group)
    assert (await books(scene.http, scene.url))["orders"]["paid"] == 1


@pytest.mark.storm
async def test_nothing_is_lost_where_processes_die_and_others_take_over(
    database_url: str, http: httpx.AsyncClient, kafka: Kafka, tmp_path: Path
) -> None:
    """Of two processes one is killed while facts come, and a third one joins: the books are exact."""
    start = partial(shop_process, tmp_path, database_url, kafka.brokers)
    with start() as first, start() as second, ExitStack() as ending:
        for one in (first, second):
            await becomes(200, partial(_readiness, http, one), seconds=60)
        orders = [f"killed-{number}" for number in range(200)]
        for some in (orders[:100], orders[100:]):
            await asyncio.gather(*(placed(http, second.url, order_id) for order_id in some))
        facts = [fact for number, of in enumerate(orders) for fact in (paid(of) if number % 4 else failed(of))]
        await kafka.say(*facts[:150])
        first.kill()
        await kafka.say(*facts[150:], *facts[:50])  # and some a second time
        third = ending.enter_context(start())
        await becomes(200, partial(_readiness, http, third), seconds=60)
        await all_passed(kafka, "shop")
        found = await books(http, third.url)
        assert found["orders"] == {"placed": 0, "paid": 150, "cancelled": 50, "refused": 0}
        assert found["paid_cents"] == 150 * 2670
        assert (found["stock"]["tea-rooibos"]["on_hand"], found["stock"]["tea-rooibos"]["reserved"]) == (99_700, 0)
        assert found["unpublished"] == 200 + 50
        third.terminate()
        second.terminate()
        assert (third.ended(), second.ended()) == (0, 0)


async def _readiness(http: httpx.AsyncClient, running: Running) -> int:
    assert running.process.poll() is None, running.log()
    try:
        return (await http.get(f"{running.url}/readyz")).status_code
    except httpx.TransportError:
        return 0
