"""When the demonstration says that books are equal, when it gives up, and what it says of a shop that is gone."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tests.examples.pipeline.test_three_books import equal
from tests.stage import free_port

from counterfoil.cli.exits import CommandFailed
from examples.pipeline import demo
from examples.pipeline.three_books import Three


class MadeUp:
    """Books as a test makes them up: how each look finds the shop, the last one from then on."""

    def __init__(self, *found: Mapping[str, Any]) -> None:
        self.found = list(found)
        self.looks = 0

    async def shop(self) -> Mapping[str, Any]:
        """Return the shop's books of this look."""
        self.looks += 1
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    async def three(self) -> Three:
        """Return all three books as they are now."""
        three = equal()
        return Three(self.found[0], three.both, three.asked_for)


async def compared(reader: MadeUp, patience: float, between: float = 0) -> tuple[list[str], list[Any]]:
    """Compare these books, so many seconds between two looks; return their differences, and what a watcher is told."""
    seen: list[Any] = []
    async with asyncio.timeout(30):
        _, differing = await demo.compared(
            reader, lambda what, done, total: seen.append((what, done, total)), patience, between
        )
    return differing, seen


def books(**orders: dict[str, Any]) -> dict[str, Any]:
    """The shop's books with some orders otherwise than they should be."""
    shop = dict(equal().shop)
    return {
        **shop,
        "by_order": {**shop["by_order"], **{name: shop["by_order"][name] | one for name, one in orders.items()}},
    }


async def test_books_that_become_equal_are_waited_for() -> None:
    """It looks until every order has its end, and ends at once then."""
    open_ones = [books(kept={"status": "placed"}, declined={"status": "placed"}), books(kept={"status": "placed"})]
    reader = MadeUp(*open_ones, dict(equal().shop))
    differing, seen = await compared(reader, 60)
    assert (differing, reader.looks) == ([], 3)
    assert seen == [("orders settled", done, 5) for done in (3, 4, 5)]


async def test_books_in_which_nothing_moves_are_given_up() -> None:
    """And it is said what differs then: that an order has no end, and that money was kept."""
    reader = MadeUp(books(kept={"status": "placed"}, back={"refunded_cents": 0}))
    differing, _ = await compared(reader, 0.05)
    assert "order kept: placed in the shop, and its payment succeeded" in differing
    assert "order back: cancelled in the shop, and 0 of the 1290 paid given back" in differing


async def test_books_that_are_settled_and_differ_are_given_up() -> None:
    """Every order has its end, and one of them another than its payment has."""
    differing, seen = await compared(MadeUp(books(declined={"status": "paid"})), 0.05)
    assert "order declined: paid in the shop, and its payment failed" in differing
    assert set(seen) == {("orders settled", 5, 5)}


async def test_patience_begins_anew_whenever_something_moves() -> None:
    """A long queue is no standstill."""
    names = ["kept", "back", "declined", "at once", "refused"]
    queue = [books(**{name: {"status": "placed"} for name in names[left:]}) for left in range(5) for _twice in range(2)]
    differing, _ = await compared(MadeUp(*queue, dict(equal().shop)), 2, between=0.25)
    assert differing == []


async def test_a_shop_that_is_gone_is_one_line() -> None:
    """As when everything is told to stop while customers order: no trace, and nobody waits."""
    with pytest.raises(CommandFailed, match=r"^not all orders were placed: no answer from http://127"):
        await demo.placed(f"http://127.0.0.1:{free_port()}", 1, 1, lambda *_: None)
