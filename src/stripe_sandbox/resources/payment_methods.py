"""PaymentMethods, made from the documented test ids and tokens (https://docs.stripe.com/api/payment_methods)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox import card_numbers
from stripe_sandbox.account import Account, Cause
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.catalogue import (
    BANK_TRANSFER,
    METHODS,
    REFUSED_AT_ONCE,
    TOKENS,
    BankDebit,
    Behaviour,
    Card,
    ThreeDSecure,
)
from stripe_sandbox.errors import CARD_ERROR, InvalidError, RefusedError, missing_object
from stripe_sandbox.params import PAGE, Choice, Email, Integer, Kind, Metadata, Parameters, Shape, Text, merged
from stripe_sandbox.records import Object

EXPIRY_YEARS: Final = 3
"""Test cards expire that many years after they are used."""

YEAR_SECONDS: Final = 31_556_952


CARD: Final[dict[str, Kind]] = {
    "number": card_numbers.Number(),
    "exp_month": Integer(),
    "exp_year": Integer(),
    "cvc": Text(),
}
"""A card by its number."""

BILLING: Final = Shape(
    {
        "address": Shape(
            {name: Text(unset=True) for name in ("city", "country", "line1", "line2", "postal_code", "state")},
            unset=True,
        ),
        "email": Email(unset=True),
        "name": Text(unset=True),
        "phone": Text(unset=True),
    }
)
METHOD: Final = Shape(
    {
        "type": Choice(("card", "customer_balance")),
        "card": Shape({"token": Text(), **CARD}),
        "billing_details": BILLING,
        "metadata": Metadata(),
        "allow_redisplay": Choice(("always", "limited", "unspecified")),
    },
    ("type",),
)
"""What `payment_method_data` takes; `POST /v1/payment_methods` the same."""


def named(account: Account, identifier: str, param: str = "payment_method") -> Object:
    """The PaymentMethod that a parameter names.

    Raises:
        RefusedError: there is none.
    """
    method = account.payment_methods.get(identifier)
    if method is None:
        raise missing_object("PaymentMethod", identifier, param)
    return method


def resolved(account: Account, identifier: str, param: str = "payment_method") -> Object:
    """As `named`; a documented test id makes a new PaymentMethod, as it does at Stripe.

    Raises:
        RefusedError: there is none.
    """
    if identifier in METHODS and not account.livemode:
        return _make(account, identifier)
    return named(account, identifier, param)


def from_parameters(account: Account, sent: Mapping[str, Any], prefix: str = "") -> Object:
    """A new PaymentMethod of what `METHOD` has read.

    Raises:
        RefusedError: no token, an unknown one, or a number that is wrong (402).
    """
    hash_ = f"{prefix}[card]" if prefix else "card"
    where = f"{hash_}[token]"
    if sent["type"] == "customer_balance":
        return _described(account, _make_transfer(account), sent)
    card = sent.get("card", {})
    if card.keys() & CARD.keys():
        if "token" in card:
            raise InvalidError("A card is given by its token or by its number, not by both.", where)
        return _described(account, from_number(account, card, hash_), sent)
    if "token" not in card:
        raise RefusedError(400, f"Missing required param: {where}.", code="parameter_missing", param=where)
    return _described(account, from_token(account, card["token"], where), sent)


def _described(account: Account, made: Object, sent: Mapping[str, Any]) -> Object:
    billing = {**made["billing_details"], **sent.get("billing_details", {})}
    billing["address"] = {**made["billing_details"]["address"], **(billing["address"] or {})}
    return account.payment_methods.put(
        {
            **made,
            "billing_details": billing,
            "metadata": merged({}, sent.get("metadata")),
            "allow_redisplay": sent.get("allow_redisplay", "unspecified"),
        }
    )


def from_token(account: Account, token: str, param: str, prefix: str = "pm") -> Object:
    """A new PaymentMethod of a test token, or of one that was made of a number; the latter is used up.

    The older API's cards and sources differ in the prefix of their id.

    Raises:
        RefusedError: there is no such token, or it was used before.
    """
    made = account.tokens.get(token)
    if made is not None:
        if made["used"]:
            raise RefusedError(
                400, f"You cannot use a Stripe token more than once: {token}.", code="token_already_used", param=param
            )
        account.tokens.put({**made, "used": True})
        shown = {name: made["card"][name] for name in ("last4", "exp_month", "exp_year", "cvc_check")}
        return _make(account, account.catalogue_names[token], prefix, shown)
    if token not in TOKENS or account.livemode:
        raise missing_object("token", token, param)
    return _make(account, TOKENS[token], prefix)


def from_number(account: Account, sent: Mapping[str, Any], where: str, prefix: str = "pm") -> Object:
    """A new PaymentMethod of a card that is given by its number; `where` is the parameter that it is in.

    Raises:
        RefusedError: something about it is missing or wrong, or it is no test card (402).
    """
    face = card_numbers.face(sent, where, account.clock.stamp())
    name = f"pm_card_{face['name']}"
    card = METHODS[name]
    assert isinstance(card, Card)
    shown = {part: face[part] for part in ("last4", "exp_month", "exp_year")}
    return _make(account, name, prefix, {**shown, "cvc_check": card.cvc_check if face["cvc"] else None})


def behaviour(account: Account, identifier: str) -> Behaviour:
    """How the test method behind a PaymentMethod behaves."""
    name = account.catalogue_names.get(identifier)
    return BANK_TRANSFER if name is None else METHODS[name]


def attach(account: Account, method: Object, customer_id: str, cause: Cause) -> Object:
    """Makes a method the customer's, if it is not already.

    Raises:
        RefusedError: it is another's, or has been used up.
    """
    if method["customer"] == customer_id:
        return method
    refuse_taken(account, method)
    refuse_declined(account, method)
    attached = account.payment_methods.put({**method, "customer": customer_id})
    account.emit("payment_method.attached", attached, cause)
    return attached


def refuse_taken(account: Account, method: Object) -> None:
    """Lets a method pass that may still be attached.

    Raises:
        RefusedError: it is a customer's, or has been used up.
    """
    refuse_spent(account, method)
    if method["customer"] is not None:
        raise RefusedError(400, "The payment method you provided has already been attached to a customer.")


def refuse_declined(account: Account, method: Object) -> None:
    """Lets a method pass that its issuer allows to be kept for a customer.

    Raises:
        RefusedError: 402, the issuer declines the card at once.
    """
    why = behaviour(account, method["id"]).decline
    if account.catalogue_names.get(method["id"]) in REFUSED_AT_ONCE and why is not None:
        code = {"decline_code": why.decline_code} if why.decline_code else {}
        raise RefusedError(402, why.message, kind=CARD_ERROR, code=why.code, param=why.param, details=code)


def refuse_spent(account: Account, method: Object) -> None:
    """Lets a method pass that may still be used.

    Raises:
        RefusedError: it paid without a customer before, or was detached.
    """
    if method["id"] in account.spent_methods:
        raise RefusedError(
            400,
            "The provided PaymentMethod was previously used without being attached to a customer, or was detached from "
            "one. It may not be used again: attach a PaymentMethod to a customer first to use it many times.",
        )


def _make(account: Account, name: str, prefix: str = "pm", face: Mapping[str, Any] | None = None) -> Object:
    test_method = METHODS[name]
    method = _blank(account, prefix)
    if isinstance(test_method, Card):
        method |= {
            "card": _card(account, test_method) if face is None else _given(account, test_method, face),
            "type": "card",
        }
    elif isinstance(test_method, BankDebit):
        method |= {test_method.type: _bank_account(test_method), "type": test_method.type}
    account.catalogue_names[method["id"]] = name
    return account.payment_methods.put(method)


def _make_transfer(account: Account) -> Object:
    return account.payment_methods.put({**_blank(account, "pm"), "customer_balance": {}, "type": "customer_balance"})


def _blank(account: Account, prefix: str) -> dict[str, Any]:
    return {
        "id": account.ids.new(prefix),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
            "email": None,
            "name": None,
            "phone": None,
        },
        "created": account.clock.stamp(),
        "customer": None,
        "livemode": account.livemode,
        "metadata": {},
    }


def _fingerprint(brand: str, last4: str) -> str:
    """The same for the same test card, as Stripe's are within an account."""
    return f"{brand}{last4}sandboxfingerprint"[:16]


