"""What Stripe's answers mean: whatever is not an explicit success or failure is unknown."""

from typing import Any

import pytest

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, FailureReason, Settling, Source
from counterfoil.processors.stripe import verdicts

CAUSE = Cause(Source.ANSWER, "req_1")


def intent(status: str, **fields: Any) -> dict[str, Any]:
    return {"id": "pi_1", "status": status, "amount_received": 0, "latest_charge": "ch_1"} | fields


@pytest.mark.parametrize(
    ("status", "fields", "outcome"),
    [
        ("succeeded", {"amount_received": 1999}, AttemptHappening.CAPTURED),
        ("requires_capture", {}, AttemptHappening.AUTHORIZED),
        ("processing", {}, AttemptHappening.PROCESSING),
        ("requires_action", {"next_action": None}, AttemptHappening.ACTION),
        ("canceled", {}, AttemptHappening.CANCELED),
        ("requires_payment_method", {"last_payment_error": {"code": "card_declined"}}, AttemptHappening.DECLINED),
        ("requires_payment_method", {"last_payment_error": None}, AttemptHappening.UNKNOWN),
        ("requires_confirmation", {}, AttemptHappening.UNKNOWN),
        ("a_status_of_next_year", {}, AttemptHappening.UNKNOWN),
    ],
)
def test_a_payment_intents_status_is_an_outcome(
    status: str,
    fields: dict[str, Any],
    outcome: AttemptHappening,
) -> None:
    """Each status Stripe documents, and one it does not."""
    assert outcome is verdicts.of_intent(intent(status, **fields), CAUSE).outcome


@pytest.mark.parametrize(
    ("code", "kind", "passes"),
    [
        ("insufficient_funds", "card", True),
        ("generic_decline", None, True),
        ("insufficient_funds", "us_bank_account", False),
        ("lost_card", "card", False),
        ("a_code_of_next_year", "card", False),
    ],
)
def test_a_refusal_passes_or_not_whoever_tells_it(code: str, kind: str | None, *, passes: bool) -> None:
    """The answer, the intent and the charge agree on whether the same method may be charged a little later."""
    method = {"type": kind} if kind is not None else None
    error = {"type": "card_error", "code": "card_declined", "decline_code": code, "payment_method": method}
    failed = {"status": "failed", "failure_code": "card_declined", "outcome": {"reason": code}}
    told = [
        verdicts.of_refusal(402, error, CAUSE, again=False),
        verdicts.of_intent(intent("requires_payment_method", last_payment_error=error), CAUSE),
        verdicts.of_charge(failed | {"payment_method_details": method}, CAUSE),
    ]
    assert [passes] * 3 == [verdict.may_pass for verdict in told]


@pytest.mark.parametrize(("reason", "expired"), [("automatic", True), ("abandoned", False), (None, False)])
def test_a_cancellation_says_whether_its_time_was_over(reason: str | None, *, expired: bool) -> None:
    """Stripe's own reason for canceling by itself, and those that somebody gives."""
    assert verdicts.of_intent(intent("canceled", cancellation_reason=reason), CAUSE).expired is expired


@pytest.mark.parametrize("charge", [None, "ch_1", {"id": "ch_1"}, {"payment_method_details": {"card": {}}}, 7])
def test_a_hold_whose_end_is_not_told_has_none(charge: Any) -> None:
    """Plain, expanded without it, or odd: ours is the only end then."""
    assert verdicts.of_intent(intent("requires_capture", latest_charge=charge), CAUSE).hold_ends_at is None


@pytest.mark.parametrize(
    ("status", "error", "refused"),
    [
        (400, {"type": "invalid_request_error", "code": "amount_too_large"}, True),
        (404, {"type": "invalid_request_error", "code": "resource_missing"}, True),
        (402, {"type": "card_error", "code": "card_declined"}, True),
        (400, {"type": "invalid_request_error", "code": "charge_expired_for_capture"}, False),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, False),
        (429, {"type": "rate_limit_error"}, False),
        (500, {"type": "api_error"}, False),
    ],
)
def test_what_we_ask_of_an_intent_may_be_refused_for_good(status: int, error: dict[str, Any], *, refused: bool) -> None:
    """Then a person hears of it; the attempt it is about is never ended by that."""
    verdict = verdicts.of_refused_operation(status, error, CAUSE)
    assert (verdict.outcome, verdict.refused) == (AttemptHappening.UNKNOWN, refused)
    assert (verdict.alarm is not None) == refused


