"""Refunds: create, read, list, update, cancel (https://docs.stripe.com/api/refunds)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox import attempts, cash, refunding
from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.currencies import known, written
from stripe_sandbox.errors import InvalidError, RefusedError, missing_object
from stripe_sandbox.params import (
    CREATED,
    PAGE,
    Choice,
    Email,
    Integer,
    Kind,
    Metadata,
    NotCovered,
    Parameters,
    Text,
    merged,
)
from stripe_sandbox.records import Object

NOUN: Final = "refund"


def _check_create(params: Mapping[str, Any]) -> None:
    if "origin" in params:
        for name in ("amount", "currency", "customer", "instructions_email"):
            if name not in params:
                raise InvalidError(f"Missing required param: {name}.", name, "parameter_missing")
        for name in ("charge", "payment_intent"):
            if name in params:
                raise InvalidError(f"A refund of a cash balance has no {name}.", name)
        known(params["currency"])
        return
    for name in ("currency", "customer", "instructions_email"):
        if name in params:
            raise InvalidError(f"'{name}' is for refunds with origin=customer_balance only.", name)
    if "charge" not in params and "payment_intent" not in params:
        raise InvalidError("Name what to refund: one of charge and payment_intent is required.", "charge")


def _create(call: Call) -> Object:
    account = call.account
    if "origin" in call.params:
        return _give_back(call)
    charge = _refundable(account, call.params)
    rest = charge["amount"] - charge["amount_refunded"]
    amount = call.params.get("amount", rest)
    if amount > rest:
        raise RefusedError(
            400,
            f"{written(amount, charge['currency'])} is more than {written(rest, charge['currency'])}, the part of "
            f"{charge['id']} that has not been refunded.",
            param="amount",
        )
    wish = {name: call.params[name] for name in ("reason",) if name in call.params}
    wish["metadata"] = merged({}, call.params.get("metadata"))
    if charge["captured"]:
        return refunding.refund(account, charge, amount, wish, call.cause)
    if amount < rest:
        raise RefusedError(
            400,
            f"{charge['id']} has not been captured, so it can be refunded only whole; capture less instead.",
            param="amount",
        )
    return attempts.release(account, charge, wish, call.cause)


def _give_back(call: Call) -> Object:
    """Returns part of a customer's cash balance to their bank."""
    account, params = call.account, call.params
    if params["customer"] not in account.customers:
        raise missing_object("customer", params["customer"], "customer")
    purse = (params["customer"], params["currency"].lower())
    there = cash.available(account, purse)
    if params["amount"] > there:
        raise RefusedError(
            400,
            f"{written(params['amount'], purse[1])} is more than the cash balance holds, {written(there, purse[1])}.",
            code="balance_insufficient",
            param="amount",
        )
    wish = {name: params[name] for name in ("instructions_email", "reason") if name in params}
    wish["metadata"] = merged({}, params.get("metadata"))
    return refunding.give_back(account, purse, params["amount"], wish, call.cause)


def _refundable(account: Account, params: Mapping[str, Any]) -> Object:
    """The charge to refund, if that may be done.

    Raises:
        RefusedError: there is none, it brought no money, all of it went back already, or it is disputed.
    """
    charge = _named(account, params)
    if charge["status"] != "succeeded":
        raise RefusedError(
            400,
            f"{charge['id']} brought no money that could be refunded.",
            code="charge_not_refundable",
            param="charge",
        )
    if charge["disputed"] and not account.disputes[charge["dispute"]]["is_charge_refundable"]:
        raise RefusedError(400, f"{charge['id']} has been charged back.", code="charge_disputed", param="charge")
    if charge["refunded"]:
        raise RefusedError(
            400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", param="charge"
        )
    return charge


