"""Books that are not equal are never called so: a difference of each kind is planted, and named."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from counterfoil.cli.books import NEVER_SENT, Back, Books, Entry, Read
from examples.pipeline import three_books
from examples.pipeline.three_books import Three

FEE = 88


def order(name: str, status: str, stock: str, *, paid: int = 0, refunded: int = 0) -> dict[str, Any]:
    """An order of the shop's as its books have it; of 1290 cents, with the payment of its name."""
    return {
        "status": status,
        "stock": stock,
        "amount_cents": 1290,
        "paid_cents": paid,
        "refunded_cents": refunded,
        "payment_id": None if status == "refused" else f"payment of {name}",
    }


def payment(name: str, status: str, *, captured: int = 0, refunded: int = 0) -> dict[str, Any]:
    """What the gateway shows of an order's payment, as far as it is read here."""
    return {
        "payment_id": f"payment of {name}",
        "order_id": name,
        "status": status,
        "amount": 1290,
        "currency": "EUR",
        "amount_captured": captured,
        "amount_refunded": refunded,
    }


def entry(name: str, outcome: str, *, captured: int = 0, refunded: int = 0) -> Entry:
    """What each side has of it."""
    paid = captured > 0
    return Entry(outcome, (f"pi of {name}",), "EUR", paid, int(paid), captured, refunded, fee=FEE if paid else None)


def equal() -> Three:
    """An order of each end: paid, given back, declined, cancelled before Stripe was asked, refused."""
    shop = {
        "orders": {"placed": 0, "paid": 1, "cancelled": 3, "refused": 1},
        "paid_cents": 2580,
        "refunded_cents": 1290,
        "by_order": {
            "kept": order("kept", "paid", "taken", paid=1290),
            "back": order("back", "cancelled", "taken", paid=1290, refunded=1290),
            "declined": order("declined", "cancelled", "let_go"),
            "at once": order("at once", "cancelled", "let_go"),
            "refused": order("refused", "refused", "let_go"),
        },
        "stock": {
            "tea": {"at_start": 100, "on_hand": 97, "reserved": 0},
            "pot": {"at_start": 10, "on_hand": 9, "reserved": 0},
        },
        "unpublished": 0,
        "unreadable": 0,
    }
    payments = [
        payment("kept", "succeeded", captured=1290),
        payment("back", "succeeded", captured=1290, refunded=1290),
        payment("declined", "failed"),
        payment("at once", "canceled"),
    ]
    sent = {
        "payment of kept": entry("kept", "captured", captured=1290),
        "payment of back": entry("back", "captured", captured=1290, refunded=1290),
        "payment of declined": entry("declined", "declined"),
    }
    refunds = {"re_1": Back("payment of back", 1290, "EUR", "processed")}
    ours = Books({**sent, "payment of at once": Entry(NEVER_SENT, (), "EUR")}, refunds)
    read = Read({one["payment_id"]: one for one in payments}, ours, Books(sent, refunds))
    return Three(shop, read, {"kept": {"tea": 2, "pot": 1}, "back": {"tea": 1}})


def test_equal_books_have_no_difference() -> None:
    """An order of each end, none of them open; each figure is the same in all books that have it."""
    three = equal()
    assert three_books.differences(three) == []
    assert three_books.unsettled(three.shop) == 0
    for line in three_books.lines(three):
        assert len({line.shop, line.counterfoil, line.stripe} - {None}) == 1, line


def test_a_fee_that_is_not_booked_yet_is_no_difference() -> None:
    """The processor books it later than the shop is done."""
    three = equal()
    ours = three.both.ours.payments
    late = {**ours, "payment of kept": replace(ours["payment of kept"], fee=None)}
    both = replace(three.both, ours=replace(three.both.ours, payments=late))
    assert three_books.differences(replace(three, both=both)) == []


