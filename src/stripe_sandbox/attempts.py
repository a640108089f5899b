"""One attempt to pay a PaymentIntent: the cardholder is asked, the issuer answers, the money moves or does not.

Source: https://docs.stripe.com/payments/paymentintents/lifecycle, /payments/3d-secure/authentication-flow and
/declines. Every function leaves the account in its new state before it returns or raises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from stripe_sandbox import cash, disputing, refunding
from stripe_sandbox.account import TIME, Account, Awaited, Cause, Challenge
from stripe_sandbox.catalogue import AUTHENTICATION_REQUIRED, BankDebit, BankTransfer, Card, Decline, ThreeDSecure
from stripe_sandbox.errors import CARD_ERROR, INVALID_REQUEST, RefusedError, documentation
from stripe_sandbox.records import Object
from stripe_sandbox.resources import balance_transactions, charges, payment_methods
from stripe_sandbox.schedule import due

ASYNCHRONOUS_CAPTURE_SECONDS: Final = 1.0
"""With `automatic_async` a charge learns of its balance transaction only later, told by `charge.updated`; at Stripe
within the hour (https://docs.stripe.com/payments/payment-intents/asynchronous-capture)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How the merchant confirms.

    Attributes:
        cause: the request that confirms.
        base_url: where the customer's browser finds the sandbox.
        off_session: the customer is not there to answer questions.
        return_url: where the browser goes after a question.
        use_stripe_sdk: the question is put by Stripe.js, not by a redirect.
        error_on_requires_action: fail rather than ask.
        mandate: the mandate of a bank debit.
    """

    cause: Cause
    base_url: str
    off_session: bool = False
    return_url: str | None = None
    use_stripe_sdk: bool = False
    error_on_requires_action: bool = False
    mandate: str | None = None


def begin(account: Account, intent: Object, method: Object, terms: Terms) -> Object:
    """Confirms a PaymentIntent with a method, both already checked.

    Returns:
        the PaymentIntent: succeeded, requires_capture, requires_action or processing.

    Raises:
        RefusedError: 402, the payment was declined; the PaymentIntent then asks for another method.
    """
    drop_challenge(account, intent["id"])
    intent = {**intent, "payment_method": method["id"], "last_payment_error": None, "next_action": None}
    test_method = payment_methods.behaviour(account, method["id"])
    if isinstance(test_method, BankTransfer):
        return _await_funds(account, intent, method, terms)
    _free(account, intent, terms.cause)
    if isinstance(test_method, BankDebit):
        return _debit(account, intent, method, test_method, terms)
    if account.authenticated.pop(intent["id"]) == method["id"]:
        return _charge(account, intent, method, terms, authenticated=True)
    if not _asked(test_method, intent, off_session=terms.off_session):
        return _charge(account, intent, method, terms, authenticated=False)
    if terms.off_session:
        charge = charges.new(account, intent, method, base_url=terms.base_url)
        raise decline(account, intent, method, AUTHENTICATION_REQUIRED, terms.cause, charge=charge)
    if terms.error_on_requires_action:
        raise decline(account, intent, method, AUTHENTICATION_REQUIRED, terms.cause)
    return _ask(account, intent, method, terms)


def approve(account: Account, challenge: Challenge, cause: Cause) -> Object:
    """Goes on after the cardholder said yes.

    Raises:
        RefusedError: 402, the issuer declines all the same.
    """
    drop_challenge(account, challenge.intent_id)
    intent = {**account.payment_intents[challenge.intent_id], "next_action": None}
    method = payment_methods.named(account, challenge.method_id)
    if intent["confirmation_method"] == "manual":
        account.authenticated[intent["id"]] = method["id"]
        return account.payment_intents.put({**intent, "status": "requires_confirmation"})
    return _charge(account, intent, method, Terms(cause, challenge.base_url), authenticated=True)


def refuse(account: Account, challenge: Challenge, cause: Cause) -> Object:
    """Gives up after the cardholder said no, or failed to prove who they are."""
    drop_challenge(account, challenge.intent_id)
    intent = account.payment_intents[challenge.intent_id]
    code = "payment_intent_authentication_failure"
    failed = account.payment_intents.put(
        {
            **intent,
            "last_payment_error": {
                "code": code,
                "doc_url": documentation(code),
                "message": "The provided PaymentMethod has failed authentication. Provide another to try again.",
                "payment_method": payment_methods.named(account, challenge.method_id),
                "type": INVALID_REQUEST,
            },
            "next_action": None,
            "payment_method": None,
            "status": "requires_payment_method",
        }
    )
    account.emit("payment_intent.payment_failed", failed, cause)
    return failed


def capture(account: Account, intent: Object, amount: int, cause: Cause) -> Object:
    """Takes so much of a hold and lets the rest go."""
    held = account.charges[intent["latest_charge"]]
    charge = charges.captured(held, amount)
    if amount < held["amount"]:
        refunding.let_go(account, held, held["amount"] - amount, {})
    charge["balance_transaction"] = balance_transactions.record(account, charge)["id"]
    account.emit("charge.captured", account.charges.put(charge), cause)
    return _succeed(account, {**intent, "amount_capturable": 0}, charge, cause)


def release(account: Account, charge: Object, wish: Mapping[str, Any], cause: Cause) -> Object:
    """Lets go of a hold because its charge is refunded, which also ends the PaymentIntent behind it.

    Returns:
        the refund, which has no balance transaction.
    """
    refund = refunding.release(account, charge, wish, "charge.refunded", cause)
    if charge["payment_intent"] is not None:
        _end(account, account.payment_intents[charge["payment_intent"]], None, cause)
    return refund


def cancel(account: Account, intent: Object, reason: str | None, cause: Cause) -> Object:
    """Ends a PaymentIntent and lets go of its hold."""
    drop_challenge(account, intent["id"])
    if intent["status"] == "requires_capture":
        charge = account.charges[intent["latest_charge"]]
        if reason == "automatic":
            refunding.release(account, charge, refunding.EXPIRED, "charge.expired", cause)
        else:
            refunding.release(account, charge, {}, "charge.refunded", cause)
    return _end(account, intent, reason, cause)


def _end(account: Account, intent: Object, reason: str | None, cause: Cause) -> Object:
    _free(account, intent, cause)
    canceled = account.payment_intents.put(
        {
            **intent,
            "amount_capturable": 0,
            "canceled_at": account.clock.stamp(),
            "cancellation_reason": reason,
            "next_action": None,
            "status": "canceled",
        }
    )
    account.emit("payment_intent.canceled", canceled, cause)
    return canceled


def fund(account: Account, intent: Object, cause: Cause) -> Object:
    """Pays a waiting PaymentIntent from its customer's cash balance, as far as that goes.

    Returns:
        the PaymentIntent: succeeded, or waiting for less than before.
    """
    awaited = account.awaited[intent["id"]]
    purse = (intent["customer"], intent["currency"])
    missing = intent["amount"] - awaited.funded
    applied = min(missing, cash.available(account, purse))
    if applied:
        cash.move(account, purse, -applied, "applied_to_payment", {"payment_intent": intent["id"]}, cause)
    awaited = replace(awaited, funded=awaited.funded + applied)
    if applied < missing:
        account.awaited[intent["id"]] = awaited
        action = cash.instructions(intent, missing - applied, awaited.reference)
        waiting = account.payment_intents.put({**intent, "next_action": action, "status": "requires_action"})
        account.emit("payment_intent.partially_funded", waiting, cause)
        return waiting
    del account.awaited[intent["id"]]
    method = payment_methods.named(account, awaited.method_id)
    charge = charges.new(account, intent, method, base_url=awaited.base_url)
    charge = charges.captured(charge, charge["amount"])
    charge["balance_transaction"] = balance_transactions.record(account, charge)["id"]
    account.emit("charge.succeeded", account.charges.put(charge), cause)
    return _succeed(account, {**intent, "latest_charge": charge["id"], "next_action": None}, charge, cause)


def _free(account: Account, intent: Object, cause: Cause) -> None:
    """Ends the wait for a bank transfer; what came already is the customer's again."""
    awaited = account.awaited.pop(intent["id"])
    if awaited is not None and awaited.funded:
        purse = (intent["customer"], intent["currency"])
        cash.move(account, purse, awaited.funded, "unapplied_from_payment", {"payment_intent": intent["id"]}, cause)


def _await_funds(account: Account, intent: Object, method: Object, terms: Terms) -> Object:
    """Asks for a bank transfer, unless the customer has money already; what came before a second try still counts."""
    before = account.awaited.get(intent["id"])
    reference = account.ids.text(12).upper() if before is None else before.reference
    funded = 0 if before is None else before.funded
    account.awaited[intent["id"]] = Awaited(method["id"], reference, terms.base_url, funded)
    if cash.available(account, (intent["customer"], intent["currency"])):
        return fund(account, intent, terms.cause)
    action = cash.instructions(intent, intent["amount"] - funded, reference)
    waiting = account.payment_intents.put({**intent, "next_action": action, "status": "requires_action"})
    account.emit("payment_intent.requires_action", waiting, terms.cause)
    return waiting


def decline(  # noqa: PLR0913 - a refusal names all of these
    account: Account, intent: Object, method: Object, why: Decline, cause: Cause, *, charge: Object | None = None
) -> RefusedError:
    """Records that a payment failed, and makes the 402 that says so; a charge given becomes a failed one."""
    error: dict[str, Any] = {"code": why.code, "doc_url": documentation(why.code), "message": why.message}
    if charge is not None:
        failed = account.charges.put(charges.failed(charge, why))
        account.emit("charge.failed", failed, cause)
        intent = {**intent, "latest_charge": failed["id"]}
        error["charge"] = failed["id"]
    if why.decline_code is not None:
        error["decline_code"] = why.decline_code
    if why.param is not None:
        error["param"] = why.param
    kind = CARD_ERROR if method["type"] == "card" else INVALID_REQUEST
    error |= {"payment_method": method, "type": kind}
    intent = account.payment_intents.put(
        {
            **intent,
            "last_payment_error": error,
            "next_action": None,
            "payment_method": None,
            "status": "requires_payment_method",
        }
    )
    account.emit("payment_intent.payment_failed", intent, cause)
    details: dict[str, Any] = {
        name: error[name] for name in ("charge", "decline_code", "payment_method") if name in error
    }
    return RefusedError(
        402, why.message, kind=kind, code=why.code, param=why.param, details={**details, "payment_intent": intent}
    )


def drop_challenge(account: Account, intent_id: str) -> None:
    """Withdraws an unanswered 3-D Secure question, if there is one."""
    account.challenges.pop(intent_id)


def _asked(card: Card, intent: Object, *, off_session: bool) -> bool:
    match card.three_d_secure:
        case ThreeDSecure.REQUIRED:
            return True
        case ThreeDSecure.REQUIRED_ON_SESSION:
            return not off_session
        case ThreeDSecure.OPTIONAL:
            options = intent["payment_method_options"].get("card", {})
            return not off_session and options.get("request_three_d_secure") in {"any", "challenge"}
        case ThreeDSecure.NOT_ENROLLED | ThreeDSecure.UNSUPPORTED:
            return False


def _ask(account: Account, intent: Object, method: Object, terms: Terms) -> Object:
    source = account.ids.new("src")
    secret = f"src_client_secret_{account.ids.text(24)}"
    account.challenges[intent["id"]] = Challenge(intent["id"], method["id"], secret, terms.return_url, terms.base_url)
    url = f"{terms.base_url}/redirect/authenticate/{intent['id']}?client_secret={secret}"
    if terms.use_stripe_sdk or terms.return_url is None:
        action: dict[str, Any] = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"source": source, "stripe_js": url, "type": "three_d_secure_redirect"},
        }
    else:
        action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": terms.return_url, "url": url}}
    asking = account.payment_intents.put({**intent, "next_action": action, "status": "requires_action"})
    account.emit("payment_intent.requires_action", asking, terms.cause)
    return asking


