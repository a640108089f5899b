"""Money that is to be held, captured, or paid under the sender's id: what is asked for, exactly, or refused."""

import json
from typing import Any

import pytest

from counterfoil.domain.errors import AmountRefused, CounterfoilError, InvalidRequest, MethodRefused
from counterfoil.domain.money import Money
from counterfoil.domain.payment import CaptureMethod
from counterfoil.messages.authorize_payment import AuthorizePayment
from counterfoil.messages.capture_payment import CapturePayment
from counterfoil.messages.decoding import decode
from counterfoil.messages.process_payment import ProcessPayment

PAYMENT = "01900000-0000-7000-8000-000000000001"
COMMAND = {
    "payment_id": PAYMENT,
    "amount": 19.99,
    "currency": "eur",
    "payment_method": {"type": "card", "token": "pm_card_visa"},
    "idempotency_key": "key-1",
}
HOLD = {"order_id": "order-1", "amount": 1999, "currency": "eur", "payment_method": "pm_card_visa"}


def command(**changes: Any) -> ProcessPayment:
    return decode(json.dumps(COMMAND | changes).encode(), ProcessPayment)


def hold(**changes: Any) -> AuthorizePayment:
    wished = {key: value for key, value in (HOLD | changes).items() if value is not None}
    return decode(json.dumps(wished).encode(), AuthorizePayment)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        (19.99, "EUR", 1999),
        ("19.99", "EUR", 1999),
        (20, "eur", 2000),
        (0.1, "USD", 10),
        (1.005, "KWD", 1005),
        (500, "JPY", 500),
        (5, "ISK", 500),
        (90071992547.99, "EUR", 9007199254799),
    ],
)
def test_a_decimal_becomes_minor_units_exactly(amount: Any, currency: str, minor: int) -> None:
    """Once, at this edge, as the currency counts."""
    assert Money(minor, currency.upper()) == command(amount=amount, currency=currency).order().money


NO_AMOUNTS = [
    19.999,
    "19.999",
    "1_000",
    " 1",
    "1 ",
    "+1",
    "-1",
    -1,
    "1e3",
    "",
    "NaN",
    "Infinity",
    True,
    None,
    [1],
    "1,5",
]


@pytest.mark.parametrize("amount", [*NO_AMOUNTS, "\N{ARABIC-INDIC DIGIT ONE}", 1e-7, 1e22])
def test_what_is_no_amount_of_the_currency_is_refused(amount: Any) -> None:
    """Nothing is rounded, and nothing read that a person would not write."""
    with pytest.raises(InvalidRequest, match="amount"):
        command(amount=amount).order()


def test_decimals_are_those_of_the_currency() -> None:
    """A yen has none, and what cannot be charged has none that we know."""
    with pytest.raises(InvalidRequest):
        command(amount=19.99, currency="JPY").order()
    with pytest.raises(AmountRefused):
        command(currency="ZZZ").order()


@pytest.mark.parametrize(
    ("metadata", "order_id"),
    [
        ({}, "key-1"),
        ({"invoice_id": "in_1", "subscription_id": "sub_1"}, "in_1"),
        ({"invoice_id": "in_1", "order_id": "order-1"}, "order-1"),
    ],
)
def test_the_order_is_what_the_metadata_names_first(metadata: dict[str, str], order_id: str) -> None:
    """The order, else the invoice, else what the key names; all of it is kept."""
    order = command(metadata=metadata).order()
    assert (order.order_id, order.event_id, order.metadata) == (order_id, "key-1", metadata)


@pytest.mark.parametrize(("at_once", "method"), [(True, CaptureMethod.AUTOMATIC), (False, CaptureMethod.MANUAL)])
def test_who_does_not_want_it_at_once_wants_it_held(method: CaptureMethod, *, at_once: bool) -> None:
    """And left out it is wanted at once."""
    assert method is command(capture_immediately=at_once).order().capture_method
    assert command().order().capture_method is CaptureMethod.AUTOMATIC


def test_paypal_is_refused_until_somebody_takes_it() -> None:
    """Known as a type, and not as a method that could be used."""
    with pytest.raises(MethodRefused):
        command(payment_method={"type": "paypal", "token": "tok_1"}).order()


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_id": "payment-1"},
        {"payment_method": {"type": "cash", "token": "x"}},
        {"payment_method": "pm_card_visa"},
        {"idempotency_key": ""},
        {"capture_immediately": "no"},
        {"metadata": {"colour": "red"}},
        {"currency": "euro"},
    ],
)
def test_another_shape_is_refused(changes: dict[str, Any]) -> None:
    """By the name of the field."""
    with pytest.raises(InvalidRequest, match=next(iter(changes))):
        command(**changes)


@pytest.mark.parametrize(("key", "event_id"), [("key-1", "key-1"), (None, "order-1")])
def test_a_hold_goes_by_its_key_or_by_its_order(key: str | None, event_id: str) -> None:
    """The same order without a key is the same hold."""
    order = hold().order(key)
    assert (order.event_id, order.order_id, order.capture_method) == (event_id, "order-1", CaptureMethod.MANUAL)
    assert order.money == Money(1999, "EUR")


def test_a_carts_id_is_the_orders() -> None:
    """From then on."""
    order = hold(order_id=None, cart_id="cart-1").order(None)
    assert (order.order_id, order.event_id) == ("cart-1", "cart-1")


@pytest.mark.parametrize("changes", [{"order_id": None}, {"cart_id": "cart-1"}])
def test_a_hold_is_for_one_order(changes: dict[str, Any]) -> None:
    """For none, or for an order and a cart, it is refused."""
    with pytest.raises(InvalidRequest, match="order_id"):
        hold(**changes).order(None)


def test_a_hold_may_leave_its_method_to_the_default() -> None:
    """As an order may."""
    assert hold(payment_method=None).order(None).payment_method is None


@pytest.mark.parametrize("amount", [0, -1, 1.5, "5", True, 2**63])
def test_a_part_is_a_whole_number_of_minor_units(amount: Any) -> None:
    """One or more; all of it where it is not said."""
    with pytest.raises(CounterfoilError):
        decode(json.dumps({"amount": amount}).encode(), CapturePayment)
    assert decode(b"{}", CapturePayment).amount is None
