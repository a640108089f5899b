"""PaymentIntents (https://docs.stripe.com/api/payment_intents).

What each operation takes and refuses; what happens to the money is in `attempts`.
"""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox import attempts, cash
from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.currencies import check_amount, known
from stripe_sandbox.errors import InvalidError, RefusedError, missing_object, wrong_state
from stripe_sandbox.params import PAGE, Parameters, Text, merged
from stripe_sandbox.records import Object
from stripe_sandbox.resources import customers, intent_parameters, mandates, payment_methods
from stripe_sandbox.search import PAYMENT_INTENTS, parsed

NOUN: Final = "payment_intent"

CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE: Final = (*CONFIRMABLE, "requires_capture")

DEBIT_CURRENCIES: Final = {"us_bank_account": "usd", "sepa_debit": "eur"}

ONLY_WITH_CONFIRM: Final = (
    "error_on_requires_action", "mandate", "mandate_data", "off_session", "return_url", "use_stripe_sdk",
)  # fmt: skip

COPIED: Final = (
    "description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip
"""Parameters that become fields as they are."""

DEFAULT_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "card": {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"},
    "us_bank_account": {"verification_method": "automatic"},
    "sepa_debit": {},
    "customer_balance": {"funding_type": None},
}


def _check_create(params: Mapping[str, Any]) -> None:
    check_amount(params["amount"], known(params["currency"]))
    _check_methods(params)
    if not params.get("confirm", False):
        for name in ONLY_WITH_CONFIRM:
            if name in params:
                raise InvalidError(f"'{name}' can only be used together with confirm=true.", name)


def _check_methods(params: Mapping[str, Any]) -> None:
    if "payment_method" in params and "payment_method_data" in params:
        raise InvalidError(
            "You may only specify one of these parameters: payment_method, payment_method_data.", "payment_method"
        )
    automatic = (params.get("automatic_payment_methods") or {}).get("enabled", False)
    if automatic and "payment_method_types" in params:
        raise InvalidError(
            "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.",
            "payment_method_types",
        )
    if params.get("payment_method_types") == []:
        raise InvalidError("At least one payment method type must be given.", "payment_method_types")


def _create(call: Call) -> Object:
    account, params = call.account, call.params
    currency = params["currency"].lower()
    if "customer" in params:
        customers.named(account, params["customer"])
    automatic = params.get("automatic_payment_methods")
    types = params.get("payment_method_types")
    if types is None:  # since 2023-08-16 the Dashboard's methods are the default
        automatic = automatic or {"enabled": True}
        types = ["card", *(type_ for type_, only in DEBIT_CURRENCIES.items() if only == currency)]
    intent = _blank(call, currency, types, automatic if automatic and automatic["enabled"] else None)
    method = _method(call, intent)
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    if not params.get("confirm", False):
        account.emit("payment_intent.created", account.payment_intents.put(intent), call.cause)
        return intent
    terms = _terms(call, intent, method)
    account.emit("payment_intent.created", account.payment_intents.put(intent), call.cause)
    assert method is not None
    return attempts.begin(account, intent, method, terms)


def _blank(call: Call, currency: str, types: list[str], automatic: Mapping[str, Any] | None) -> dict[str, Any]:
    account, params = call.account, call.params
    identifier = account.ids.new("pi")
    return {
        "id": identifier,
        "object": "payment_intent",
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic and {"allow_redirects": "always", **automatic},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),  # the default since 2024-04-10
        "client_secret": f"{identifier}_secret_{account.ids.text(25)}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": account.clock.stamp(),
        "currency": currency,
        "customer": params.get("customer"),
        "description": None,
        "invoice": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": account.livemode,
        "metadata": merged({}, params.get("metadata")),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": _options({}, types, params),
        "payment_method_types": types,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **intent_parameters.copied(params, COPIED),
    }


def _options(before: Mapping[str, Any], types: list[str], params: Mapping[str, Any]) -> dict[str, Any]:
    sent = params.get("payment_method_options") or {}
    return {type_: {**DEFAULT_OPTIONS[type_], **before.get(type_, {}), **(sent.get(type_) or {})} for type_ in types}


def _method(call: Call, intent: Mapping[str, Any]) -> Object | None:
    """The method that the request brings or the PaymentIntent already has, if it may be used for it."""
    account, params = call.account, call.params
    if "payment_method_data" in params:
        method = payment_methods.from_parameters(account, params["payment_method_data"], "payment_method_data")
    elif "payment_method" in params:
        method = payment_methods.resolved(account, params["payment_method"])
    elif intent["payment_method"] is not None:
        method = payment_methods.named(account, intent["payment_method"])
    else:
        return None
    if method["type"] not in intent["payment_method_types"]:
        raise RefusedError(
            400,
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent, which takes "
            f"{', '.join(intent['payment_method_types'])}.",
            code="payment_intent_incompatible_payment_method",
            param="payment_method",
        )
    only = DEBIT_CURRENCIES.get(method["type"], intent["currency"])
    if only != intent["currency"]:
        raise RefusedError(400, f"The payment method type {method['type']} takes only {only}.", param="currency")
    _check_owner(method, intent["customer"])
    payment_methods.refuse_spent(account, method)
    return method


