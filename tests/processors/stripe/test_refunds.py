"""What goes to Stripe to give money back, and what its answers and its lists of refunds mean."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from counterfoil.domain.refunding import RefundHappening, Repayment
from counterfoil.domain.verdict import Cause, Settling, Source
from counterfoil.processors.port import Silence, Word
from counterfoil.processors.stripe import notices, refunds, requests

CAUSE = Cause(Source.ANSWER, "req_1")
PAYMENT = UUID("01900000-0000-7000-8000-000000000001")
REFUND = UUID("01900000-0000-7000-8000-000000000002")
REPAYMENT = Repayment(REFUND, PAYMENT, "order-1", "event-1", "pi_1", "ch_1", 500, None)


def refund(**changes: Any) -> dict[str, Any]:
    """A refund as Stripe shows it."""
    shown = {"id": "re_1", "object": "refund", "amount": 500, "currency": "eur", "status": "succeeded", "metadata": {}}
    return (
        shown | {"balance_transaction": "txn_1", "reason": None, "charge": "ch_1", "payment_intent": "pi_1"} | changes
    )


def charge(**changes: Any) -> dict[str, Any]:
    return {"id": "ch_1", "object": "charge", "amount": 1999, "amount_captured": 1999, "metadata": {}} | changes


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        (None, None),
        ("duplicate", "duplicate"),
        ("requested_by_customer", "requested_by_customer"),
        ("CUSTOMER_REQUESTED", "requested_by_customer"),
        ("FRAUD", None),
        ("it arrived broken", None),
    ],
)
def test_stripe_hears_a_reason_where_it_knows_it(reason: str | None, sent: str | None) -> None:
    """It takes three words only; what a person wrote stays with us, and nobody's card is blocked by an order's fate."""
    repayment = Repayment(REFUND, PAYMENT, "order-1", "event-1", "pi_1", "ch_1", 500, reason)
    assert requests.call_of(requests.refund(repayment)).parameters.get("reason") == sent


def test_a_refund_names_its_charge_else_its_intent() -> None:
    """An intent may have had several charges; only where the charge is not known must the intent do."""
    by_intent = Repayment(REFUND, PAYMENT, "order-1", "event-1", "pi_1", None, 500, None)
    first, second = (requests.call_of(requests.refund(one)).parameters for one in (REPAYMENT, by_intent))
    assert (first["charge"], "payment_intent" in first) == ("ch_1", False)
    assert (second["payment_intent"], "charge" in second) == ("pi_1", False)


def test_a_refunds_key_is_the_events_with_its_own_name() -> None:
    """However long the event's id is: its hash stands for it then."""
    long = Repayment(REFUND, PAYMENT, "order-1", "e" * 255, "pi_1", "ch_1", 500, None)
    assert requests.refund(REPAYMENT).key == f"event-1:refund:{REFUND}"
    assert requests.refund(long).key.startswith("sha256:")
    assert len(requests.refund(long).key) <= 255


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("pending", RefundHappening.PENDING),
        ("requires_action", RefundHappening.PENDING),
        ("succeeded", RefundHappening.PROCESSED),
        ("failed", RefundHappening.FAILED),
        ("canceled", RefundHappening.FAILED),
        ("a_status_of_next_year", RefundHappening.UNKNOWN),
    ],
)
def test_each_status_of_a_refund_has_its_meaning(status: str, outcome: RefundHappening) -> None:
    """A word that we do not know is no end, and alarms."""
    verdict = refunds.of_refund(refund(status=status), CAUSE)
    assert (verdict.outcome, verdict.processor_id) == (outcome, "re_1")
    assert (verdict.alarm is not None) == (outcome is RefundHappening.UNKNOWN)


def test_a_failed_refund_says_why() -> None:
    """In Stripe's word, else in its status."""
    why = [
        refunds.of_refund(refund(status=status, failure_reason=reason), CAUSE).failure_reason
        for status, reason in (
            ("failed", "lost_or_stolen_card"),
            ("canceled", None),
            ("succeeded", None),
        )
    ]
    assert why == ["lost_or_stolen_card", "canceled", None]