def _charge(account: Account, intent: Object, method: Object, terms: Terms, *, authenticated: bool) -> Object:
    charge = charges.new(account, intent, method, base_url=terms.base_url, authenticated=authenticated)
    why = account.issuer_says or payment_methods.behaviour(account, method["id"]).decline
    if why is not None:
        raise decline(account, intent, method, why, terms.cause, charge=charge)
    intent = {**intent, "latest_charge": charge["id"]}
    if intent["capture_method"] == "manual":
        return _hold(account, intent, charges.held(charge), terms.cause)
    charge = charges.captured(charge, charge["amount"])
    if intent["capture_method"] == "automatic":
        charge["balance_transaction"] = balance_transactions.record(account, charge)["id"]
    else:
        account.schedule.after(ASYNCHRONOUS_CAPTURE_SECONDS, _book, account, charge["id"])
    account.emit("charge.succeeded", account.charges.put(charge), terms.cause)
    return _succeed(account, intent, charge, terms.cause)


def _hold(account: Account, intent: Object, charge: Object, cause: Cause) -> Object:
    account.emit("charge.succeeded", account.charges.put(charge), cause)
    _keep_or_spend(account, intent, charge, cause)
    held = account.payment_intents.put({**intent, "amount_capturable": charge["amount"], "status": "requires_capture"})
    account.emit("payment_intent.amount_capturable_updated", held, cause)
    account.schedule.after(charges.HOLD_SECONDS, _expire, account, intent["id"], charge["id"])
    return held