def test_an_undocumented_status_raises_an_alarm() -> None:
    """It moves nothing, and a person hears of it."""
    assert verdicts.of_intent(intent("a_status_of_next_year"), CAUSE).alarm is not None


def test_a_capture_says_how_much_and_by_which_charge() -> None:
    """The amount is what Stripe received, not what we asked for."""
    verdict = verdicts.of_intent(intent("succeeded", amount_received=1500, latest_charge={"id": "ch_2"}), CAUSE)
    assert (verdict.amount_captured, verdict.charge_id, verdict.intent_id) == (1500, "ch_2", "pi_1")


@pytest.mark.parametrize(
    "next_action",
    [
        {"type": "redirect_to_url", "redirect_to_url": {"return_url": "https://shop.example", "url": "https://bank/"}},
        {"type": "multibanco_display_details", "multibanco_display_details": {"hosted_voucher_url": "https://bank/"}},
        {
            "type": "verify_with_microdeposits",
            "verify_with_microdeposits": {"hosted_verification_url": "https://bank/"},
        },
    ],
)
def test_the_link_is_found_wherever_stripe_puts_it(next_action: dict[str, Any]) -> None:
    """Each kind of next action names its address differently; ours to come back to is none of them."""
    action = verdicts.of_intent(intent("requires_action", next_action=next_action), CAUSE).action
    assert action is not None
    assert action.url == "https://bank/"