Plant = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], object]
"""Makes the shop's books, our payments or what the stock was asked for wrong."""


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (
            lambda shop, *_: shop["by_order"].pop("kept"),
            ["order kept: with a payment, and not in the shop"],
        ),
        (
            lambda _, payments, __: payments.pop("payment of kept"),
            ["order kept: paid in the shop, and without a payment"],
        ),
        (
            lambda shop, *_: shop["by_order"]["refused"].update(paid_cents=1, refunded_cents=1),
            ["order refused: refused in the shop, and without a payment"],
        ),
        (
            lambda _, payments, __: payments.update(
                {"another": {**payments["payment of kept"], "payment_id": "another"}}
            ),
            ["order kept: 2 payments"],
        ),
        (
            lambda shop, *_: shop["by_order"]["declined"].update(status="placed"),
            ["order declined: placed in the shop, and its payment failed"],
        ),
        (
            lambda shop, *_: shop["by_order"]["declined"].update(status="refused"),
            ["order declined: refused in the shop, and its payment failed"],
        ),
        (
            lambda _, payments, __: payments["payment of declined"].update(status="in_doubt"),
            ["order declined: cancelled in the shop, and its payment in_doubt"],
        ),
        (
            lambda shop, *_: shop["by_order"]["kept"].update(payment_id="another"),
            ["order kept: its payment is another in the shop, and payment of kept with us"],
        ),
        (
            lambda _, payments, __: payments["payment of declined"].update(amount=1291),
            ["order declined: 1290 EUR in the shop, and a payment of 1291 EUR"],
        ),
        (
            lambda _, payments, __: payments["payment of declined"].update(currency="USD"),
            ["order declined: 1290 EUR in the shop, and a payment of 1290 USD"],
        ),
        (
            lambda shop, *_: shop["by_order"]["declined"].update(paid_cents=5, refunded_cents=5),
            [
                "order declined: paid 5 in the shop, and 0 with its payment",
                "order declined: refunded 5 in the shop, and 0 with its payment",
            ],
        ),
        (
            lambda shop, payments, _: (
                shop["by_order"]["kept"].update(paid_cents=1000),
                payments["payment of kept"].update(amount_captured=1000),
            ),
            ["order kept: paid in the shop, and 1000 of its 1290 taken"],
        ),
        (
            lambda shop, payments, _: (
                shop["by_order"]["back"].update(refunded_cents=0),
                payments["payment of back"].update(amount_refunded=0),
            ),
            ["order back: cancelled in the shop, and 0 of the 1290 paid given back"],
        ),
        (
            lambda shop, _, asked_for: (
                asked_for.pop("kept"),
                shop["by_order"]["kept"].update(stock="let_go"),
                shop["stock"]["tea"].update(on_hand=99),
                shop["stock"]["pot"].update(on_hand=10),
            ),
            ["order kept: its payment succeeded, and the stock not asked for its pieces"],
        ),
        (
            lambda shop, *_: (
                shop["by_order"]["kept"].update(stock="let_go"),
                shop["by_order"]["declined"].update(stock="taken"),
            ),
            [
                "order declined: its pieces taken in the shop, and not asked for",
                "order kept: its pieces let_go in the shop, and asked for",
            ],
        ),
        (
            lambda shop, *_: shop["stock"]["tea"].update(on_hand=96),
            ["stock of tea: 4 taken out in the shop, and 3 asked for"],
        ),
        (
            lambda _, __, asked_for: asked_for["kept"].update(cup=1),
            ["stock of cup: not in the shop, and 1 asked for"],
        ),
        (
            lambda shop, *_: shop["stock"]["tea"].update(reserved=2),
            ["stock of tea: 2 still reserved"],
        ),
        (lambda shop, *_: shop.update(unpublished=1), ["1 messages unpublished in the shop"]),
        (lambda shop, *_: shop.update(unreadable=2), ["2 messages unreadable in the shop"]),
    ],
)
def test_whatever_the_shop_has_otherwise_is_named(plant: Plant, expected: list[str]) -> None:
    """Each order and each product for itself: two that are wrong do not make one that is right."""
    three = equal()
    shop, payments = copy.deepcopy(dict(three.shop)), copy.deepcopy(dict(three.both.payments))
    asked_for = copy.deepcopy(dict(three.asked_for))
    plant(shop, payments, asked_for)
    both = replace(three.both, payments=payments)
    assert sorted(three_books.differences(Three(shop, both, asked_for))) == expected


def test_what_stripe_has_otherwise_is_named() -> None:
    """Also where the shop and Counterfoil are of one mind: a charge that nobody else has, a refund that never was."""
    three = equal()
    theirs = three.both.theirs
    charged = {**theirs.payments, "payment of declined": entry("declined", "captured", captured=1290)}
    both = replace(three.both, theirs=Books(charged, {}))
    found = three_books.differences(replace(three, both=both))
    assert "payment payment of declined: captured is 0 with us and 1290 at Stripe" in found
    assert "refund re_1: with us, and not at Stripe" in found


@pytest.mark.parametrize(
    ("plant", "left"),
    [
        (lambda shop: shop["by_order"]["kept"].update(status="placed"), 1),
        (lambda shop: shop["by_order"]["back"].update(refunded_cents=0), 1),
        (lambda shop: shop["by_order"]["refused"].update(paid_cents=1290), 1),
        (lambda shop: shop["stock"]["tea"].update(reserved=3), 3),
        (lambda shop: shop.update(unpublished=2), 2),
    ],
)
def test_what_is_open_is_waited_for(plant: Callable[[dict[str, Any]], object], left: int) -> None:
    """An order without its end, money to go back, a reservation, a row of the outbox; in vain, that is a difference."""
    three = equal()
    shop = copy.deepcopy(dict(three.shop))
    plant(shop)
    assert three_books.unsettled(shop) == left
    assert three_books.differences(replace(three, shop=shop)) != []
