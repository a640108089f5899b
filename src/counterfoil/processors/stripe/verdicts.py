"""What Stripe's answers and objects mean. Whatever is not an explicit success or failure is unknown.

The statuses are those of Stripe's page "How PaymentIntents work"; the error classes those of "Error handling". Why a
500 or a lost answer is no failure: Stripe may have done the work all the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Verdict

_REASONS: Final[Mapping[str, FailureReason]] = MappingProxyType(
    {
        "insufficient_funds": FailureReason.INSUFFICIENT_FUNDS,
        "expired_card": FailureReason.EXPIRED_CARD,
        "fraudulent": FailureReason.FRAUD_SUSPECTED,
        "merchant_blacklist": FailureReason.FRAUD_SUSPECTED,
        "authentication_required": FailureReason.AUTHENTICATION_REQUIRED,
        "payment_intent_authentication_failure": FailureReason.AUTHENTICATION_REQUIRED,
        "processing_error": FailureReason.OTHER,
        "resource_missing": FailureReason.INVALID_PAYMENT_METHOD,
        "payment_method_unactivated": FailureReason.INVALID_PAYMENT_METHOD,
        "payment_method_invalid_parameter": FailureReason.INVALID_PAYMENT_METHOD,
        "payment_method_not_available": FailureReason.INVALID_PAYMENT_METHOD,
        "payment_method_provider_decline": FailureReason.OTHER,
    },
)
"""Codes that say more than "declined"; a ``card_declined`` with any other decline code is just that."""

_STATE_ERRORS: Final = frozenset(
    {"payment_intent_unexpected_state", "charge_already_captured", "charge_already_refunded"},
)
"""The request was fine but the object had moved on; the object, not the error, is the news."""

_METHOD_ERRORS: Final = frozenset(
    {"resource_missing", "payment_method_unactivated", "payment_method_invalid_parameter", "token_already_used"},
)


_BEFORE_ANY_WORK: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
"""Answered before the idempotency layer: of this send nothing was carried out, of an earlier one it says nothing."""


def of_intent(intent: Mapping[str, Any], cause: Cause) -> Verdict:
    """Return what a PaymentIntent says of its latest attempt."""
    said = Verdict(AttemptHappening.UNKNOWN, cause, _id_of(intent), _id_of(intent.get("latest_charge")))
    status = str(intent.get("status"))
    if status not in _OUTCOMES:
        return replace(said, alarm="Stripe used a PaymentIntent status this version does not know")
    outcome = _OUTCOMES[status]
    if outcome is AttemptHappening.CAPTURED:
        return replace(said, outcome=outcome, amount_captured=int(intent["amount_received"]))
    if outcome is AttemptHappening.ACTION:
        return replace(said, outcome=outcome, action=_action(intent.get("next_action") or {}))
    if outcome is AttemptHappening.DECLINED:
        error = intent.get("last_payment_error")
        if not error:  # made but never confirmed: nothing was tried, so nothing was declined
            return said
        charge_id = _id_of(error.get("charge")) or said.charge_id
        return replace(said, outcome=outcome, charge_id=charge_id, decline=_decline(error))
    return replace(said, outcome=outcome)


def of_charge(charge: Mapping[str, Any], cause: Cause) -> Verdict:
    """Return what a Charge says of the attempt that owns it."""
    said = Verdict(AttemptHappening.UNKNOWN, cause, _id_of(charge.get("payment_intent")), _id_of(charge))
    match charge.get("status"), charge.get("captured"):
        case "succeeded", True:
            captured = int(charge.get("amount_captured", charge["amount"]))
            return replace(said, outcome=AttemptHappening.CAPTURED, amount_captured=captured)
        case "succeeded", _:
            return replace(said, outcome=AttemptHappening.AUTHORIZED)
        case "pending", _:
            return replace(said, outcome=AttemptHappening.PROCESSING)
        case "failed", _:
            error = {
                "code": charge.get("failure_code"),
                "decline_code": (charge.get("outcome") or {}).get("reason"),
                "message": charge.get("failure_message"),
            }
            return replace(said, outcome=AttemptHappening.DECLINED, decline=_decline(error))
    return replace(said, alarm="Stripe used a Charge status this version does not know")


def of_refusal(status: int, error: Mapping[str, Any], cause: Cause, *, again: bool) -> Verdict:
    """Return what an error answer means.

    Args:
        status: the HTTP status.
        error: the object under ``error`` in its body; empty where there was none.
        cause: the answer it came with.
        again: whether an earlier send of the same request may have been executed; a refusal of this one then proves
            nothing about that one.
    """
    kind, code = _text(error.get("type")), _text(error.get("code"))
    intent = error.get("payment_intent")
    if kind == "card_error" and status == HTTPStatus.PAYMENT_REQUIRED:
        charge_id = _id_of(error.get("charge"))
        return Verdict(AttemptHappening.DECLINED, cause, _id_of(intent), charge_id, decline=_decline(error))
    if code in _STATE_ERRORS and isinstance(intent, Mapping):
        return of_intent(intent, cause)
    if kind == "idempotency_error" and code != "idempotency_key_in_use":
        return of_silence(cause, alarm="the idempotency key was sent with other parameters before")
    if status in _BEFORE_ANY_WORK:
        alarm = None if status == HTTPStatus.TOO_MANY_REQUESTS else "Stripe refuses our key"
        return of_silence(cause, executed=again, alarm=alarm)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) and code not in _STATE_ERRORS:
        return _of_invalid(kind, error, cause, again=again)
    return of_silence(cause)


def _of_invalid(kind: str | None, error: Mapping[str, Any], cause: Cause, *, again: bool) -> Verdict:
    """Return what it means that Stripe calls the request itself wrong."""
    code = _text(error.get("code"))
    ours = f"Stripe calls our request invalid ({code or kind}, {_text(error.get('param'))})"
    if again:
        return of_silence(cause, alarm=f"{ours}, and whether it executed it before is not known")
    method = code in _METHOD_ERRORS
    reason = FailureReason.INVALID_PAYMENT_METHOD if method else FailureReason.OTHER
    decline = Decline(reason, code or "invalid_request", _text(error.get("message")) or "", can_retry=method)
    intent_id = _id_of(error.get("payment_intent"))
    return Verdict(AttemptHappening.DECLINED, cause, intent_id, decline=decline, alarm=None if method else ours)


def of_silence(
    cause: Cause,
    *,
    executed: bool = True,
    absent: bool = False,
    alarm: str | None = None,
) -> Verdict:
    """Return what it means that nothing explicit was said: nothing is known.

    With ``executed`` False it is certain, all the same, that nothing was done; ``absent`` says that a complete listing
    shows nothing.
    """
    return Verdict(AttemptHappening.UNKNOWN, cause, executed=executed, absent=absent, alarm=alarm)


def _decline(error: Mapping[str, Any]) -> Decline:
    code = _text(error.get("decline_code")) or _text(error.get("code")) or "unspecified"
    plain = FailureReason.CARD_DECLINED if error.get("code") in _PLAIN_DECLINES else FailureReason.OTHER
    reason = _REASONS.get(code) or _REASONS.get(_text(error.get("code")) or "") or plain
    return Decline(
        reason=reason,
        code=code,
        message=_text(error.get("message")) or "",
        can_retry=reason is not FailureReason.FRAUD_SUSPECTED,
    )


def _action(next_action: Mapping[str, Any]) -> Action | None:
    """Return where the customer must go: the first URL of Stripe's ``next_action``, whichever kind it is."""
    for step in next_action.values():
        if isinstance(step, Mapping):
            for field, value in step.items():
                if field.endswith("url") and field != "return_url" and isinstance(value, str):
                    return Action(value, _moment(step.get("expires_at")))
    return None


def _moment(seconds: Any) -> datetime | None:
    """Return a time that Stripe gives in seconds since 1970, if it is one."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _id_of(reference: Any) -> str | None:
    """Return the id of something that Stripe gives as its id or, expanded, as the object."""
    if isinstance(reference, Mapping):
        reference = reference.get("id")
    return reference if isinstance(reference, str) else None


_PLAIN_DECLINES: Final = frozenset({"card_declined", "incorrect_cvc", "incorrect_number", "incorrect_zip"})

_OUTCOMES: Final[Mapping[str, AttemptHappening]] = MappingProxyType(
    {
        "requires_payment_method": AttemptHappening.DECLINED,
        "requires_confirmation": AttemptHappening.UNKNOWN,
        "requires_action": AttemptHappening.ACTION,
        "processing": AttemptHappening.PROCESSING,
        "requires_capture": AttemptHappening.AUTHORIZED,
        "canceled": AttemptHappening.CANCELED,
        "succeeded": AttemptHappening.CAPTURED,
    },
)
"""A PaymentIntent's status, read as the outcome of its latest attempt."""