def _named(account: Account, params: Mapping[str, Any]) -> Object:
    intent_id = params.get("payment_intent")
    charge_id = params.get("charge")
    if intent_id is not None:
        intent = account.payment_intents.get(intent_id)
        if intent is None:
            raise missing_object("payment_intent", intent_id, "payment_intent")
        latest = intent["latest_charge"]
        if latest is None or account.charges[latest]["status"] != "succeeded":
            raise RefusedError(
                400, f"The PaymentIntent {intent_id} has no successful charge to refund.", param="payment_intent"
            )
        if charge_id not in (None, latest):
            raise RefusedError(400, f"The charge {charge_id} is not that of {intent_id}.", param="charge")
        charge_id = latest
    charge = account.charges.get(str(charge_id))
    if charge is None:
        raise missing_object("charge", str(charge_id), "charge")
    return charge


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.refunds, NOUN, "refund")


def _update(call: Call) -> Object:
    before = _retrieve(call)
    metadata = merged(before["metadata"], call.params.get("metadata"))
    return refunding.update(call.account, before, {"metadata": metadata}, call.cause)


def _cancel(call: Call) -> Object:
    refund = _retrieve(call)
    if refund["status"] != "requires_action":
        raise RefusedError(
            400,
            f"The refund {refund['id']} is {refund['status']}, and only one that requires_action can be canceled.",
        )
    return refunding.stop(call.account, refund, call.cause)


def _expire(call: Call) -> Object:
    refund = _retrieve(call)
    if refund["status"] != "requires_action":
        raise RefusedError(400, f"The refund {refund['id']} is {refund['status']}, and does not wait for anybody.")
    return refunding.expire(call.account, refund, call.cause)


def _list(call: Call) -> Mapping[str, Any]:
    wanted = {name: call.params[name] for name in ("charge", "payment_intent") if name in call.params}
    if "charge" in wanted and wanted["charge"] not in call.account.charges:
        raise missing_object("charge", wanted["charge"], "charge")
    if "payment_intent" in wanted and wanted["payment_intent"] not in call.account.payment_intents:
        raise missing_object("payment_intent", wanted["payment_intent"], "payment_intent")
    return call.listed(
        call.account.refunds, NOUN, lambda refund: all(refund[name] == value for name, value in wanted.items())
    )


def _list_of_charge(call: Call) -> Mapping[str, Any]:
    charge = call.subject(call.account.charges, "charge", "charge")["id"]
    return call.listed(call.account.refunds, NOUN, lambda refund: refund["charge"] == charge)


def _retrieve_of_charge(call: Call) -> Object:
    call.subject(call.account.charges, "charge", "charge")
    refund = _retrieve(call)
    if refund["charge"] != call.path["charge"]:
        raise missing_object(NOUN, refund["id"], "refund", status=404)
    return refund


_SETTABLE: Final[dict[str, Kind]] = {"metadata": Metadata()}
_ONE: Final = "/v1/refunds/{refund}"

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/refunds",
        _create,
        NOUN,
        Parameters(
            {
                **_SETTABLE,
                "amount": Integer(1),
                "charge": Text(),
                "payment_intent": Text(),
                "reason": Choice(("duplicate", "fraudulent", "requested_by_customer")),
                "currency": Text(),
                "customer": Text(),
                "instructions_email": Email(),
                "origin": Choice(("customer_balance",)),
                "refund_application_fee": NotCovered(),
                "reverse_transfer": NotCovered(),
            }
        ),
        _check_create,
    ),
    Operation(
        "GET",
        "/v1/refunds",
        _list,
        NOUN,
        Parameters({**PAGE, "created": CREATED, "charge": Text(), "payment_intent": Text()}),
    ),
    Operation("GET", _ONE, _retrieve, NOUN),
    Operation("POST", _ONE, _update, NOUN, Parameters(_SETTABLE)),
    Operation("POST", _ONE + "/cancel", _cancel, NOUN),
    Operation("POST", "/v1/test_helpers/refunds/{refund}/expire", _expire, NOUN),
    Operation("GET", "/v1/charges/{charge}/refunds", _list_of_charge, NOUN, Parameters(PAGE)),
    Operation("GET", "/v1/charges/{charge}/refunds/{refund}", _retrieve_of_charge, NOUN),
)
