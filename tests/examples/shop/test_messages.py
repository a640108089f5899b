"""The shop's messages held against Counterfoil's: what it says is understood, and what it hears is what is said."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import jsonschema
import pytest
from tests.shop import payment_of, placed, record, refund_of, said

import counterfoil
from counterfoil.messages.decoding import decode
from counterfoil.messages.order_cancelled import OrderCancelled
from counterfoil.messages.order_placed import OrderPlaced
from counterfoil.messages.topics import TOPIC_OF
from examples.shop.database import Pool
from examples.shop.messages import TOPICS, Heard, Unreadable, read
from examples.shop.orders import Adjusted, Fact, Paid, Refund, Refunded, Refused, Stock, Unpaid

SCHEMAS = Path(counterfoil.__file__).parent / "messages" / "schemas"
PAYMENT, REFUND = payment_of("order-1"), refund_of("order-1")

FACTS: dict[str, Fact] = {
    "PaymentSucceeded": Paid(PAYMENT, 1999),
    "PaymentFailed": Unpaid(PAYMENT, "CARD_DECLINED"),
    "PaymentCanceled": Unpaid(PAYMENT, "CANCELED_AT_PROCESSOR"),
    "OrderRefused": Refused("amount-refused"),
    "RefundProcessed": Refunded(REFUND, Refund(3, 500, processed=True)),
    "RefundFailed": Refunded(REFUND, Refund(3, 500, processed=False)),
    "InventoryAdjustmentRequested": Adjusted(Stock.TAKEN),
}


@pytest.mark.parametrize("name", FACTS)
def test_what_counterfoil_says_is_read(name: str) -> None:
    """The golden sample of each message that the shop hears fits the published schema, and is the fact it should be."""
    message = said(name, "order-1", 3)
    schema = json.loads((SCHEMAS / f"{name}-1.0.0.json").read_text())
    jsonschema.validate(json.loads(message.value or b""), schema, jsonschema.Draft202012Validator)

    heard = read(record(message))
    assert heard is not None
    assert heard == Heard(dict(message.headers)["ce_id"].decode(), "order-1", FACTS[name])


@pytest.mark.parametrize("name", FACTS)
def test_every_field_that_is_read_is_one_that_counterfoil_always_says(name: str) -> None:
    """A message without any field that its schema does not demand is read all the same."""
    schema = json.loads((SCHEMAS / f"{name}-1.0.0.json").read_text())
    message = said(name, "order-1", 3)
    body = {field: value for field, value in json.loads(message.value or b"").items() if field in schema["required"]}
    assert read(record(replace(message, value=json.dumps(body).encode()))) == read(record(message))


def test_the_topics_are_those_on_which_it_is_said() -> None:
    """Each message that the shop hears is said on a topic that it reads, and it reads no other."""
    assert {TOPIC_OF[name] for name in FACTS} == set(TOPICS)


@pytest.mark.asyncio(loop_scope="session")
async def test_what_the_shop_says_is_understood(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """Every OrderPlaced and OrderCancelled of its outbox is taken by Counterfoil's own decoder."""
    await placed(http, shop, "order-1")
    await placed(http, shop, "order-2", off_session=True, items=[{"sku": "kettle-copper", "quantity": 1000}])
    await http.post(f"{shop}/orders/order-2/cancel")
    await placed(http, shop, "o" * 64, customer_id="~" * 64, payment_method="!" * 64, email=f"{'a' * 200}@example.com")
    rows = await shop_pool.fetch("SELECT event_id, event_type, payload FROM outbox ORDER BY created_at")
    assert [row["event_type"] for row in rows] == ["OrderPlaced", "OrderPlaced", "OrderCancelled", "OrderPlaced"]
    for row in rows:
        if row["event_type"] == "OrderPlaced":
            placed_order = decode(row["payload"].encode(), OrderPlaced, as_message=True)
            assert placed_order.event_id == str(row["event_id"])
        else:
            cancelled = decode(row["payload"].encode(), OrderCancelled, as_message=True)
            assert (cancelled.order_id, cancelled.reason) == ("order-2", "CUSTOMER_REQUESTED")


@pytest.mark.parametrize("value", [b"", b"{", b"null", b"[]", b"\xff", b'{"orderId": 7}', b"{}"])
def test_what_does_not_fit_is_unreadable(value: bytes) -> None:
    """The sentence names the message and the field, and nothing of what stood there."""
    with pytest.raises(Unreadable, match=r"^PaymentSucceeded does not fit: [a-zA-Z, ]+$"):
        read(record(replace(said("PaymentSucceeded", "order-1"), value=value)))


@pytest.mark.parametrize(
    ("header", "given", "why"),
    [
        ("ce_type", None, "there is no header ce_type"),
        ("ce_id", None, "there is no header ce_id"),
        ("ce_id", b"\xff", "ce_id is no text"),
        ("ce_sequence", b"-1", "ce_sequence is no number"),
        ("ce_sequence", "٣".encode(), "ce_sequence is no number"),
    ],
)
def test_a_message_without_its_marks_is_unreadable(header: str, given: bytes | None, why: str) -> None:
    """Without its type it cannot be read, and without its id it could have its effect twice."""
    message = said("PaymentSucceeded", "order-1")
    headers = {name: value for name, value in message.headers if name != header}
    if given is not None:
        headers[header] = given
    with pytest.raises(Unreadable, match=f"^{why}$"):
        read(record(replace(message, headers=tuple(headers.items()))))


def test_what_is_nothing_to_the_shop_is_passed_over() -> None:
    """Other messages of its topics, and a tombstone."""
    assert read(record(said("PaymentProcessing", "order-1"))) is None
    assert read(record(replace(said("PaymentSucceeded", "order-1"), value=None))) is None
