from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from counterfoil.cli.steps import Between, Step, of_entry, of_requests

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=5)


def request(**changes: Any) -> dict[str, Any]:
    """What the sandbox logs of a charge that was answered."""
    return {
        "id": "req_1",
        "method": "POST",
        "path": "/v1/payment_intents",
        "idempotency_key": "order-1",
        "body": "amount=1999",
        "status": 200,
        "error_code": None,
        "replayed": False,
        "fault": None,
        "received_at": NOON,
        "answered_at": NOON,
    } | changes


@pytest.mark.parametrize(
    ("entry", "between", "what"),
    [
        (
            {"kind": "request", "name": "attempt 1", "details": {"idempotency_key": "order-1"}},
            Between.GATEWAY_TO_STRIPE,
            "attempt 1  key order-1",
        ),
        (
            {"kind": "notice", "name": "charge.succeeded", "details": {"event_id": "evt_1", "state": "done"}},
            Between.STRIPE_TO_RECEIVER,
            "charge.succeeded: signed, kept, read",
        ),
        (
            {"kind": "fact", "name": "PaymentSucceeded", "sequence": 2, "details": {"cause": "answer req_1"}},
            Between.ON_RECORD,
            "PaymentSucceeded #2  cause: answer",
        ),
        (
            {"kind": "check", "name": "fraud check approved", "details": {"reference": "check-1", "risk_score": 12.5}},
            Between.ON_RECORD,
            "fraud check approved  risk 12.5",
        ),
        (
            {"kind": "check", "name": "review declined", "details": {"reference": "ada", "risk_score": None}},
            Between.ON_RECORD,
            "review declined",
        ),
    ],
)
def test_each_kind_of_entry_is_a_step(entry: dict[str, Any], between: Between, what: str) -> None:
    """What our timeline has is told with its time, and a fact with what settled it."""
    assert of_entry({"at": NOON.isoformat(), **entry}) == Step(NOON, between, what)


def test_an_order_is_on_record_before_it_is_sent() -> None:
    """Both have one time on record; the story tells them in the order in which they are done."""
    sent, kept = Step(NOON, Between.GATEWAY_TO_STRIPE, ""), Step(NOON, Between.ON_RECORD, "")
    assert sorted([sent, kept], key=lambda step: step.place) == [kept, sent]


def test_an_answer_says_what_was_refused() -> None:
    """One request is one step, its answer: that it was sent, our own timeline tells."""
    ((name, step),) = of_requests([request(status=402, error_code="card_declined")])
    assert name == "answered req_1"
    assert step == Step(NOON, Between.STRIPE_TO_GATEWAY, "402  card_declined  to POST /v1/payment_intents")


def test_a_lost_answer_and_the_same_request_again() -> None:
    """The first answer reaches nobody; the worker sends the request anew and gets the first answer."""
    again = request(id="req_2", replayed=True, received_at=LATER, answered_at=LATER)
    assert [step for _, step in of_requests([request(fault="lose_answer"), again])] == [
        Step(NOON, Between.STRIPE_TO_NOBODY, "200  to POST /v1/payment_intents: lost"),
        Step(LATER, Between.WORKER_TO_STRIPE, "the same request again  key order-1"),
        Step(LATER, Between.STRIPE_TO_WORKER, "200  Idempotent-Replayed  to POST /v1/payment_intents"),
    ]


def test_another_request_under_the_same_key_is_called_so() -> None:
    """What is not to the byte the same is not said to be."""
    _, (_, step), _ = of_requests([request(), request(id="req_2", body="amount=2000")])
    assert step.what == "another request  key order-1"


def test_a_fee_is_a_step_too() -> None:
    """It has no number of its own; that it is known is on record."""
    details = {"amount": 88, "currency": "EUR", "cause": "look-up req_1"}
    step = of_entry({"at": "2026-03-01T12:00:00+00:00", "kind": "fee", "name": "fee", "details": details})
    assert (step.between, step.what) == (Between.ON_RECORD, "the fee is known: 0.88 EUR")


def test_what_a_worker_sends_is_told_as_its() -> None:
    """Whoever sends first is an argument, and so is whether our own timeline tells that it was sent."""
    capture = request(path="/v1/payment_intents/pi_1/capture", idempotency_key="order-1:capture:1")
    assert [step for _, step in of_requests([capture], Between.WORKER_TO_STRIPE, is_in_timeline=False)] == [
        Step(NOON, Between.WORKER_TO_STRIPE, "POST /v1/payment_intents/pi_1/capture  key order-1:capture:1"),
        Step(NOON, Between.STRIPE_TO_WORKER, "200  to POST /v1/payment_intents/pi_1/capture"),
    ]
    refund = {"kind": "request", "name": "refund", "details": {"idempotency_key": "order-1:refund:r"}}
    step = of_entry({"at": NOON.isoformat(), **refund}, Between.WORKER_TO_STRIPE)
    assert step == Step(NOON, Between.WORKER_TO_STRIPE, "refund  key order-1:refund:r")
