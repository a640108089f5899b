"""What Stripe's answers and objects mean. Whatever is not an explicit success or failure is unknown.

The statuses are those of Stripe's page "How PaymentIntents work"; the error classes those of "Error handling". Why a
500 or a lost answer is no failure: Stripe may have done the work all the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Settling, Verdict
from counterfoil.messages.card_numbers import holds_card_number

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

_MAY_PASS: Final = frozenset(
    {
        "approve_with_id",  # Stripe: attempt the payment again
        "issuer_not_available",  # Stripe: attempt the payment again
        "processing_error",  # Stripe: attempt the payment again
        "reenter_transaction",  # Stripe: attempt the payment again
        "try_again_later",  # Stripe: attempt the payment again
        "insufficient_funds",  # the account may be filled
        "card_velocity_exceeded",  # a limit that ends by itself
        "withdrawal_count_limit_exceeded",  # the same
        "card_declined",  # the bank gave no reason, so none that lasts
        "do_not_honor",  # the same
        "generic_decline",  # the same
        "no_action_taken",  # the same
    },
)
"""Decline codes after which the same card may be charged once more without its holder ("Decline codes", next steps;
none that Stripe's own Smart Retries never try again). A code that is not listed is never retried: expired, lost and
stolen cards, closed accounts, wrong numbers and withdrawn consent stay as they are, ``authentication_required`` wants
the customer, whatever looks like fraud must be left alone, and of a code we do not know nobody can say."""

_ADVICE_AGAINST: Final = frozenset({"do_not_try_again", "confirm_card_data"})
"""The bank's own word on retrying, where Stripe passes it on (``advice_code``); it outweighs the code."""

_STATE_ERRORS: Final = frozenset(
    {
        "payment_intent_unexpected_state",
        "charge_already_captured",
        "charge_already_refunded",
        "charge_expired_for_capture",
    },
)
"""The request was fine but the object had moved on; the object, not the error, is the news."""

_METHOD_ERRORS: Final = frozenset(
    {"resource_missing", "payment_method_unactivated", "payment_method_invalid_parameter", "token_already_used"},
)

_KEY_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Stripe does not accept our credentials: nobody's payment is at fault."""

_BEFORE_ANY_WORK: Final = _KEY_REFUSED | {HTTPStatus.TOO_MANY_REQUESTS}
"""Answered before the idempotency layer: of this send nothing was carried out, of an earlier one it says nothing."""

_OF_THE_REQUEST: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
"""Of the request itself, unless the code says that the object had moved on."""

_MAY_LINGER: Final = frozenset({HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.FAILED_DEPENDENCY})
"""Stripe's own failure, kept under the key and given again for it; what was begun may be finished afterwards."""

_SETTLED_BY: Final[Mapping[int, Settling]] = MappingProxyType(
    {
        HTTPStatus.UNAUTHORIZED: Settling.RETRY,
        HTTPStatus.FORBIDDEN: Settling.RETRY,
        HTTPStatus.CONFLICT: Settling.RETRY,
        HTTPStatus.TOO_MANY_REQUESTS: Settling.RETRY,
        HTTPStatus.BAD_GATEWAY: Settling.RESEND,
        HTTPStatus.SERVICE_UNAVAILABLE: Settling.RESEND,
        HTTPStatus.GATEWAY_TIMEOUT: Settling.RESEND,
    },
)
"""How an outcome is learned after an answer of that status that said nothing definite; after any other by asking."""

_MICRODEPOSITS_LIFE: Final = timedelta(days=10)
"""How long Stripe lets a customer confirm the deposits it made ("ACH Direct Debit", microdeposit verification)."""


def of_intent(intent: Mapping[str, Any], cause: Cause) -> Verdict:
    """Return what a PaymentIntent says of its latest attempt.

    Its latest charge is that attempt's only where it moved, or moves, money: while a customer is awaited, and after a
    refusal, it may still be the charge of the attempt before.
    """
    status = str(intent.get("status"))
    charge_id = _id_of(intent.get("latest_charge")) if status in _CHARGED else None
    said = Verdict(AttemptHappening.UNKNOWN, cause, _id_of(intent), charge_id, currency=_currency(intent))
    unknown = replace(said, settling=Settling.ASK)  # the same request would only be given the same answer
    if status not in _OUTCOMES:
        return replace(unknown, alarm="Stripe used a PaymentIntent status this version does not know")
    outcome, error = _OUTCOMES[status], intent.get("last_payment_error")
    if outcome is AttemptHappening.DECLINED and error:
        charge_id, decline = _id_of(error.get("charge")), _decline(error)
        return replace(said, outcome=outcome, charge_id=charge_id, decline=decline, may_pass=_may_pass(error, decline))
    if outcome in (AttemptHappening.UNKNOWN, AttemptHappening.DECLINED):  # never confirmed, so nothing was declined
        return unknown
    return replace(said, outcome=outcome, **_told_with(outcome, intent))


def _told_with(outcome: AttemptHappening, intent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else a PaymentIntent says that has come to this."""
    match outcome:
        case AttemptHappening.CAPTURED:
            return {"amount_captured": int(intent["amount_received"])}
        case AttemptHappening.AUTHORIZED:
            return {"hold_ends_at": _hold_ends_at(intent.get("latest_charge"))}
        case AttemptHappening.CANCELED:
            return {"expired": intent.get("cancellation_reason") in _EXPIRED}
        case AttemptHappening.ACTION:
            return {"action": _action(intent.get("next_action") or {})}
    return {}


def of_charge(charge: Mapping[str, Any], cause: Cause) -> Verdict:
    """Return what a Charge says of the attempt that owns it."""
    said = Verdict(
        AttemptHappening.UNKNOWN,
        cause,
        _id_of(charge.get("payment_intent")),
        _id_of(charge),
        currency=_currency(charge),
    )
    match charge.get("status"), charge.get("captured"):
        case "succeeded", True:
            captured = int(charge.get("amount_captured", charge["amount"]))
            return replace(said, outcome=AttemptHappening.CAPTURED, amount_captured=captured)
        case "succeeded", _ if charge.get("refunded") is True:  # all of a hold was let go, by us or for its age
            return replace(said, outcome=AttemptHappening.CANCELED)
        case "succeeded", _:
            return replace(said, outcome=AttemptHappening.AUTHORIZED, hold_ends_at=_hold_ends_at(charge))
        case "pending", _:
            return replace(said, outcome=AttemptHappening.PROCESSING)
        case "failed", _:
            judged = charge.get("outcome") or {}
            error = {
                "code": charge.get("failure_code"),
                # What Stripe blocked by itself never saw a bank; on the intent Stripe calls that fraudulent.
                "decline_code": "fraudulent" if judged.get("type") == "blocked" else judged.get("reason"),
                "message": charge.get("failure_message"),
                "advice_code": judged.get("advice_code"),
                "payment_method": charge.get("payment_method_details"),
            }
            decline = _decline(error)
            may_pass = _may_pass(error, decline)
            return replace(said, outcome=AttemptHappening.DECLINED, decline=decline, may_pass=may_pass)
    return replace(said, alarm="Stripe used a Charge status this version does not know")


def of_refusal(
    status: int,
    error: Mapping[str, Any],
    cause: Cause,
    *,
    again: bool,
    may_retry: bool = True,
) -> Verdict:
    """Return what an error answer means.

    Args:
        status: the HTTP status.
        error: the object under ``error`` in its body; empty where there was none.
        cause: the answer it came with.
        again: whether an earlier send of the same request may have been executed; a refusal of this one then proves
            nothing about that one.
        may_retry: False where Stripe asks not to send again blindly (``Stripe-Should-Retry: false``).
    """
    kind, code = _text(error.get("type")), _text(error.get("code"))
    intent = error.get("payment_intent")
    if kind == "card_error" and status == HTTPStatus.PAYMENT_REQUIRED:
        charge_id, decline = _id_of(error.get("charge")), _decline(error)
        return Verdict(
            AttemptHappening.DECLINED,
            cause,
            _id_of(intent),
            charge_id,
            decline=decline,
            currency=_currency(intent) if isinstance(intent, Mapping) else None,
            may_pass=_may_pass(error, decline),
        )
    if code in _STATE_ERRORS:
        return of_intent(intent, cause) if isinstance(intent, Mapping) else of_silence(cause, settling=Settling.ASK)
    if kind == "idempotency_error" and code != "idempotency_key_in_use":
        alarm = "the idempotency key was sent with other parameters before"
        return of_silence(cause, settling=Settling.STOP, alarm=alarm)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        return _of_invalid(kind, error, cause, again=again)
    settling = _SETTLED_BY.get(status, Settling.ASK)
    verdict = of_silence(
        cause,
        settling=settling if may_retry else Settling.ASK,
        executed=again or status not in _BEFORE_ANY_WORK,
        alarm="Stripe refuses our key" if status in _KEY_REFUSED else None,
    )
    return replace(verdict, key_refused=status in _KEY_REFUSED, lingers=status in _MAY_LINGER)


def of_refused_operation(status: int, error: Mapping[str, Any], cause: Cause) -> Verdict:
    """Return what it means for an attempt that its intent could not be canceled, or captured: only the intent can tell.

    That the request is wrong says nothing of the attempt, so it ends none; it raises an alarm, and is ``refused``: sent
    again it would be refused again.
    """
    verdict = of_refusal(status, error, cause, again=True)
    if verdict.decline is None and not (status in _OF_THE_REQUEST and error.get("code") not in _STATE_ERRORS):
        return verdict
    why = verdict.alarm or f"Stripe refuses what we asked of its intent ({_text(error.get('code'))})"
    return replace(of_silence(cause, settling=Settling.ASK, alarm=why), refused=True)


def _of_invalid(kind: str | None, error: Mapping[str, Any], cause: Cause, *, again: bool) -> Verdict:
    """Return what it means that Stripe calls the request itself wrong.

    Stripe keeps no answer under the key where validation failed, so sending again would only be refused again.
    """
    code = _text(error.get("code"))
    ours = f"Stripe calls our request invalid ({code or kind}, {_text(error.get('param'))})"
    method = code in _METHOD_ERRORS
    if again:
        alarm = None if method else f"{ours}, and whether it executed it before is not known"
        return of_silence(cause, settling=Settling.ASK, alarm=alarm)
    reason = FailureReason.INVALID_PAYMENT_METHOD if method else FailureReason.OTHER
    decline = Decline(reason, code or "invalid_request", _prose(error.get("message")), can_retry=method)
    intent_id = _id_of(error.get("payment_intent"))
    return Verdict(AttemptHappening.DECLINED, cause, intent_id, decline=decline, alarm=None if method else ours)


def of_silence(
    cause: Cause,
    *,
    settling: Settling = Settling.RESEND,
    executed: bool = True,
    absent: bool = False,
    alarm: str | None = None,
) -> Verdict:
    """Return what it means that nothing explicit was said: nothing is known.

    With ``executed`` False it is certain, all the same, that nothing was done; ``absent`` says that a complete listing
    shows nothing.
    """
    unknown = AttemptHappening.UNKNOWN
    return Verdict(unknown, cause, settling=settling, executed=executed, absent=absent, alarm=alarm)


def _decline(error: Mapping[str, Any]) -> Decline:
    code = _prose(error.get("decline_code")) or _prose(error.get("code")) or "unspecified"
    plain = FailureReason.CARD_DECLINED if error.get("code") in _PLAIN_DECLINES else FailureReason.OTHER
    reason = _REASONS.get(code) or _REASONS.get(_text(error.get("code")) or "") or plain
    return Decline(
        reason=reason,
        code=code,
        message=_prose(error.get("message")),
        can_retry=reason is not FailureReason.FRAUD_SUSPECTED,
    )


def _may_pass(error: Mapping[str, Any], decline: Decline) -> bool:
    """Return whether the same method may be charged again a little later; a debit never, for its bank takes days."""
    method = error.get("payment_method")
    kind = method.get("type") if isinstance(method, Mapping) else None
    return decline.code in _MAY_PASS and kind in (None, "card") and error.get("advice_code") not in _ADVICE_AGAINST


def _action(next_action: Mapping[str, Any]) -> Action | None:
    """Return where the customer must go: the first URL of Stripe's ``next_action``, whichever kind it is."""
    for step in next_action.values():
        if isinstance(step, Mapping):
            for field, value in step.items():
                if field.endswith("url") and field != "return_url" and isinstance(value, str):
                    return Action(value, _ends(step))
    return None


def _hold_ends_at(charge: Any) -> datetime | None:
    """Return until when a charge may be captured, where it is given as an object and says so."""
    for name in ("payment_method_details", "card"):
        charge = charge.get(name) if isinstance(charge, Mapping) else None
    return _moment(charge.get("capture_before")) if isinstance(charge, Mapping) else None


def _ends(step: Mapping[str, Any]) -> datetime | None:
    """Return until when the customer may take a step, where Stripe says so or has a rule for it."""
    for told in (step, *(part for part in step.values() if isinstance(part, Mapping))):
        ends = _moment(told.get("expires_at")) or _moment(told.get("expires_after"))
        if ends is not None:
            return ends
    arrival = _moment(step.get("arrival_date"))
    return None if arrival is None else arrival + _MICRODEPOSITS_LIFE


def _moment(seconds: Any) -> datetime | None:
    """Return a time that Stripe gives in seconds since 1970, if it is one."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _currency(thing: Mapping[str, Any]) -> str | None:
    """Return the currency of an object of Stripe's as we write it."""
    currency = _text(thing.get("currency"))
    return None if currency is None else currency.upper()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _prose(value: Any) -> str:
    """Return words of Stripe's as they may be kept and shown: none where a card number is in them."""
    text = _text(value)
    return "" if text is None or holds_card_number(text) else text


def _id_of(reference: Any) -> str | None:
    """Return the id of something that Stripe gives as its id or, expanded, as the object."""
    if isinstance(reference, Mapping):
        reference = reference.get("id")
    return reference if isinstance(reference, str) else None


_PLAIN_DECLINES: Final = frozenset({"card_declined", "incorrect_cvc", "incorrect_number", "incorrect_zip"})

_EXPIRED: Final = frozenset({"automatic", "expired"})
"""Why Stripe cancels an intent by itself: nobody captured it in time."""

_CHARGED: Final = frozenset({"succeeded", "requires_capture", "processing"})

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
