"""Two of every role at once: the same books, whoever comes and goes, and whoever reads everything once more."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.broker import LACKING, WHY_SKIPPED

from counterfoil import config
from counterfoil.bus.connection import client_config
from counterfoil.bus.consumer import Consumer
from counterfoil.bus.lane import Hands
from counterfoil.bus.producer import Producer
from counterfoil.cli.installation import Plan
from counterfoil.cli.ports import Ports
from counterfoil.cli.sides import BothSides
from counterfoil.roles.dispatcher import ORDER
from counterfoil.roles.dispatcher.dispatching import Dispatching
from counterfoil.roles.dispatcher.gateway import Gateway, open_gateway
from counterfoil.roles.hearing import Heard, hearing
from counterfoil.runtime.clock import SystemClock
from counterfoil.store import embedded
from examples.pipeline import demo
from examples.pipeline.running import Pipeline, pipeline
from examples.pipeline.three_books import OverHttp
from examples.shop import customers
from examples.shop.customers import Cancels, Visit

pytestmark = pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED)

ORDERS = 120
SEED = 7
COME_AND_GO = ("dispatcher-2", "worker-2", "dispatcher", "outbox-publisher", "gateway-2", "worker", "webhook-receiver")


def meant(visit: Visit) -> str:
    """How an order is to end: by what its customer pays with, and whether they change their mind."""
    stays = visit.cancels is Cancels.NEVER and "Declined" not in visit.payment_method
    return "paid" if stays else "cancelled"


async def come_and_go(running: Pipeline) -> None:
    """Let processes end in the middle of their work, some asked to and some killed; each is back at once."""
    for number, name in enumerate(COME_AND_GO):
        await asyncio.sleep(0.7)
        os.kill(running.here.kept.pid(name), signal.SIGKILL if number % 2 else signal.SIGTERM)


async def replayed(running: Pipeline, group: str, wanted: int) -> None:
    """Bring every order on the topic to the gateway once more, as a dispatcher of another group does."""
    here = running.here
    kafka = client_config(here.own["KAFKA_BROKERS"], {})
    clock, producer = SystemClock(), Producer(kafka)
    async with open_gateway(here.gateway.url, here.token) as gateway:
        counting = Counting(gateway, wanted)
        consumer = Consumer(kafka, group, ["orders.placed"], Hands(hearing({ORDER: counting.bring}), producer, clock))
        async with asyncio.timeout(60):
            await counting.all_brought.wait()
        await consumer.close(5)
        await producer.close(5)


class Counting:
    """A dispatcher's work, counted until so many orders were brought."""

    def __init__(self, gateway: Gateway, wanted: int) -> None:
        self._dispatching = Dispatching(gateway, SystemClock())
        self._left = wanted
        self.all_brought = asyncio.Event()

    async def bring(self, heard: Heard, tries: int) -> Any:
        """Bring an order there."""
        outcome = await self._dispatching.bring(heard, tries)
        self._left -= 1
        if not self._left:
            self.all_brought.set()
        return outcome


@pytest.mark.storm
async def test_two_of_every_role_give_the_same_books(tmp_path: Path) -> None:
    """Groups rebalance while orders flow, and nothing is lost or doubled; all orders again charge nobody twice."""
    home = tmp_path / "home"
    plan = Plan(settings=config.load({}, None), home=home, ports=Ports.free(), sandbox=True, say=print, each=2)
    visits = customers.plan(SEED, ORDERS)
    try:
        async with pipeline(plan) as running:
            leaving = asyncio.create_task(come_and_go(running))
            ends = await asyncio.to_thread(customers.play, visits, running.shop_url)
            await leaving
            async with BothSides(running.here, SystemClock()) as sides:
                before, differing = await demo.compared(OverHttp(running.shop_url, sides), lambda *_: None)
                assert differing == []
                await replayed(running, "another group", ORDERS - ends["out of stock"])
                after = await OverHttp(running.shop_url, sides).three()
    finally:
        embedded.remove(home)
    by_order = before.shop["by_order"]
    assert len(by_order) == ORDERS - ends["out of stock"]
    assert {one.order_id: meant(one) for one in visits if one.order_id in by_order} == {
        order_id: order["status"] for order_id, order in by_order.items()
    }
    assert (after.shop, after.both) == (before.shop, before.both)