def _check_owner(method: Object, customer: str | None) -> None:
    owner = method["customer"]
    if owner is None or owner == customer:
        return
    if customer is None:
        raise RefusedError(
            400,
            f"The payment method supplied ({method['id']}) belongs to the Customer {owner}. "
            "Please include the Customer in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    raise RefusedError(
        400, f"The customer {customer} does not have the payment method {method['id']}.", param="payment_method"
    )


def _terms(call: Call, intent: Object, method: Object | None) -> attempts.Terms:
    """How this request confirms, if it may.

    Raises:
        RefusedError: no method, no address to return to, or no mandate for a debit.
    """
    params = call.params
    if method is None:
        raise wrong_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. Update it with one first, or "
            "confirm it with one.",
            intent,
        )
    if method["type"] == "customer_balance":
        _check_transfer(intent)
    return_url = params.get("return_url")
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and return_url is None and not params.get("off_session"):
        raise RefusedError(
            400,
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Some of these may "
            "redirect your customer, so you must provide a `return_url`; or set "
            "`automatic_payment_methods[allow_redirects]` to `never`.",
            param="return_url",
        )
    return attempts.Terms(
        cause=call.cause,
        base_url=call.base_url,
        off_session=bool(params.get("off_session", False)),
        return_url=return_url,
        use_stripe_sdk=params.get("use_stripe_sdk", False),
        error_on_requires_action=params.get("error_on_requires_action", False),
        mandate=_mandate(call, intent, method) if method["type"] in DEBIT_CURRENCIES else None,
    )


def _check_transfer(intent: Object) -> None:
    """Lets a PaymentIntent pass that a bank transfer can pay.

    Raises:
        RefusedError: it has no customer, is a hold, or does not say which kind of transfer, of its own currency.
    """
    if intent["customer"] is None:
        raise RefusedError(
            400, "A customer is needed to pay from a cash balance.", code="parameter_missing", param="customer"
        )
    if intent["capture_method"] == "manual":
        raise RefusedError(
            400, "The payment method type customer_balance does not support manual capture.", param="capture_method"
        )
    where = "payment_method_options[customer_balance]"
    options = intent["payment_method_options"]["customer_balance"]
    for name in ("funding_type", "bank_transfer"):
        if options.get(name) is None:
            raise RefusedError(
                400, f"Missing required param: {where}[{name}].", code="parameter_missing", param=f"{where}[{name}]"
            )
    route = cash.ROUTES.get(intent["currency"])
    if route is None or route.type != options["bank_transfer"]["type"]:
        raise RefusedError(
            400,
            f"{options['bank_transfer']['type']} brings no {intent['currency']}.",
            param=f"{where}[bank_transfer][type]",
        )


def _mandate(call: Call, intent: Object, method: Object) -> str:
    account, params = call.account, call.params
    if intent["capture_method"] == "manual":
        raise RefusedError(
            400, f"The payment method type {method['type']} does not support manual capture.", param="capture_method"
        )
    if "mandate" in params:
        mandate = account.mandates.get(params["mandate"])
        if mandate is None:
            raise missing_object("mandate", params["mandate"], "mandate")
        return str(mandate["id"])
    acceptance = (params.get("mandate_data") or {}).get("customer_acceptance")
    if acceptance is None:
        raise RefusedError(
            400,
            "This PaymentIntent requires a mandate, and none was found: collect the customer's acceptance and pass it "
            "as `mandate_data`, or pass an existing `mandate`.",
            param="mandate_data",
        )
    return str(mandates.record(account, method, acceptance)["id"])


def _retrieve(call: Call) -> Object:
    intent = call.subject(call.account.payment_intents, NOUN, "intent")
    secret = call.params.get("client_secret")
    if secret is not None and secret != intent["client_secret"]:
        raise RefusedError(400, "The client_secret provided does not match this PaymentIntent.", param="client_secret")
    return intent


def _list(call: Call) -> Mapping[str, Any]:
    customer = call.params.get("customer")
    if customer is not None:
        customers.named(call.account, customer)
    return call.listed(
        call.account.payment_intents, NOUN, lambda intent: customer is None or intent["customer"] == customer
    )


def _search(call: Call) -> Mapping[str, Any]:
    """A page of what the index knows; `page` is the place where the next one begins."""
    account, params = call.account, call.params
    found = list(account.payment_intents.found(parsed(params["query"], PAYMENT_INTENTS)))
    cursor = params.get("page", "0")
    if not cursor.isdecimal() or int(cursor) > len(found):
        raise RefusedError(400, "The page is none that a search has named.", param="page")
    until = int(cursor) + params.get("limit", 10)
    return {
        "object": "search_result",
        "data": found[int(cursor) : until],
        "has_more": until < len(found),
        "next_page": str(until) if until < len(found) else None,
        "url": call.url,
    }