@pytest.mark.parametrize(
    ("status", "error", "first", "replay"),
    [
        (400, {"code": "charge_already_refunded"}, Settling.ASK, Settling.ASK),
        (400, {"type": "invalid_request_error", "code": "charge_disputed"}, None, Settling.ASK),
        (400, {"type": "invalid_request_error", "param": "amount"}, None, Settling.ASK),
        (404, {"type": "invalid_request_error", "code": "resource_missing"}, None, Settling.ASK),
        (402, {"type": "card_error", "code": "balance_insufficient"}, None, None),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, Settling.RETRY, Settling.RETRY),
        (400, {"type": "idempotency_error"}, Settling.STOP, Settling.STOP),
        (401, {"type": "invalid_request_error"}, Settling.RETRY, Settling.RETRY),
        (429, {"type": "invalid_request_error"}, Settling.RETRY, Settling.RETRY),
        (424, {}, Settling.ASK, Settling.ASK),
        (500, {"type": "api_error"}, Settling.ASK, Settling.ASK),
        (502, {}, Settling.RESEND, Settling.RESEND),
    ],
)
def test_each_refusal_has_its_meaning(
    status: int, error: dict[str, Any], first: Settling | None, replay: Settling | None
) -> None:
    """As the outcome table has it: it has failed (None), or how its outcome is learned, first sent and sent again."""
    for again, expected in ((False, first), (True, replay)):
        verdict = refunds.of_refusal(status, error, CAUSE, again=again)
        found = None if verdict.outcome is RefundHappening.FAILED else verdict.settling
        assert (again, found) == (again, expected)
        assert verdict.executed is (again or status not in {401, 429})


def test_only_our_own_mistakes_alarm() -> None:
    """That somebody disputes a charge, or refunded it before us, is no mistake."""
    ours = refunds.of_refusal(400, {"type": "invalid_request_error", "param": "metadata"}, CAUSE, again=False)
    theirs = refunds.of_refusal(400, {"type": "invalid_request_error", "code": "charge_disputed"}, CAUSE, again=False)
    assert (ours.alarm is None, theirs.alarm) == (False, None)


@pytest.mark.parametrize(
    ("listed", "captured", "shown"),
    [
        ([refund()], 1999, [500]),
        ([refund(balance_transaction=None)], 1999, [500]),  # nothing was let go: it was taken whole
        ([refund(balance_transaction=None)], 1499, []),
        ([refund(balance_transaction=None), refund(id="re_2", amount=200)], 1499, [200]),
        ([refund(balance_transaction=None, amount=500), refund(id="re_2", balance_transaction=None)], 1499, [500]),
        ([refund(balance_transaction=None, metadata={"refund_id": str(REFUND)})], 1499, [500]),
        ([refund(balance_transaction=None, status="pending")], 1499, [500]),
        ([refund(balance_transaction=None, amount=1999)], 0, []),
    ],
)
def test_what_was_let_go_of_a_hold_is_not_among_the_refunds(
    listed: list[dict[str, Any]], captured: int, shown: list[int]
) -> None:
    """It moved no money, and is as much as was not taken; it is left out once, and nothing else is."""
    listing = refunds.listed(charge(amount_captured=captured), listed, CAUSE)
    assert ([one.money.amount for one in listing.shown], listing.complete) == (shown, True)


def test_ours_is_known_by_its_metadata() -> None:
    """Whatever else it says, and whatever others write there."""
    (one, other) = refunds.listed(
        charge(),
        [refund(metadata={"refund_id": str(REFUND)}), refund(id="re_2", metadata={"refund_id": "seven"})],
        CAUSE,
    ).shown
    assert (one.refund_id, other.refund_id) == (REFUND, None)


def test_the_key_of_the_wish_goes_with_its_refund() -> None:
    """So that whoever has forgotten the wish can know it again; without our own name it is nobody's."""
    wished = replace(REPAYMENT, request_key="back-1")
    sent = requests.call_of(requests.refund(wished)).parameters["metadata"]
    named, nameless = refund(metadata=sent), refund(id="re_2", metadata={"request_key": "back-1"})
    shown = refunds.listed(charge(), [named, nameless, refund(id="re_3")], CAUSE).shown
    assert [one.request_key for one in shown] == ["back-1", None, None]


def event(kind: str, thing: dict[str, Any], version: str = "2024-06-20") -> bytes:
    body = {"id": "evt_1", "object": "event", "api_version": version, "livemode": False, "type": kind}
    return json.dumps({**body, "data": {"object": thing}}).encode()


@pytest.mark.parametrize("version", ["2024-06-20", "2020-08-27"])
@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("charge.refunded", charge(payment_intent="pi_1", amount_refunded=7)),
        ("charge.refund.updated", refund()),
        ("refund.created", refund()),
        ("refund.updated", refund(status="failed")),
        ("refund.failed", refund(status="failed")),
    ],
)
def test_what_is_told_of_refunds_is_a_hint(kind: str, thing: dict[str, Any], version: str) -> None:
    """Whose they are and no more: no total and no status is read from an event, in whichever version it is written."""
    assert notices.read(event(kind, thing, version)) == Word(None, "pi_1", "ch_1", None, refunds=True)


def test_a_refund_of_nobody_is_foreign() -> None:
    """One of a cash balance names neither charge nor intent."""
    assert notices.read(event("refund.created", refund(charge=None, payment_intent=None))) is Silence.FOREIGN
