"""Orders through the whole pipeline, some declined and some cancelled, until three books are equal."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from counterfoil.cli import terminal
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.sides import BothSides
from counterfoil.runtime.clock import SystemClock
from examples.pipeline import three_books
from examples.pipeline.running import Pipeline
from examples.pipeline.three_books import OverHttp, Reader, Three
from examples.shop import customers

SETTLED_SECONDS: Final = 120.0
"""What is not settled when nothing has moved for so long will not be."""

LOOK_SECONDS: Final = 0.5

Moved = Callable[[str, int, int], None]
"""Is told what is done, how many of it, and of how many."""


@dataclass(frozen=True, slots=True)
class Told:
    """How it ended: the books, and in which ways they differ."""

    three: Three
    differences: list[str]
    visits: Counter[str]

    def plain(self) -> dict[str, Any]:
        """Return it for another program."""
        return {
            "equal": not self.differences,
            "customers": dict(sorted(self.visits.items())),
            "books": [
                {"what": one.what.strip(), "shop": one.shop, "counterfoil": one.counterfoil, "stripe": one.stripe}
                for one in three_books.lines(self.three)
            ],
            "differences": self.differences,
        }


async def played(running: Pipeline, orders: int, seed: int, moved: Moved) -> Told:
    """Let customers place orders, wait for the end of each, and compare the books."""
    visits = await placed(running.shop_url, orders, seed, moved)
    async with BothSides(running.here, SystemClock()) as sides:
        three, differing = await compared(OverHttp(running.shop_url, sides), moved)
    return Told(three, differing, visits)


async def placed(shop_url: str, orders: int, seed: int, moved: Moved) -> Counter[str]:
    """Let customers place orders; return how many visits ended how.

    Raises:
        CommandFailed: the shop did not answer, or not as it should.
    """
    plan = customers.plan(seed, orders)
    try:
        return await asyncio.to_thread(
            customers.play, plan, shop_url, lambda done: moved("orders placed", done, orders)
        )
    except customers.ShopAway as away:
        raise CommandFailed(f"not all orders were placed: {away}") from None


async def compared(
    reader: Reader, moved: Moved, patience_seconds: float = SETTLED_SECONDS, look_seconds: float = LOOK_SECONDS
) -> tuple[Three, list[str]]:
    """Return the books and their differences once they are equal, or nothing has moved for that long."""
    loop = asyncio.get_running_loop()
    last, since = -1, loop.time()
    while True:
        shop = await reader.shop()
        left, total = three_books.unsettled(shop), len(shop["by_order"])
        moved("orders settled", max(0, total - left), total)
        if left == 0:
            three = await reader.three()
            left = len(differing := three_books.differences(three))
            if not differing:
                return three, []
        if left != last:
            last, since = left, loop.time()
        elif loop.time() - since > patience_seconds:
            three = await reader.three()
            return three, three_books.differences(three)
        await asyncio.sleep(look_seconds)


def show(told: Told) -> None:
    """Print the books side by side, and whether they are equal."""
    screen = terminal.console()
    screen.print("\nThree books, read apart", style="bold")
    rows = [one.cells() for one in three_books.lines(told.three)]
    terminal.print_table(["", "the shop", "Counterfoil", "the Stripe sandbox"], rows)
    for one in told.differences:
        screen.print(f"  ✗ {one}", style="red")
    if not told.differences:
        count = len(told.three.shop["by_order"])
        screen.print(f"\n  ✓ The books are equal, in every figure and for each of the {count} orders.", style="green")


@contextmanager
def progress(screen: Console) -> Iterator[Moved]:
    """Show how far it is: a bar on a terminal, else a line whenever something has moved."""
    if not screen.is_terminal:
        yield _Lines(screen.print).moved
        return
    columns = (TextColumn("  {task.description:<15}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen) as shown:
        tasks: dict[str, Any] = {}

        def moved(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=total)
            shown.update(tasks[what], completed=done)

        yield moved


@dataclass(slots=True)
class _Lines:
    """Says every fifth of the way in a line of its own."""

    say: Callable[[str], None]
    last: tuple[str, int] = ("", 0)

    def moved(self, what: str, done: int, total: int) -> None:
        fifth = 5 * done // max(1, total)
        if fifth and (what, fifth) != self.last:
            self.last = (what, fifth)
            self.say(f"  {done} of {total} {what}")
