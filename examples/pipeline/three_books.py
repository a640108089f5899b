"""Three books beside each other, read apart: the shop's, Counterfoil's and the sandbox's; and where they differ."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import httpx

from counterfoil.cli import books
from counterfoil.cli.books import Books, Read, Thing
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
    """The shop's books as it shows them, both of the others', and what Counterfoil has asked the stock for.

    ``asked_for`` has the pieces to be taken out, by the order and then by SKU.
    """

    shop: Mapping[str, Any]
    both: Read
    asked_for: Mapping[str, Mapping[str, int]]

    def pieces_asked_for(self) -> Counter[str]:
        """Return how many pieces are to be taken out for all orders, by SKU."""
        found = Counter[str]()
        for pieces in self.asked_for.values():
            found.update(pieces)
        return found


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


class Reader(Protocol):
    """Reads the books as often as it is asked to."""

    async def shop(self) -> Mapping[str, Any]:
        """Return the shop's books as it shows them now."""

    async def three(self) -> Three:
        """Return all three."""


@dataclass(frozen=True, slots=True)
class OverHttp:
    """Reads the books of a shop, of an installation and of its sandbox, each where it is."""

    shop_url: str
    sides: BothSides

    async def shop(self) -> Mapping[str, Any]:
        """Return the shop's books as it shows them now."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.get(f"{self.shop_url}/books")
        found: Mapping[str, Any] = answer.raise_for_status().json()
        return found

    async def three(self) -> Three:
        """Return all three."""
        shop = await self.shop()
        asked_for = defaultdict[str, Counter[str]](Counter)
        for fact in await self.sides.published():
            asked = fact["data"]
            if fact["type"] == "InventoryAdjustmentRequested" and asked["direction"] == "DECREMENT":
                asked_for[asked["order_id"]].update({item["sku"]: item["quantity"] for item in asked["items"]})
        return Three(shop, await books.read(self.sides), dict(asked_for))


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
        Line("pieces taken out of the stock", _pieces(shop), three.pieces_asked_for().total(), None),
    ]


def _without_fees(side: Books) -> Books:
    return replace(side, payments={name: replace(one, fee=None) for name, one in side.payments.items()})


def _of_orders(three: Three) -> Iterator[str]:
    """Say of each order in which way the shop and Counterfoil disagree."""
    payments = defaultdict[str, list[Thing]](list)
    for one in three.both.payments.values():
        payments[one["order_id"]].append(one)
    for order_id, order in three.shop["by_order"].items():
        found = payments.pop(order_id, [])
        if len(found) > 1:
            yield f"order {order_id}: {len(found)} payments"
        elif found:
            asked = order_id in three.asked_for
            yield from (f"order {order_id}: {told}" for told in _of_order(order, found[0], asked=asked))
        elif order["status"] != "refused" or order["paid_cents"]:
            yield f"order {order_id}: {order['status']} in the shop, and without a payment"
    for order_id in payments:
        yield f"order {order_id}: with a payment, and not in the shop"


def _of_order(order: Thing, payment: Thing, *, asked: bool) -> Iterator[str]:
    """Say in which way an order and its one payment disagree; ``asked`` whether the stock was asked for its pieces."""
    status, paid, refunded = order["status"], order["paid_cents"], order["refunded_cents"]
    if payment["status"] not in ENDS.get(status, frozenset()):
        yield f"{status} in the shop, and its payment {payment['status']}"
    if order["payment_id"] not in (None, payment["payment_id"]):
        yield f"its payment is {order['payment_id']} in the shop, and {payment['payment_id']} with us"
    here, there = f"{order['amount_cents']} {CURRENCY}", f"{payment['amount']} {payment['currency']}"
    if here != there:
        yield f"{here} in the shop, and a payment of {there}"
    for name, ours, theirs in (
        ("paid", paid, payment["amount_captured"]),
        ("refunded", refunded, payment["amount_refunded"]),
    ):
        if ours != theirs:
            yield f"{name} {ours} in the shop, and {theirs} with its payment"
    if status == "paid" and paid != order["amount_cents"]:
        yield f"paid in the shop, and {paid} of its {order['amount_cents']} taken"
    if status != "paid" and paid != refunded:
        yield f"{status} in the shop, and {refunded} of the {paid} paid given back"
    if asked != (payment["status"] == "succeeded"):
        yield f"its payment {payment['status']}, and the stock {'asked' if asked else 'not asked'} for its pieces"
    if asked != (order["stock"] == "taken"):
        yield f"its pieces {order['stock']} in the shop, and {'asked' if asked else 'not asked'} for"


def _of_stock(three: Three) -> Iterator[str]:
    """Say of what the shop has another number than Counterfoil asked for, and what it has not worked off."""
    asked_for = three.pieces_asked_for()
    for sku, stock in three.shop["stock"].items():
        taken, asked = stock["at_start"] - stock["on_hand"], asked_for.pop(sku, 0)
        if taken != asked:
            yield f"stock of {sku}: {taken} taken out in the shop, and {asked} asked for"
        if stock["reserved"]:
            yield f"stock of {sku}: {stock['reserved']} still reserved"
    for sku, asked in asked_for.items():
        yield f"stock of {sku}: not in the shop, and {asked} asked for"
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