def _check_search(params: Mapping[str, Any]) -> None:
    parsed(params["query"], PAYMENT_INTENTS)


def _confirm(call: Call) -> Object:
    intent = dict(_retrieve(call))
    if intent["status"] not in CONFIRMABLE:
        raise wrong_state(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
            if intent["status"] == "succeeded"
            else f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be confirmed: {', '.join(CONFIRMABLE)}.",
            intent,
        )
    types = call.params.get("payment_method_types", intent["payment_method_types"])
    intent |= {
        "capture_method": call.params.get("capture_method", intent["capture_method"]),
        "payment_method_options": _options(intent["payment_method_options"], types, call.params),
        "payment_method_types": types,
        **intent_parameters.copied(call.params, COPIED),
    }
    method = _method(call, intent)
    terms = _terms(call, intent, method)
    assert method is not None
    return attempts.begin(call.account, intent, method, terms)


def _update(call: Call) -> Object:
    account, params = call.account, call.params
    intent = dict(_retrieve(call))
    fixed = {"amount", "currency", "customer", "capture_method", "payment_method", "payment_method_data",
             "payment_method_options", "payment_method_types", "setup_future_usage"}  # fmt: skip
    moving = sorted(fixed & params.keys())
    if moving and intent["status"] not in CONFIRMABLE:
        raise wrong_state(
            f"This PaymentIntent's {moving[0]} could not be updated because it has a status of {intent['status']}. You "
            f"may only update it with one of the following statuses: {', '.join(CONFIRMABLE)}.",
            intent,
        )
    awaited = account.awaited.get(intent["id"])
    if moving and awaited is not None and awaited.funded:
        raise wrong_state("This PaymentIntent is partially funded: cancel it or confirm it another way.", intent)
    if "customer" in params:
        customers.named(account, params["customer"])
    types = params.get("payment_method_types", intent["payment_method_types"])
    currency = known(params.get("currency", intent["currency"]))
    check_amount(params.get("amount", intent["amount"]), currency)
    intent |= {name: params[name] for name in ("amount", "capture_method", "customer") if name in params}
    intent |= intent_parameters.copied(params, COPIED)
    intent |= {
        "currency": currency,
        "metadata": merged(intent["metadata"], params.get("metadata")),
        "payment_method_options": _options(intent["payment_method_options"], types, params),
        "payment_method_types": types,
    }
    if "payment_method" in params or "payment_method_data" in params:
        method = _method(call, intent)
        assert method is not None
        attempts.drop_challenge(account, intent["id"])
        intent |= {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
    return account.payment_intents.put(intent)


def _cancel(call: Call) -> Object:
    intent = _retrieve(call)
    if intent["status"] not in CANCELABLE and not _never_settles(call.account, intent):
        raise wrong_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
            intent,
        )
    return attempts.cancel(call.account, intent, call.params.get("cancellation_reason"), call.cause)


def _never_settles(account: Account, intent: Object) -> bool:
    """Whether it is the debit that stays in processing; Stripe names it for testing cancellation."""
    return (
        intent["status"] == "processing"
        and account.catalogue_names[intent["payment_method"]] == "pm_usBankAccount_processing"
    )


def _capture(call: Call) -> Object:
    intent = dict(_retrieve(call))
    if intent["status"] != "requires_capture":
        raise wrong_state(
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture.",
            intent,
        )
    amount = call.params.get("amount_to_capture", intent["amount_capturable"])
    if amount > intent["amount_capturable"]:
        raise RefusedError(
            400,
            f"The amount to capture ({amount}) is greater than the amount that can be captured "
            f"({intent['amount_capturable']}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    intent["metadata"] = merged(intent["metadata"], call.params.get("metadata"))
    intent |= intent_parameters.copied(call.params, ("statement_descriptor", "statement_descriptor_suffix"))
    return attempts.capture(call.account, intent, amount, call.cause)


_ONE: Final = "/v1/payment_intents/{intent}"

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/payment_intents",
        _create,
        NOUN,
        Parameters(intent_parameters.CREATE, ("amount", "currency")),
        _check_create,
    ),
    Operation("GET", "/v1/payment_intents", _list, NOUN, Parameters(intent_parameters.LIST)),
    Operation(  # before the one whose path would read `search` as an id
        "GET",
        "/v1/payment_intents/search",
        _search,
        NOUN,
        Parameters({"query": Text(), "limit": PAGE["limit"], "page": Text()}, ("query",)),
        _check_search,
    ),
    Operation("GET", _ONE, _retrieve, NOUN, Parameters(intent_parameters.RETRIEVE)),
    Operation("POST", _ONE, _update, NOUN, Parameters(intent_parameters.UPDATE), _check_methods),
    Operation("POST", _ONE + "/confirm", _confirm, NOUN, Parameters(intent_parameters.CONFIRM), _check_methods),
    Operation("POST", _ONE + "/cancel", _cancel, NOUN, Parameters(intent_parameters.CANCEL)),
    Operation("POST", _ONE + "/capture", _capture, NOUN, Parameters(intent_parameters.CAPTURE)),
)
