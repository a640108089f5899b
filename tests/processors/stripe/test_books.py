"""What Stripe has on record, as it is read for comparing."""

from typing import Any
from uuid import UUID

import pytest

from counterfoil.domain.comparing import Resource, TheirPayment, TheirRefund
from counterfoil.domain.money import Money
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Source
from counterfoil.processors.port import Page
from counterfoil.processors.stripe import books

CAUSE = Cause(Source.LOOK_UP, "req_1")
PAYMENT = UUID("01900000-0000-7000-8000-000000000001")
OURS = {"payment_id": str(PAYMENT), "order_id": "order-1", "event_id": "event-1", "colour": "blue"}


def charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 1999,
        "amount_captured": 1999,
        "amount_refunded": 0,
        "captured": True,
        "created": 1772366400,
        "currency": "eur",
        "disputed": False,
        "metadata": OURS,
        "payment_intent": "pi_1",
        "refunded": False,
        "status": "succeeded",
        "balance_transaction": {"fee": 88, "currency": "eur"},
        **changes,
    }


def refund(**changes: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "balance_transaction": "txn_1",
        "charge": "ch_1",
        "created": 1772366400,
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "status": "succeeded",
        **changes,
    }


def read(resource: Resource, *things: dict[str, Any]) -> Page:
    return books._page(resource, things, CAUSE)


def only(resource: Resource, thing: dict[str, Any]) -> Any:
    (one,) = read(resource, thing).shown
    return one


def test_a_charge_tells_what_was_taken_given_back_and_kept() -> None:
    """What was only let go of a hold, though Stripe counts it as refunded, was not given back."""
    one = only(Resource.CHARGE, charge(amount_captured=1500, amount_refunded=700))
    assert isinstance(one, TheirPayment)
    assert (one.verdict.outcome, one.verdict.amount_captured) == (AttemptHappening.CAPTURED, 1500)
    assert (one.given_back, one.fee, one.disputed) == (201, Money(88, "EUR"), False)


def test_a_fee_that_is_not_booked_is_not_known() -> None:
    """Stripe books a charge some time after it succeeded."""
    assert only(Resource.CHARGE, charge(balance_transaction=None)).fee is None


def test_what_stripe_remembers_of_an_order_is_read_from_our_metadata() -> None:
    """The caller's part of it without ours, and the method that was charged; a charge of an intent is not all of it."""
    alone = only(Resource.CHARGE, charge(payment_intent=None, payment_method="card_1"))
    memory = alone.memory
    assert memory is not None
    order = memory.order
    assert (order.order_id, order.event_id, order.method, order.money) == (
        "order-1",
        "event-1",
        "card_1",
        Money(1999, "EUR"),
    )
    assert (dict(order.metadata), memory.request.key) == ({"colour": "blue"}, "event-1")
    assert only(Resource.CHARGE, charge()).memory is None


def test_what_bears_no_metadata_of_ours_is_foreign() -> None:
    """It is counted; so is the letting go of a hold among refunds, which moved no money."""
    assert read(Resource.CHARGE, charge(metadata={}), charge()).foreign == 1
    released = read(Resource.REFUND, refund(balance_transaction=None), refund())
    assert (released.foreign, len(released.shown)) == (1, 1)


def test_a_refund_says_whose_it_may_be() -> None:
    """By its charge and intent; what its metadata names is believed where it is an id."""
    one = only(Resource.REFUND, refund(metadata={"refund_id": "seven"}))
    assert isinstance(one, TheirRefund)
    assert (one.charge_id, one.intent_id, one.refund_id, one.payment_id) == ("ch_1", "pi_1", None, None)


@pytest.mark.parametrize("broken", [{"amount": None}, {"currency": "euro"}, {"created": "today"}])
def test_what_cannot_be_read_keeps_no_other_from_being_compared(broken: dict[str, Any]) -> None:
    """It is named, in words that do not repeat it."""
    page = read(Resource.CHARGE, charge(id="ch_0", **broken), charge())
    assert ([one.name for one in page.shown], page.foreign) == (["ch_1"], 0)
    assert [alarm.partition(" (")[0] for alarm in page.alarms] == ["ch_0 is not what Stripe documents"]
