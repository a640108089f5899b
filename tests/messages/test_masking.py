"""What is shown of what somebody else sent holds no card data and no secret, wherever they stood."""

import json
from typing import Any

import pytest

from counterfoil.messages.masking import MASK, masked

NUMBER = "4242424242424242"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"client_secret": "pi_1_secret_abc"}, {"client_secret": MASK}),
        ({"secret": "anything"}, {"secret": MASK}),
        ({"client_secret": None}, {"client_secret": None}),
        ({"url": "https://x.example/?k=seti_1Ab_secret_Cd&b=1"}, {"url": f"https://x.example/?k={MASK}&b=1"}),
        ({"note": "the key sk_live_51HxYzABCDEFGH leaked"}, {"note": f"the key {MASK} leaked"}),
        ({"deep": [{"note": "4242 4242 4242 4242"}]}, {"deep": [{"note": MASK}]}),
        ({"note": "\uff14\uff12" * 8}, {"note": MASK}),
        ({"amount": int(NUMBER)}, {"amount": MASK}),
        ({NUMBER: 1}, {MASK: 1}),
        ({"cvc": "123", "number": "1", "exp_month": 12}, {"cvc": MASK, "number": MASK, "exp_month": 12}),
        ({"card[number]": "x"}, {"card[number]": MASK}),
    ],
)
def test_card_data_and_secrets_are_masked(given: Any, shown: Any) -> None:
    """By the name they stand under or by what they look like, at any depth, as values and as keys."""
    assert masked(given) == shown


def test_what_is_neither_stays() -> None:
    """Ids, amounts, the last four digits, an article's number: what a person looks at a notice for."""
    event = {
        "id": "evt_1AbC",
        "livemode": False,
        "created": 1_772_366_400,
        "data": {
            "object": {"number": "R-1", "card": {"last4": "4242", "exp_month": 12, "checks": {"cvc_check": "pass"}}}
        },
        "amount": 1999,
        "metadata": {"payment_id": "01900000-0000-7000-8000-000000000001"},
        "none": [None, 1.5, True],
    }
    assert masked(event) == event
    assert json.loads(json.dumps(masked(event))) == event