@pytest.mark.parametrize(
    ("error", "reason", "can_retry"),
    [
        ({"code": "card_declined", "decline_code": "generic_decline"}, FailureReason.CARD_DECLINED, True),
        ({"code": "card_declined", "decline_code": "insufficient_funds"}, FailureReason.INSUFFICIENT_FUNDS, True),
        ({"code": "card_declined", "decline_code": "lost_card"}, FailureReason.CARD_DECLINED, True),
        ({"code": "card_declined", "decline_code": "fraudulent"}, FailureReason.FRAUD_SUSPECTED, False),
        ({"code": "expired_card"}, FailureReason.EXPIRED_CARD, True),
        ({"code": "incorrect_cvc"}, FailureReason.CARD_DECLINED, True),
        ({"code": "processing_error"}, FailureReason.OTHER, True),
        ({"code": "authentication_required"}, FailureReason.AUTHENTICATION_REQUIRED, True),
        ({"code": "payment_intent_authentication_failure"}, FailureReason.AUTHENTICATION_REQUIRED, True),
        ({"code": "a_code_of_next_year"}, FailureReason.OTHER, True),
    ],
)
def test_a_decline_keeps_stripes_code_and_gets_our_reason(
    error: dict[str, Any],
    reason: FailureReason,
    can_retry: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """The most specific code decides."""
    refusal = {"type": "card_error", "message": "No.", "charge": "ch_1", "payment_intent": {"id": "pi_1"}} | error
    verdict = verdicts.of_refusal(402, refusal, CAUSE, again=False)
    assert verdict.decline is not None
    expected = (reason, error.get("decline_code") or error["code"], "No.", can_retry)
    decline = verdict.decline
    assert expected == (decline.reason, decline.code, decline.message, decline.can_retry)
    assert (verdict.intent_id, verdict.charge_id) == ("pi_1", "ch_1")


INVALID = {"type": "invalid_request_error", "code": "parameter_unknown", "param": "x", "message": "Unknown."}
CARD = {"type": "card_error", "code": "card_declined", "message": "No."}
KEY_REUSED = {"type": "idempotency_error", "message": "Other parameters."}
GONE = {"type": "invalid_request_error", "code": "resource_missing", "message": "No such payment method."}
RATE = {"type": "invalid_request_error", "code": "rate_limit", "message": "Slow down."}
LOCK = {"type": "invalid_request_error", "code": "lock_timeout", "message": "Busy."}
API = {"type": "api_error", "message": "Ours."}
U, D = AttemptHappening.UNKNOWN, AttemptHappening.DECLINED

OUTCOMES = [
    # status, error, first send, replay, alarm on the first send
    (402, CARD, D, D, False),
    (400, INVALID, D, U, True),
    (400, GONE, D, U, False),
    (404, GONE, D, U, False),
    (400, KEY_REUSED, U, U, True),
    (401, INVALID, U, U, True),
    (403, INVALID, U, U, True),
    (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, U, U, False),
    (409, {"type": "invalid_request_error", "code": "idempotency_key_in_use"}, U, U, False),
    (424, API, U, U, False),
    (429, RATE, U, U, False),
    (429, LOCK, U, U, False),
    (500, API, U, U, False),
    (502, {}, U, U, False),
    (503, {}, U, U, False),
    (504, {}, U, U, False),
]


@pytest.mark.parametrize(("status", "error", "first", "replay", "alarm"), OUTCOMES)
def test_the_outcome_table(
    status: int,
    error: dict[str, Any],
    first: AttemptHappening,
    replay: AttemptHappening,
    alarm: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A refusal is proof about the send it answers; after an earlier send without an answer it proves nothing."""
    sent_once = verdicts.of_refusal(status, error, CAUSE, again=False)
    sent_again = verdicts.of_refusal(status, error, CAUSE, again=True)
    assert (first, replay) == (sent_once.outcome, sent_again.outcome)
    assert alarm == (sent_once.alarm is not None)


@pytest.mark.parametrize(
    ("status", "more", "charge_id"),
    [
        ("requires_action", {}, None),
        ("canceled", {}, None),
        ("requires_confirmation", {}, None),
        ("requires_payment_method", {"last_payment_error": {"code": "authentication_required"}}, None),
        ("requires_payment_method", {"last_payment_error": {"code": "card_declined", "charge": "ch_2"}}, "ch_2"),
        ("processing", {}, "ch_1"),
        ("requires_capture", {}, "ch_1"),
        ("succeeded", {"amount_received": 1999}, "ch_1"),
    ],
)
def test_the_latest_charge_is_the_attempts_where_it_has_one(
    status: str, more: dict[str, Any], charge_id: str | None
) -> None:
    """Before a further attempt has come to a charge, Stripe still names that of the attempt before."""
    assert verdicts.of_intent(intent(status, latest_charge="ch_1", **more), CAUSE).charge_id == charge_id


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, {"type": "invalid_request_error", "code": "resource_missing"}),
        (400, {"type": "invalid_request_error", "code": "parameter_unknown"}),
        (402, {"type": "card_error", "code": "card_declined"}),
        (500, {}),
    ],
)
def test_what_cannot_be_canceled_ends_nothing(status: int, error: dict[str, Any]) -> None:
    """A refusal is about the cancellation and not about the attempt; that it was refused for good, a person sees."""
    said = verdicts.of_refused_operation(status, error, CAUSE)
    assert (said.outcome, said.settling) == (AttemptHappening.UNKNOWN, Settling.ASK)
    assert (said.alarm is not None) == (status != 500)


@pytest.mark.parametrize("again", [False, True])
def test_an_object_in_another_state_tells_by_itself(again: bool) -> None:  # noqa: FBT001 - both values are the point
    """Unexpected state means the object moved on: it, not the error, is the news."""
    moved = intent("succeeded", amount_received=1999)
    error = {"type": "invalid_request_error", "code": "payment_intent_unexpected_state", "payment_intent": moved}
    assert AttemptHappening.CAPTURED is verdicts.of_refusal(400, error, CAUSE, again=again).outcome


@pytest.mark.parametrize(
    ("charge", "outcome"),
    [
        ({"status": "succeeded", "captured": True, "amount_captured": 1500}, AttemptHappening.CAPTURED),
        ({"status": "succeeded", "captured": False}, AttemptHappening.AUTHORIZED),
        ({"status": "pending", "captured": False}, AttemptHappening.PROCESSING),
        ({"status": "failed", "captured": False, "failure_code": "card_declined"}, AttemptHappening.DECLINED),
        ({"status": "a_status_of_next_year", "captured": False}, AttemptHappening.UNKNOWN),
    ],
)
def test_a_charges_status_is_an_outcome(charge: dict[str, Any], outcome: AttemptHappening) -> None:
    """A charge that succeeded without being captured is a hold."""
    whole = {"id": "ch_1", "amount": 1999, "payment_intent": "pi_1", "outcome": None} | charge
    verdict = verdicts.of_charge(whole, CAUSE)
    assert (outcome, "ch_1", "pi_1") == (verdict.outcome, verdict.charge_id, verdict.intent_id)