def _card(account: Account, card: Card) -> dict[str, Any]:
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": card.cvc_check},
        "country": card.country,
        "display_brand": "american_express" if card.brand == "amex" else card.brand,
        "exp_month": 12,
        "exp_year": 1970 + account.clock.stamp() // YEAR_SECONDS + EXPIRY_YEARS,
        "fingerprint": _fingerprint(card.brand, card.last4),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": card.three_d_secure is not ThreeDSecure.UNSUPPORTED},
        "wallet": None,
    }


def _given(account: Account, card: Card, face: Mapping[str, Any]) -> dict[str, Any]:
    """A card that somebody described: `last4`, `exp_month`, `exp_year` and `cvc_check` are not the test card's own."""
    usual = _card(account, card)
    return {
        **usual,
        "checks": {**usual["checks"], "cvc_check": face["cvc_check"]},
        "exp_month": face["exp_month"],
        "exp_year": face["exp_year"],
        "fingerprint": _fingerprint(card.brand, face["last4"]),
        "last4": face["last4"],
    }


def _bank_account(account: BankDebit) -> dict[str, Any]:
    if account.type == "sepa_debit":
        return {
            "bank_code": "37040044",
            "branch_code": "",
            "country": account.country,
            "fingerprint": _fingerprint("sepa", account.last4),
            "generated_from": {"charge": None, "setup_attempt": None},
            "last4": account.last4,
        }
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": _fingerprint("ach", account.last4),
        "last4": account.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }


