import json
from typing import Any

import pytest

from counterfoil.domain.errors import CardDataNotAccepted, InvalidRequest
from counterfoil.messages.decoding import decode
from counterfoil.messages.order_placed import OrderPlaced

WHOLE = {
    "event_id": "0190a8c2-7f00-7000-8000-000000000001",
    "order_id": "order-17",
    "amount_cents": 1999,
    "currency": "eur",
    "customer_id": "customer-4",
    "customer_email": "ada@example.com",
    "items": [{"sku": "4006381333931", "quantity": 2}],
    "locale": "de-AT",
    "payment_method": "pm_card_visa",
    "off_session": False,
    "mandate": {"accepted_at": "2026-11-21T09:00:00Z", "ip_address": "192.0.2.1", "user_agent": "a browser"},
    "capture_method": "manual",
    "return_url": "https://shop.example/back",
    "metadata": {"channel": "web"},
    "schema_version": "1.0.0",
}
LEAST = {"event_id": "e-1", "order_id": "o-1", "amount_cents": 1999, "currency": "EUR"}


def body(**fields: Any) -> bytes:
    return json.dumps(LEAST | fields).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in LEAST.items() if name != field}).encode()


def test_an_order_is_read_whole_and_at_its_least() -> None:
    """Every field of the contract is taken, and only four of them are required."""
    whole = decode(json.dumps(WHOLE).encode(), OrderPlaced)
    assert json.loads(whole.model_dump_json()) == WHOLE
    assert decode(body(), OrderPlaced).order().payment_method is None


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (without("event_id"), "event_id"),
        (without("order_id"), "order_id"),
        (without("amount_cents"), "amount_cents"),  # A01
        (body(amount_cents="1999"), "amount_cents"),  # A03
        (body(amount_cents=19.99), "amount_cents"),  # A04
        (body(amount_cents=1999.0), "amount_cents"),  # A05
        (b'{"event_id":"e","order_id":"o","amount_cents":1e3,"currency":"EUR"}', "amount_cents"),  # A06
        (body(amount_cents=True), "amount_cents"),  # A07
        (body(amount_cents=-1), "amount_cents"),
        (body(amount_cents=2**63), "amount_cents"),  # A17
        (without("currency"), "currency"),  # A19
        (body(currency="u\u0219d"), "currency"),  # A24
        (body(currency="\uff35\uff33\uff24"), "currency"),  # A24
        (body(currency="EUR\n"), "currency"),
        (body(livemode=False), "livemode"),  # J20
        (body(metadata={f"k{n}": "v" for n in range(47)}), "metadata"),  # J22
        (body(metadata={"k": "v" * 501}), "metadata.k"),  # J23
        (body(metadata={"k": {}}), "metadata.k"),  # J24
        (body(event_id="x" * 256), "event_id"),
        (body(order_id="two words"), "order_id"),
        (body(items=[{"sku": "s", "quantity": 0}]), "items.0.quantity"),
        (body(capture_method="later"), "capture_method"),
        (body(return_url="javascript:alert(1)"), "return_url"),
    ],
)
def test_an_order_that_is_not_of_this_shape_is_refused_by_its_field(raw: bytes, field: str) -> None:
    """Nothing is coerced, nothing unknown is let by, and the answer names the field."""
    with pytest.raises(InvalidRequest) as caught:
        decode(raw, OrderPlaced)
    assert caught.value.field == field


@pytest.mark.parametrize("key", ["k" * 41, "a[b]"])
def test_a_metadata_key_that_stripe_would_refuse_is_refused_here(key: str) -> None:
    """Brackets in a key would be read as nesting in the form that Stripe is sent."""
    with pytest.raises(InvalidRequest) as caught:
        decode(body(metadata={key: "v"}), OrderPlaced)
    assert (caught.value.field or "").startswith("metadata.")


@pytest.mark.parametrize("field", ["payment_method", "customer_id", "order_id"])
def test_a_card_number_is_refused_in_a_field_that_would_take_its_shape(field: str) -> None:
    """The digits of a card are a proper id by their characters; they are refused all the same."""
    with pytest.raises(CardDataNotAccepted) as caught:
        decode(body(**{field: "4242424242424242"}), OrderPlaced)
    assert caught.value.field == field
