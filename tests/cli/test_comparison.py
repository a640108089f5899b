from dataclasses import replace
from typing import Any

import pytest

from counterfoil.cli.comparison import Sendings, Side, differences, from_api, from_stripe, sendings

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


def test_what_was_sent_again_is_read_from_the_log_and_the_charges() -> None:
    """Every request under the key counts, and every charge that bears the payment's id; others' charges do not."""
    ours, others = {"metadata": {"payment_id": "a"}}, {"metadata": {"payment_id": "b"}}
    charges = [CAPTURED | ours, DECLINED | ours, OTHERS | others, OTHERS | {"metadata": {}}]
    found = sendings("key-1", "a", [{"body": "amount=1999"}, {"body": "amount=1999"}], charges)
    assert found == Sendings("key-1", ("amount=1999", "amount=1999"), ("ch_1", "ch_2"))


@pytest.mark.parametrize(
    ("bodies", "charges", "is_once", "sentence"),
    [
        ("xx", ["ch_1"], True, "sent twice and charged once: the same bytes under the key k, ch_1"),
        ("xxx", ["ch_1"], True, "sent 3 times and charged once: the same bytes under the key k, ch_1"),
        ("x", ["ch_1"], False, "sent once and charged once: the same bytes under the key k, ch_1"),
        ("xy", ["ch_1"], False, "sent twice and charged once: not the same bytes under the key k, ch_1"),
        ("xx", ["ch_1", "ch_2"], False, "sent twice and charged twice: the same bytes under the key k, ch_1, ch_2"),
        ("xx", [], False, "sent twice and charged never: the same bytes under the key k"),
    ],
)
def test_sent_again_and_charged_once(bodies: str, charges: list[str], is_once: bool, sentence: str) -> None:  # noqa: FBT001  a case of the table
    """Only the same request, sent again, with exactly one charge is what was promised; the sentence says what was."""
    found = Sendings("k", tuple(bodies), tuple(charges))
    assert (found.is_charged_once, found.sentence()) == (is_once, sentence)
