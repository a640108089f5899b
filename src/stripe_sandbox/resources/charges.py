"""Charges: made by confirming a PaymentIntent or, the older way, by themselves (https://docs.stripe.com/api/charges)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.catalogue import DAY_SECONDS, Card, Decline
from stripe_sandbox.errors import RefusedError, missing_object
from stripe_sandbox.params import CREATED, PAGE, Choice, Email, Metadata, Parameters, Shape, Text, merged
from stripe_sandbox.records import Object
from stripe_sandbox.resources import payment_methods
from stripe_sandbox.resources.intent_parameters import SHIPPING, copied

HOLD_SECONDS: Final = 7 * DAY_SECONDS
"""How long an authorization of an online card payment lasts (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""

STATEMENT_PREFIX: Final = "SANDBOX"

SETTABLE: Final = ("description", "fraud_details", "receipt_email", "shipping", "transfer_group")

RISK_SCORES: Final = {"normal": 20, "elevated": 66, "highest": 92}


def new(  # noqa: PLR0913 - a charge is where all of these meet
    account: Account,
    intent: Object,
    method: Object,
    *,
    base_url: str,
    mandate: str | None = None,
    authenticated: bool = False,
) -> dict[str, Any]:
    """A pending charge of a PaymentIntent's whole amount, not yet kept."""
    card = method["type"] == "card"
    identifier = account.ids.new("ch" if card else "py")
    suffix = intent["statement_descriptor_suffix"]
    return {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": f"{STATEMENT_PREFIX}* {suffix}" if suffix else STATEMENT_PREFIX,
        "captured": False,
        "created": account.clock.stamp(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "destination": None,
        "dispute": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "invoice": None,
        "livemode": account.livemode,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "order": None,
        "outcome": _approved(account, method),
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            method["type"]: _card_details(account, intent, method, authenticated=authenticated)
            if card
            else _debit_details(method, mandate),
            "type": method["type"],
        },
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{base_url}/receipts/{identifier}",
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": suffix,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def failed(charge: Object, decline: Decline) -> dict[str, Any]:
    """The charge after the issuer, the bank or Radar said no."""
    return {
        **charge,
        "failure_code": decline.code,
        "failure_message": decline.message,
        "outcome": {
            **charge["outcome"],
            "network_status": "not_sent_to_network" if decline.blocked else "declined_by_network",
            "reason": "highest_risk_level" if decline.blocked else decline.decline_code or decline.code,
            "seller_message": "Stripe blocked this payment as too risky."
            if decline.blocked
            else "The bank declined the payment.",
            "type": "blocked" if decline.blocked else "issuer_declined",
        },
        "receipt_url": None,
        "status": "failed",
    }


def captured(charge: Object, amount: int) -> dict[str, Any]:
    """The charge after so much of it was taken; the rest of a hold shows as refunded, as at Stripe."""
    return {
        **charge,
        "amount_captured": amount,
        "amount_refunded": charge["amount"] - amount,
        "captured": True,
        "paid": True,
        "status": "succeeded",
    }


def held(charge: Object) -> dict[str, Any]:
    """The charge after the issuer set the money aside."""
    details = charge["payment_method_details"]
    card = {**details["card"], "capture_before": charge["created"] + HOLD_SECONDS}
    return {**charge, "paid": True, "status": "succeeded", "payment_method_details": {**details, "card": card}}


def _approved(account: Account, method: Object) -> dict[str, Any]:
    test_method = payment_methods.behaviour(account, method["id"])
    risk = test_method.risk_level if isinstance(test_method, Card) else "not_assessed"
    outcome = {
        "network_status": "approved_by_network",
        "reason": "elevated_risk_level" if risk == "elevated" else None,
        "risk_level": risk,
        "seller_message": "Payment complete.",
        "type": "manual_review" if risk == "elevated" else "authorized",
    }
    return {**outcome, "risk_score": RISK_SCORES[risk]} if risk in RISK_SCORES else outcome


def _card_details(account: Account, intent: Object, method: Object, *, authenticated: bool) -> dict[str, Any]:
    card = method["card"]
    amount = intent["amount"]
    return {
        "amount_authorized": amount,
        "authorization_code": None,
        "brand": card["brand"],
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "three_d_secure": {
            "authentication_flow": "challenge",
            "electronic_commerce_indicator": "05",
            "exemption_indicator": None,
            "result": "authenticated",
            "result_reason": None,
            "transaction_id": account.ids.text(36),
            "version": "2.2.0",
        }
        if authenticated
        else None,
        "wallet": None,
    }


def _debit_details(method: Object, mandate: str | None) -> dict[str, Any]:
    if method["type"] == "customer_balance":
        return {}
    bank = method[method["type"]]
    if method["type"] == "sepa_debit":
        shown: tuple[str, ...] = ("bank_code", "branch_code", "country", "fingerprint", "last4")
        return {**{name: bank[name] for name in shown}, "mandate": mandate}
    shown = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
    return {**{name: bank[name] for name in shown}, "mandate": mandate, "payment_reference": None}


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.charges, "charge", "charge")


def _update(call: Call) -> Object:
    before = _retrieve(call)
    after = {**before, "metadata": merged(before["metadata"], call.params.get("metadata"))}
    after |= copied(call.params, SETTABLE)
    if "customer" in call.params:
        if call.params["customer"] not in call.account.customers:
            raise missing_object("customer", call.params["customer"], "customer")
        if before["customer"] not in (None, call.params["customer"]):
            raise RefusedError(400, f"{before['id']} is another customer's already.", param="customer")
        after["customer"] = call.params["customer"]
    previous = {name: before[name] for name in before if before[name] != after[name]}
    call.account.charges.put(after)
    if previous:
        call.account.emit("charge.updated", after, call.cause, previous)
    return after


def _list(call: Call) -> Mapping[str, Any]:
    wanted = {
        name: call.params[name] for name in ("customer", "payment_intent", "transfer_group") if name in call.params
    }
    return call.listed(
        call.account.charges, "charge", lambda charge: all(charge[name] == value for name, value in wanted.items())
    )


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/charges",
        _list,
        "charge",
        Parameters(
            {**PAGE, "created": CREATED, "customer": Text(), "payment_intent": Text(), "transfer_group": Text()}
        ),
    ),
    Operation("GET", "/v1/charges/{charge}", _retrieve, "charge"),
    Operation(
        "POST",
        "/v1/charges/{charge}",
        _update,
        "charge",
        Parameters(
            {
                "customer": Text(),
                "description": Text(40_000, unset=True),
                "fraud_details": Shape({"user_report": Choice(("fraudulent", "safe"))}, ("user_report",)),
                "metadata": Metadata(),
                "receipt_email": Email(unset=True),
                "shipping": SHIPPING,
                "transfer_group": Text(unset=True),
            }
        ),
    ),
)