@due
def _expire(account: Account, intent_id: str, charge_id: str) -> None:
    intent = account.payment_intents[intent_id]
    if intent["status"] == "requires_capture" and intent["latest_charge"] == charge_id:
        cancel(account, intent, "automatic", TIME)


def _succeed(account: Account, intent: Object, charge: Object, cause: Cause) -> Object:
    _keep_or_spend(account, intent, charge, cause)
    disputing.expect(account, charge)
    paid = account.payment_intents.put({**intent, "amount_received": charge["amount_captured"], "status": "succeeded"})
    account.emit("payment_intent.succeeded", paid, cause)
    return paid


def _keep_or_spend(account: Account, intent: Object, charge: Object, cause: Cause) -> None:
    """A method that paid stays with its customer; one without a customer has been used up."""
    method = payment_methods.named(account, charge["payment_method"])
    if method["customer"] is not None:
        return
    if intent["customer"] is not None and intent["setup_future_usage"] is not None:
        payment_methods.attach(account, method, intent["customer"], cause)
    else:
        account.spent_methods[method["id"]] = True


@due
def _book(account: Account, charge_id: str) -> None:
    charge = account.charges[charge_id]
    transaction = balance_transactions.record(account, charge)
    booked = account.charges.put({**charge, "balance_transaction": transaction["id"]})
    account.emit("charge.updated", booked, TIME, {"balance_transaction": None})


def _debit(account: Account, intent: Object, method: Object, debit: BankDebit, terms: Terms) -> Object:
    charge = account.charges.put(charges.new(account, intent, method, base_url=terms.base_url, mandate=terms.mandate))
    waiting = account.payment_intents.put({**intent, "latest_charge": charge["id"], "status": "processing"})
    account.emit("charge.pending", charge, terms.cause)
    account.emit("payment_intent.processing", waiting, terms.cause)
    if debit.settles_seconds is not None:
        account.schedule.after(debit.settles_seconds, _settle, account, intent["id"], charge["id"])
    return waiting


@due
def _settle(account: Account, intent_id: str, charge_id: str) -> None:
    charge = account.charges[charge_id]
    intent = account.payment_intents[intent_id]
    method = payment_methods.named(account, charge["payment_method"])
    bounce = payment_methods.behaviour(account, method["id"]).decline
    if bounce is not None:
        decline(account, intent, method, bounce, TIME, charge=charge)
        return
    charge = charges.captured(charge, charge["amount"])
    charge["balance_transaction"] = balance_transactions.record(account, charge)["id"]
    account.emit("charge.succeeded", account.charges.put(charge), TIME)
    _succeed(account, intent, charge, TIME)
