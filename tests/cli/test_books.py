from dataclasses import replace
from typing import Any

import pytest

from counterfoil.cli.books import NEVER_SENT, Back, Books, Entry, Lists, differences, of_ours, of_stripe

PAID = Entry("captured", ("pi_1",), "EUR", is_paid=True, charges=1, captured=1999, refunded=500, fee=88)
BACK = Back("a", 500, "EUR", "processed")
AGREED = Books({"a": PAID}, {"re_1": BACK})

MINE = {"payment_id": "a"}
INTENT: dict[str, Any] = {"id": "pi_1", "status": "succeeded", "currency": "eur", "metadata": MINE}
CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "status": "succeeded",
    "captured": True,
    "refunded": False,
    "amount_captured": 1999,
    "balance_transaction": "txn_1",
    "currency": "eur",
    "metadata": MINE,
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "charge": "ch_1",
    "amount": 500,
    "currency": "eur",
    "status": "succeeded",
    "balance_transaction": "txn_2",
}
RELEASED = REFUND | {"id": "re_2", "amount": 801, "balance_transaction": None}
DISPUTE: dict[str, Any] = {"id": "dp_1", "charge": "ch_1", "amount": 1499, "status": "lost"}
FEE = {"id": "txn_1", "fee": 88}
PAYMENT: dict[str, Any] = {
    "payment_id": "a",
    "payment_intent_id": "pi_1",
    "status": "succeeded",
    "currency": "EUR",
    "amount_captured": 1999,
    "amount_refunded": 500,
    "amount_disputed": 0,
    "fee": 88,
    "screening": None,
    "attempts": [{"state": "captured", "first_sent_at": "2026-01-05T12:00:00Z"}],
    "refunds": [
        {
            "refund_id": "r",
            "processor_reference": "re_1",
            "amount": 500,
            "currency": "EUR",
            "status": "processed",
        }
    ],
}


def listed(**changes: Any) -> Lists:
    """What Stripe lists of one payment that was paid and given back in part."""
    lists = Lists([INTENT], [CHARGE], [REFUND], [], [FEE])
    return replace(lists, **changes)


def sentences(ours: Books, theirs: Books) -> list[str]:
    return [one.sentence for one in differences(ours, theirs)]


def test_both_sides_are_brought_to_the_same_words() -> None:
    """A payment that was paid and given back in part reads the same from our gateway and from Stripe's lists."""
    assert of_ours([PAYMENT]) == AGREED
    assert of_stripe(listed()) == AGREED
    assert differences(AGREED, AGREED) == []


def test_what_was_released_of_a_hold_is_no_refund() -> None:
    """Stripe lists it as one, without a transaction."""
    assert of_stripe(listed(refunds=[REFUND, RELEASED])) == AGREED


def test_a_dispute_keeps_its_amount_until_it_is_won() -> None:
    """An open one and a lost one keep it; a won one and an inquiry do not."""
    statuses = ["needs_response", "under_review", "lost", "won", "warning_needs_response"]
    kept = [of_stripe(listed(disputes=[DISPUTE | {"status": one}])).payments["a"].disputed for one in statuses]
    assert kept == [1499, 1499, 1499, 0, 0]


@pytest.mark.parametrize(
    ("charge", "outcome"),
    [
        ({}, "captured"),
        ({"captured": False}, "authorized"),
        ({"captured": False, "refunded": True}, "canceled"),
        ({"status": "failed", "captured": False}, "declined"),
    ],
)
def test_a_charge_without_an_intent_tells_how_it_ended(charge: dict[str, Any], outcome: str) -> None:
    """With Stripe's older API there is nothing else to ask."""
    entry = of_stripe(listed(intents=[], charges=[CHARGE | charge])).payments["a"]
    assert (entry.outcome, entry.intents) == (outcome, ())


def test_a_hold_that_screening_declined_was_canceled_at_stripe() -> None:
    """With us it failed."""
    declined = PAYMENT | {
        "status": "failed",
        "amount_captured": 0,
        "screening": {"decision": "DECLINED"},
        "attempts": [{"state": "declined", "first_sent_at": "2026-01-05T12:00:00Z"}],
    }
    assert of_ours([declined]).payments["a"].outcome == "canceled"


def test_stripe_need_not_know_what_was_never_sent() -> None:
    """But what it has of such a payment is a difference."""
    never = Books({"b": Entry(NEVER_SENT, (), "EUR")}, {})
    assert differences(never, Books({}, {})) == []
    assert sentences(never, Books({"b": replace(PAID, fee=None)}, {})) != []


def test_a_refund_that_differs_is_named() -> None:
    """One that the bank sent back, and that we hold to be made, is one sentence; its payment comes with it."""
    theirs = Books(AGREED.payments, {"re_1": replace(BACK, status="failed")})
    (found,) = differences(AGREED, theirs)
    assert found.payment_id == "a"
    assert found.sentence == "refund re_1: status is 'processed' with us and 'failed' at Stripe"


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (Books({}, {}), Books({"a": PAID}, {}), ["payment a: at Stripe, and not with us"]),
        (Books({"a": PAID}, {}), Books({}, {}), ["payment a: with us, and not at Stripe"]),
        (AGREED, Books(AGREED.payments, {}), ["refund re_1: with us, and not at Stripe"]),
        (Books(AGREED.payments, {}), AGREED, ["refund re_1: at Stripe, and not with us"]),
        (
            AGREED,
            Books({"a": replace(PAID, refunded=0, fee=90)}, {"re_1": BACK}),
            [
                "payment a: fee is 88 with us and 90 at Stripe",
                "payment a: refunded is 500 with us and 0 at Stripe",
            ],
        ),
        (
            AGREED,
            Books({"a": replace(PAID, charges=2)}, {"re_1": BACK}),
            ["payment a: 2 charges took its money", "payment a: charges is 1 with us and 2 at Stripe"],
        ),
    ],
)
def test_whatever_one_side_has_otherwise_is_named(ours: Books, theirs: Books, expected: list[str]) -> None:
    """What only one has, each amount that differs, and a second charge."""
    assert sentences(ours, theirs) == expected
