from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from tests.acceptance.kills.books import Books, FactRow, PaymentRow

from counterfoil.cli.comparison import Side

ID = UUID("01900000-0000-7000-8000-000000000001")
PAYMENT = PaymentRow(ID, "event", 2, Side("pi_1", 1999, "EUR", "succeeded", 1999, ("ch_1",)))
REQUESTED = FactRow(ID, 1, "PaymentRequested", published=True)
SUCCEEDED = FactRow(ID, 2, "PaymentSucceeded", published=True)
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "amount": 1999,
    "currency": "eur",
    "status": "succeeded",
    "metadata": {"payment_id": str(ID)},
}
CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "payment_intent": "pi_1",
    "captured": True,
    "status": "succeeded",
    "amount_captured": 1999,
    "currency": "eur",
    "metadata": {"payment_id": str(ID)},
}
AGREED = Books([PAYMENT], [REQUESTED, SUCCEEDED], [INTENT], [CHARGE])


def test_books_that_agree_have_no_faults() -> None:
    """One payment, one charge, each fact once and published: nothing to say."""
    assert AGREED.faults({"event": "succeeded"}) == []


@pytest.mark.parametrize(
    ("books", "expected"),
    [
        (
            replace(AGREED, payments=[PAYMENT, PAYMENT]),
            "event: is ['succeeded', 'succeeded'] and should be one payment",
        ),
        (
            replace(AGREED, charges=[CHARGE, CHARGE | {"id": "ch_2", "payment_intent": "pi_2"}]),
            f"{ID}: succeeded, and its charges at Stripe are [(1999, 'EUR'), (1999, 'EUR')]",
        ),
        (
            replace(AGREED, charges=[CHARGE | {"currency": "usd"}]),
            f"{ID}: succeeded, and its charges at Stripe are [(1999, 'USD')]",
        ),
        (replace(AGREED, intents=[INTENT, INTENT | {"id": "pi_2"}]), f"{ID}: Stripe has two PaymentIntents"),
        (
            replace(AGREED, facts=[REQUESTED, replace(SUCCEEDED, version=3)]),
            f"{ID}: is at version 2, its facts at [1, 3]",
        ),
        (
            replace(AGREED, facts=[REQUESTED, SUCCEEDED, replace(SUCCEEDED, version=3)]),
            f"{ID}: succeeded, and what was said of it is ('PaymentRequested', 'PaymentSucceeded', 'PaymentSucceeded')",
        ),
        (
            replace(AGREED, facts=[REQUESTED, replace(SUCCEEDED, published=False)]),
            f"{ID}: not all that was said is published",
        ),
    ],
)
def test_each_fault_is_named(books: Books, expected: str) -> None:
    """A second payment, a second or another charge, a gap, a fact said twice or never published: none is overlooked."""
    assert any(fault.startswith(expected) for fault in books.faults({"event": "succeeded"}))
