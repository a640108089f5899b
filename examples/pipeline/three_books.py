"""Three books beside each other, read apart: the shop's, Counterfoil's and the sandbox's; and where they differ."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from counterfoil.cli import books
from counterfoil.cli.books import Books, Read
from counterfoil.cli.sides import BothSides
from counterfoil.domain.money import Money

ENDS: Final[Mapping[str, frozenset[str]]] = {
    "paid": frozenset({"succeeded"}),
    "cancelled": frozenset({"failed", "canceled", "succeeded"}),
    "refused": frozenset(),
}
"""How a payment may have ended whose order is so. The money of a cancelled order's may have come: it has gone back."""

CURRENCY: Final = "EUR"
"""The shop sells in euros."""


@dataclass(frozen=True, slots=True)
class Three:
    """The shop's books as it shows them, both of the others', and the stock that Counterfoil has asked for, by SKU."""

    shop: Mapping[str, Any]
    both: Read
    asked_for: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure as each of the three has it; None where it is not for a book to know."""

    what: str
    shop: int | None
    counterfoil: int | None
    stripe: int | None
    is_money: bool = False

    def cells(self) -> list[str]:
        """Return it as it is shown."""
        found = (self.shop, self.counterfoil, self.stripe)
        return [self.what, *("" if one is None else self._shown(one) for one in found)]

    def _shown(self, figure: int) -> str:
        return Money(figure, CURRENCY).format() if self.is_money else str(figure)


async def shop_books(shop_url: str) -> Mapping[str, Any]:
    """Return the shop's books as it shows them now."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(f"{shop_url}/books")
    books: Mapping[str, Any] = answer.raise_for_status().json()
    return books


async def read(shop_url: str, sides: BothSides) -> Three:
    """Read all three."""
    shop = await shop_books(shop_url)
    asked_for = Counter[str]()
    for fact in await sides.published():
        if fact["type"] == "InventoryAdjustmentRequested" and fact["data"]["direction"] == "DECREMENT":
            asked_for.update({item["sku"]: item["quantity"] for item in fact["data"]["items"]})
    return Three(shop, await books.read(sides), asked_for)


def unsettled(shop: Mapping[str, Any]) -> int:
    """Return of how many orders the shop still waits to hear how they end, their money or what it said."""
    waiting = [
        one
        for one in shop["by_order"].values()
        if one["status"] == "placed" or (one["status"] != "paid" and one["paid_cents"] != one["refunded_cents"])
    ]
    reserved: int = sum(one["reserved"] for one in shop["stock"].values())
    unpublished: int = shop["unpublished"]
    return max(len(waiting), unpublished, reserved)


def differences(three: Three) -> list[str]:
    """Return each way in which the three disagree; none if they are equal.

    Fees are left out: the processor books them later than the shop is done, and they are no affair of its.
    """
    ours, theirs = _without_fees(three.both.ours), _without_fees(three.both.theirs)
    return [
        *(one.sentence for one in books.differences(ours, theirs)),
        *_of_orders(three),
        *_of_stock(three),
    ]


def lines(three: Three) -> list[Line]:
    """Return the figures that are the same in all three where the books are equal."""
    shop, ours, theirs = three.shop, three.both.ours.payments, three.both.theirs.payments
    status = Counter(one["status"] for one in three.both.payments.values())
    never_sent = sum(one.outcome == books.NEVER_SENT for one in ours.values())
    return [
        Line("orders, and their payments", len(shop["by_order"]), len(ours) + shop["orders"]["refused"], None),
        Line("  that Stripe was asked for", None, len(ours) - never_sent, len(theirs)),
        Line(
            "paid",
            sum(one["paid_cents"] > 0 for one in shop["by_order"].values()),
            status["succeeded"],
            sum(one.is_paid for one in theirs.values()),
        ),
        Line("  and given back since", _given_back(shop), _whole(ours), _whole(theirs)),
        Line(
            "not paid",
            sum(one["paid_cents"] == 0 for one in shop["by_order"].values()),
            status["failed"] + status["canceled"] + shop["orders"]["refused"],
            None,
        ),
        Line("money taken", shop["paid_cents"], *_sums(ours, theirs, "captured"), is_money=True),
        Line("money given back", shop["refunded_cents"], *_sums(ours, theirs, "refunded"), is_money=True),
        Line("pieces taken out of the stock", _pieces(shop), sum(three.asked_for.values()), None),
    ]


def _without_fees(side: Books) -> Books:
    return replace(side, payments={name: replace(one, fee=None) for name, one in side.payments.items()})


def _of_orders(three: Three) -> Iterator[str]:
    """Say of each order in which way the shop and Counterfoil disagree."""
    payments = {one["order_id"]: one for one in three.both.payments.values()}
    for order_id, order in three.shop["by_order"].items():
        payment = payments.pop(order_id, None)
        if payment is None:
            if order["status"] != "refused":
                yield f"order {order_id}: {order['status']} in the shop, and without a payment"
            continue
        if payment["status"] not in ENDS.get(order["status"], frozenset()):
            yield f"order {order_id}: {order['status']} in the shop, and its payment {payment['status']}"
        for name, theirs in (("paid", payment["amount_captured"]), ("refunded", payment["amount_refunded"])):
            if order[f"{name}_cents"] != theirs:
                yield f"order {order_id}: {name} {order[f'{name}_cents']} in the shop, and {theirs} with its payment"
    for order_id in payments:
        yield f"order {order_id}: with a payment, and not in the shop"


def _of_stock(three: Three) -> Iterator[str]:
    """Say of what the shop has another number than Counterfoil asked for, and what it has not worked off."""
    for sku, stock in three.shop["stock"].items():
        taken, asked_for = stock["at_start"] - stock["on_hand"], three.asked_for.get(sku, 0)
        if taken != asked_for:
            yield f"stock of {sku}: {taken} taken out in the shop, and {asked_for} asked for"
        if stock["reserved"]:
            yield f"stock of {sku}: {stock['reserved']} still reserved"
    for name in ("unpublished", "unreadable"):
        if three.shop[name]:
            yield f"{three.shop[name]} messages {name} in the shop"


def _given_back(shop: Mapping[str, Any]) -> int:
    return sum(0 < one["paid_cents"] == one["refunded_cents"] for one in shop["by_order"].values())


def _whole(payments: Mapping[str, books.Entry]) -> int:
    return sum(0 < one.captured == one.refunded for one in payments.values())


def _sums(ours: Mapping[str, books.Entry], theirs: Mapping[str, books.Entry], name: str) -> tuple[int, int]:
    here, there = (sum(getattr(one, name) for one in side.values()) for side in (ours, theirs))
    return here, there


def _pieces(shop: Mapping[str, Any]) -> int:
    return sum(one["at_start"] - one["on_hand"] for one in shop["stock"].values())
