"""Every role and the broker are killed, over and over, while orders flow: in the end three books are equal.

It takes minutes, so it is left out of `make test`: `make storm` runs it, and `.ci/run`. The seed is printed, and
`STORM_SEED` sets it. ``-s`` shows each kill.
"""

import asyncio
import os
import random  # noqa: TID251 - a test's own, seeded, and the seed is printed
import signal
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from tests.broker import LACKING, WHY_SKIPPED
from tests.examples.pipeline.test_scaling_out import meant

from counterfoil import config
from counterfoil.cli.family import Family, Patience
from counterfoil.cli.installation import Plan
from counterfoil.cli.ports import Ports
from counterfoil.cli.sides import BothSides
from counterfoil.config import Role
from counterfoil.runtime.clock import SystemClock
from counterfoil.store import embedded
from examples.pipeline import demo, three_books
from examples.pipeline.running import Pipeline, pipeline
from examples.pipeline.three_books import OverHttp
from examples.shop import customers

pytestmark = [pytest.mark.storm, pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED)]

KILLS_OF_EACH: Final = 10
BETWEEN_SECONDS: Final = (0.3, 4.0)
WAVE: Final = 8
"""Orders that customers place before they look again whether the storm is over: about one a second in all."""

PATIENCE: Final = Patience(back_off_seconds=(0.2,))
"""Whoever is killed is back at once, to be killed in the middle of its work and not of a long wait."""

say: Final = print
"""What a watcher is shown."""

SETTLED_SECONDS: Final = 300.0
"""A claim of a process that was killed ends after two minutes, and what is in doubt is looked up by and by."""


def seed() -> int:
    """The storm's seed: its own at each run, unless it is set."""
    set_to = os.environ.get("STORM_SEED")  # noqa: TID251 - a setting of this test's alone
    return int(set_to or random.SystemRandom().randrange(1_000_000))


async def another(kept: Family, name: str, earlier: set[int]) -> int:
    """Return a member's present process once that is none of those that were killed."""
    while True:
        pid = kept.pid(name)
        if pid not in earlier:
            return pid
        await asyncio.sleep(0.05)


async def storm(kept: Family, drawn: random.Random) -> Counter[str]:
    """Kill every role and the broker ten times each, in an order and at times that the seed draws."""
    victims = [*Role, "kafka"] * KILLS_OF_EACH
    drawn.shuffle(victims)
    done, killed = Counter[str](), set[int]()
    for name in victims:
        await asyncio.sleep(drawn.uniform(*BETWEEN_SECONDS))
        pid = await another(kept, name, killed)
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
        done[name] += 1
        say(f"killed {name} ({pid})")
    return done


async def ordered_until(over: asyncio.Event, running: Pipeline, first: int) -> tuple[dict[str, str], int]:
    """Let customers place orders, wave after wave, until the storm is over.

    Return how each is to end, and how many of them were never placed because something was out of stock.
    """
    wanted: dict[str, str] = {}
    out_of_stock = 0
    while not over.is_set():
        visits = customers.plan(first + len(wanted), WAVE)
        ends = await asyncio.to_thread(customers.play, visits, running.shop_url)
        wanted |= {one.order_id: meant(one) for one in visits}
        out_of_stock += ends["out of stock"]
    return wanted, out_of_stock


async def test_three_books_are_equal_after_a_storm(tmp_path: Path) -> None:
    """Sixty kills by SIGKILL, at times that a seed draws: no order is lost, none is charged twice, all are told.

    And each ends as its customer meant it to: books in which a good card was declined would be equal, too.
    """
    number = seed()
    say(f"\nSTORM_SEED={number}")
    drawn = random.Random(number)  # noqa: S311 - a seeded draw is the point
    home = tmp_path / "home"
    plan = Plan(settings=config.load({}, None), home=home, ports=Ports.free(), sandbox=True, say=say, patience=PATIENCE)
    try:
        async with pipeline(plan) as running:
            over = asyncio.Event()
            ordering = asyncio.create_task(ordered_until(over, running, number))
            done = await storm(running.here.kept, drawn)
            over.set()
            wanted, out_of_stock = await ordering
            async with BothSides(running.here, SystemClock()) as sides:
                three, differing = await demo.compared(
                    OverHttp(running.shop_url, sides), lambda *_: None, SETTLED_SECONDS
                )
        for line in three_books.lines(three):
            say(*line.cells(), sep=" | ")
        assert differing == []
        assert done == dict.fromkeys([*Role, "kafka"], KILLS_OF_EACH)
        ended = {order_id: one["status"] for order_id, one in three.shop["by_order"].items()}
        assert ended == {order_id: wanted[order_id] for order_id in ended}
        assert len(ended) == len(wanted) - out_of_stock
        assert three.shop["orders"]["paid"] > len(wanted) / 2
    finally:
        embedded.remove(home)