def _create(call: Call) -> Object:
    return from_parameters(call.account, call.params)


def _kept(call: Call) -> Object:
    return call.subject(call.account.payment_methods, "PaymentMethod", "payment_method")


def _retrieve(call: Call) -> Object:
    identifier = call.path["payment_method"]
    if identifier in METHODS and not call.account.livemode:
        return _make(call.account, identifier)
    return _kept(call)


def _attach(call: Call) -> Object:
    customer = call.params["customer"]
    if customer not in call.account.customers:
        raise missing_object("customer", customer, "customer")
    return attach(call.account, _retrieve(call), customer, call.cause)


def _detach(call: Call) -> Object:
    method = _kept(call)
    if method["customer"] is None:
        raise RefusedError(
            400, "The payment method you provided is not attached to a customer, so it cannot be detached."
        )
    detached = call.account.payment_methods.put({**method, "customer": None})
    call.account.spent_methods[method["id"]] = True
    owner = call.account.customers[method["customer"]]
    settings = owner["invoice_settings"]
    if settings["default_payment_method"] == method["id"]:
        call.account.customers.put({**owner, "invoice_settings": {**settings, "default_payment_method": None}})
    call.account.emit("payment_method.detached", detached, call.cause, {"customer": method["customer"]})
    return detached


def _list(call: Call) -> Mapping[str, Any]:
    customer = call.params.get("customer")
    type_ = call.params.get("type")
    return call.listed(
        call.account.payment_methods,
        "PaymentMethod",
        lambda method: (
            method["customer"] is not None
            and customer in (None, method["customer"])
            and type_ in (None, method["type"])
        ),
    )


_ONE: Final = "/v1/payment_methods/{payment_method}"

OPERATIONS: Final = (
    Operation("POST", "/v1/payment_methods", _create, "payment_method", Parameters(METHOD.fields, METHOD.required)),
    Operation(
        "GET",
        "/v1/payment_methods",
        _list,
        "payment_method",
        Parameters({**PAGE, "customer": Text(), "type": Text()}),
    ),
    Operation("GET", _ONE, _retrieve, "payment_method"),
    Operation("POST", _ONE + "/attach", _attach, "payment_method", Parameters({"customer": Text()}, ("customer",))),
    Operation("POST", _ONE + "/detach", _detach, "payment_method"),
)
