from dataclasses import replace
from typing import Any

import pytest

from counterfoil.cli.comparison import Side, differences, from_api, from_stripe

SIDE = Side("pi_1", 1999, "EUR", "succeeded", 1999, ("ch_2",))
INTENT: dict[str, Any] = {"id": "pi_1", "amount": 1999, "currency": "eur", "status": "succeeded"}
DECLINED: dict[str, Any] = {
    "id": "ch_1",
    "payment_intent": "pi_1",
    "captured": False,
    "status": "failed",
    "amount_captured": 0,
}
CAPTURED = DECLINED | {"id": "ch_2", "captured": True, "status": "succeeded", "amount_captured": 1999}
OTHERS = CAPTURED | {"id": "ch_3", "payment_intent": "pi_2"}
PAYMENT = {
    "payment_intent_id": "pi_1",
    "amount": 1999,
    "currency": "EUR",
    "status": "succeeded",
    "amount_captured": 1999,
    "attempts": [{"state": "declined", "charge_id": "ch_1"}, {"state": "captured", "charge_id": "ch_2"}],
}


def test_both_sides_are_brought_to_the_same_words() -> None:
    """A payment that succeeded at its second attempt reads the same from our API and from Stripe's lists."""
    assert from_stripe(INTENT, [DECLINED, CAPTURED, OTHERS]) == SIDE
    assert from_api(PAYMENT) == SIDE


def test_sides_that_agree_have_no_differences() -> None:
    """Nothing to say is an empty list."""
    failed = Side("pi_2", 500, "EUR", "failed", 0, ())
    assert differences({"a": SIDE, "b": failed}, [("b", failed), ("a", SIDE)], "our API") == []


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({}, [("a", SIDE)], ["a: at Stripe, and not in our rows"]),
        ({"a": SIDE}, [], ["a: in our rows, and not at Stripe"]),
        (
            {"a": replace(SIDE, amount_captured=1998)},
            [("a", SIDE)],
            ["a: amount_captured is 1998 in our rows and 1999 at Stripe"],
        ),
        (
            {"a": SIDE},
            [("a", SIDE), ("a", replace(SIDE, intent_id="pi_9"))],
            [
                "a: Stripe has two PaymentIntents, pi_1 and pi_9",
                "a: intent_id is 'pi_1' in our rows and 'pi_9' at Stripe",
            ],
        ),
        (
            {"a": replace(SIDE, captured_charges=("ch_2", "ch_9"))},
            [("a", replace(SIDE, captured_charges=("ch_2", "ch_9")))],
            ["a: it is succeeded and has 2 captured charges at Stripe"],
        ),
        (
            {"a": replace(SIDE, state="failed", amount_captured=0, captured_charges=())},
            [("a", SIDE)],
            [
                "a: amount_captured is 0 in our rows and 1999 at Stripe",
                "a: captured_charges is () in our rows and ('ch_2',) at Stripe",
                "a: state is 'failed' in our rows and 'succeeded' at Stripe",
            ],
        ),
    ],
)
def test_each_difference_is_named(ours: dict[str, Side], theirs: list[tuple[str, Side]], expected: list[str]) -> None:
    """A person reads which payment differs, in what, and what each side says; twice charged is never in order."""
    assert differences(ours, theirs, "our rows") == expected
