"""What Stripe says of a payment after its outcome: disputes, and that its fee can be asked for."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from counterfoil.domain.money import Money
from counterfoil.domain.payment import Dispute, DisputeStatus, Funds
from counterfoil.domain.verdict import Cause, Source
from counterfoil.processors.port import Aftermath, Hint, NotAnEvent, Silence
from counterfoil.processors.stripe import aftermath, notices

OURS = UUID("01900000-0000-7000-8000-000000000001")
TAKEN = {"amount": -1999, "currency": "eur", "fee": 1500, "net": -3499}
BACK = {"amount": 1999, "currency": "eur", "fee": -1500, "net": 3499}
DISPUTE = {
    "id": "dp_1",
    "object": "dispute",
    "amount": 1999,
    "balance_transactions": [],
    "charge": "ch_1",
    "created": 1_772_366_400,
    "currency": "eur",
    "metadata": {},
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
}
SAID = Dispute(
    "dp_1",
    DisputeStatus.OPENED,
    Money(1999, "EUR"),
    "ch_1",
    datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    "fraudulent",
)


def body(kind: str = "charge.dispute.created", version: str = "2024-06-20", **changes: Any) -> bytes:
    """An event about that dispute, changed."""
    event = {"id": "evt_1", "object": "event", "api_version": version, "livemode": False, "type": kind}
    return json.dumps({**event, "data": {"object": DISPUTE | changes}}).encode()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("needs_response", DisputeStatus.OPENED),
        ("under_review", DisputeStatus.OPENED),
        ("won", DisputeStatus.WON),
        ("lost", DisputeStatus.LOST),
    ],
)
@pytest.mark.parametrize("kind", sorted(notices.DISPUTE_EVENTS))
def test_the_object_says_it_all(kind: str, status: str, expected: DisputeStatus) -> None:
    """Whichever event brings it: whose it is, how it stands, about how much, and why."""
    cause = Cause(Source.NOTICE, "evt_1")
    said = Aftermath(None, "pi_1", "ch_1", replace(SAID, status=expected), cause)
    assert notices.read(body(kind, status=status)) == said


@pytest.mark.parametrize(
    ("moves", "funds", "fee"),
    [
        ([], Funds.UNTOUCHED, None),
        ([TAKEN], Funds.WITHDRAWN, Money(1500, "EUR")),
        ([TAKEN, BACK], Funds.REINSTATED, Money(0, "EUR")),
    ],
)
def test_its_balance_transactions_tell_where_the_money_is(moves: Any, funds: Funds, fee: Money | None) -> None:
    """None, one or two: nothing taken, taken, given back; the fee is what is asked for all of it together."""
    said = notices.read(body(balance_transactions=moves))
    assert isinstance(said, Aftermath)
    assert isinstance(said.news, Dispute)
    assert (said.news.funds, said.news.fee) == (funds, fee)


def test_an_expanded_charge_is_the_same_charge() -> None:
    """Stripe gives ids, or what they stand for."""
    said = notices.read(body(charge={"id": "ch_1", "object": "charge"}, payment_intent={"id": "pi_1"}))
    assert isinstance(said, Aftermath)
    assert (said.charge_id, said.intent_id) == ("ch_1", "pi_1")


@pytest.mark.parametrize("status", ["warning_needs_response", "warning_under_review", "warning_closed"])
def test_an_inquiry_is_no_dispute(status: str) -> None:
    """A bank that asks has taken nothing; should it take the money after all, the status says so."""
    assert notices.read(body(status=status)) is Silence.IRRELEVANT


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "a_status_of_next_year"},
        {"status": None},
        {"amount": "all of it"},
        {"amount": -1},
        {"currency": "euros"},
        {"charge": None},
        {"created": "yesterday"},
        {"created": 10**20},
        {"reason": ["fraudulent"]},
        {"balance_transactions": [{}]},
        {"balance_transactions": 7},
        {"id": ""},
    ],
)
def test_what_stripe_does_not_document_is_refused(changes: dict[str, Any]) -> None:
    """Nothing is guessed about money."""
    with pytest.raises(NotAnEvent):
        notices.read(body(**changes))


@pytest.mark.parametrize("kind", sorted(notices.DISPUTE_EVENTS))
def test_a_dispute_in_another_version_is_only_a_hint(kind: str) -> None:
    """Its fields may mean something else; whose it is can be read, and the charge is asked about."""
    cause = Cause(Source.NOTICE, "evt_1")
    said = notices.read(body(kind, "2025-03-31.basil", status="a_status_of_next_year"))
    assert said == Aftermath(None, "pi_1", "ch_1", Hint.DISPUTED, cause)


def booking(version: str = "2024-06-20", **changes: Any) -> bytes:
    """An event that says a charge was updated."""
    charge = {"id": "ch_1", "object": "charge", "balance_transaction": "txn_1", "payment_intent": "pi_1"}
    charge |= {"metadata": {"payment_id": str(OURS)}} | changes
    event = {"id": "evt_1", "object": "event", "api_version": version, "livemode": False, "type": "charge.updated"}
    return json.dumps({**event, "data": {"object": charge}}).encode()


@pytest.mark.parametrize("version", ["2024-06-20", "2025-03-31.basil"])
def test_a_charge_that_was_booked_can_be_asked_for_its_fee(version: str) -> None:
    """The event names the balance transaction and not what it holds, in whichever version."""
    cause = Cause(Source.NOTICE, "evt_1")
    assert notices.read(booking(version)) == Aftermath(OURS, "pi_1", "ch_1", Hint.BOOKED, cause)


def test_a_charge_that_changed_otherwise_says_nothing() -> None:
    """Somebody wrote into its metadata; it is not booked yet."""
    assert notices.read(booking(balance_transaction=None)) is Silence.IRRELEVANT


def test_somebody_elses_booking_is_foreign() -> None:
    """Neither our metadata nor an intent that could be ours."""
    assert notices.read(booking(metadata={}, payment_intent=None)) is Silence.FOREIGN


@pytest.mark.parametrize("booked", [{"fee": 88, "currency": "eur"}, {"fee": 0, "currency": "usd"}])
def test_the_fee_is_in_the_currency_of_the_account(booked: dict[str, Any]) -> None:
    """It is what Stripe kept when it booked the charge, which may be in another currency than the charge."""
    money = Money(booked["fee"], booked["currency"])
    assert aftermath.fee_of({"id": "ch_1", "balance_transaction": booked}) == money


def test_what_is_not_booked_has_no_fee_yet() -> None:
    """That is ordinary at success, and no error."""
    assert aftermath.fee_of({"id": "ch_1", "balance_transaction": None}) is None


@pytest.mark.parametrize("booked", ["txn_1", {}, {"fee": "88", "currency": "eur"}, {"fee": 88, "currency": None}])
def test_a_fee_that_cannot_be_read_is_refused(booked: Any) -> None:
    """Nothing is guessed about money."""
    with pytest.raises(aftermath.Undocumented):
        aftermath.fee_of({"id": "ch_1", "balance_transaction": booked})
