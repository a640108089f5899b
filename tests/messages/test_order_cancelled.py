import json
from typing import Any

import pytest

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.domain.errors import InvalidRequest
from counterfoil.messages.decoding import decode
from counterfoil.messages.order_cancelled import CancelOrder, OrderCancelled

AT = "2026-03-01T12:00:00Z"


def test_a_message_is_camel_case_and_a_body_is_snake_case() -> None:
    """The order's id stands in the message, and in the path over HTTP."""
    message = {"orderId": "order-1", "reason": "OUT_OF_STOCK", "cancelledAt": AT}
    told = decode(json.dumps(message).encode(), OrderCancelled).cancellation()
    asked = decode(json.dumps({"reason": "OUT_OF_STOCK", "cancelled_at": AT}).encode(), CancelOrder).of("order-1")

    assert told == asked
    assert (told.order_id, told.reason) == ("order-1", CancelReason.OUT_OF_STOCK)


def test_when_need_not_be_told() -> None:
    """Only the order and the reason are required."""
    told = decode(b'{"orderId": "order-1", "reason": "FRAUD"}', OrderCancelled)
    assert told.cancellation() == Cancellation("order-1", CancelReason.FRAUD)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": "bored"}, "reason"),
        ({"reason": None}, "reason"),
        ({"orderId": "two words"}, "orderId"),
        ({"cancelledAt": "yesterday"}, "cancelledAt"),
        ({"cancelledAt": "2026-03-01T12:00:00"}, "cancelledAt"),
        ({"refund": True}, "refund"),
    ],
)
def test_what_is_no_cancellation_is_refused(changes: dict[str, Any], field: str) -> None:
    """By the name of its field; nothing is coerced and nothing unknown is let by."""
    with pytest.raises(InvalidRequest) as caught:
        decode(json.dumps({"orderId": "order-1", "reason": "FRAUD", **changes}).encode(), OrderCancelled)
    assert caught.value.field == field
