"""Charges by themselves, without a PaymentIntent: `POST /v1/charges` and capture.

Source: https://docs.stripe.com/api/charges/create, /capture and /payments/older-apis. There is nobody to ask for 3-D
Secure here: a card that requires it is declined.
"""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox import disputing, refunding
from stripe_sandbox.account import TIME, Account, Cause
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.catalogue import AUTHENTICATION_REQUIRED, Card, Decline, ThreeDSecure
from stripe_sandbox.currencies import check_amount, known
from stripe_sandbox.errors import CARD_ERROR, InvalidError, RefusedError
from stripe_sandbox.params import Email, Flag, Integer, Kind, Metadata, NotCovered, Parameters, Text, merged
from stripe_sandbox.records import Object
from stripe_sandbox.resources import balance_transactions, charges, payment_methods, sources
from stripe_sandbox.resources.intent_parameters import SHIPPING, copied
from stripe_sandbox.schedule import due

COPIED: Final = (
    "description", "receipt_email", "shipping", "statement_descriptor", "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip


def _check_create(params: Mapping[str, Any]) -> None:
    check_amount(params["amount"], known(params["currency"]))
    if "source" not in params and "customer" not in params:
        raise InvalidError("A source or a customer must be given.", "source", "parameter_missing")


def _create(call: Call) -> Object:
    account, params = call.account, call.params
    customer = params.get("customer")
    source = sources.chargeable(account, params.get("source"), customer)
    method = payment_methods.named(account, source["id"])
    terms = {
        "id": None,
        "amount": params["amount"],
        "currency": params["currency"].lower(),
        "customer": customer,
        "metadata": merged({}, params.get("metadata")),
        **dict.fromkeys(COPIED),
        **copied(params, COPIED),
    }
    charge = {**charges.new(account, terms, method, base_url=call.base_url), "source": source}
    why = _refusal(account, method)
    if why is not None:
        raise _declined(account, charge, why, call.cause)
    if customer is None:
        account.spent_methods[method["id"]] = True
    if not params.get("capture", True):
        held = account.charges.put(charges.held(charge))
        account.schedule.after(charges.HOLD_SECONDS, _expire, account, held["id"])
        account.emit("charge.succeeded", held, call.cause)
        return held
    return _take(account, charge, charge["amount"], "charge.succeeded", call.cause)


def _refusal(account: Account, method: Object) -> Decline | None:
    card = payment_methods.behaviour(account, method["id"])
    assert isinstance(card, Card), "only cards have tokens"
    asked = card.three_d_secure is ThreeDSecure.REQUIRED or (
        card.three_d_secure is ThreeDSecure.REQUIRED_ON_SESSION and method["customer"] is None
    )
    return AUTHENTICATION_REQUIRED if asked else account.issuer_says or card.decline


def _declined(account: Account, charge: Object, why: Decline, cause: Cause) -> RefusedError:
    failed = account.charges.put(charges.failed(charge, why))
    account.emit("charge.failed", failed, cause)
    details = {"charge": failed["id"]} | ({"decline_code": why.decline_code} if why.decline_code else {})
    return RefusedError(402, why.message, kind=CARD_ERROR, code=why.code, param=why.param, details=details)


def _take(account: Account, charge: Object, amount: int, event_type: str, cause: Cause) -> Object:
    taken = charges.captured(charge, amount)
    taken["balance_transaction"] = balance_transactions.record(account, taken)["id"]
    account.emit(event_type, account.charges.put(taken), cause)
    disputing.expect(account, taken)
    return taken


@due
def _expire(account: Account, charge_id: str) -> None:
    charge = account.charges[charge_id]
    if not charge["captured"] and not charge["refunded"]:
        refunding.release(account, charge, refunding.EXPIRED, "charge.expired", TIME)


def _capture(call: Call) -> Object:
    account = call.account
    charge = call.subject(account.charges, "charge", "charge")
    if charge["payment_intent"] is not None:
        raise RefusedError(
            400, f"{charge['id']} belongs to {charge['payment_intent']}: capture that PaymentIntent instead."
        )
    if charge["captured"]:
        raise RefusedError(400, f"{charge['id']} has already been captured.", code="charge_already_captured")
    if charge["refunded"] or charge["status"] != "succeeded":
        raise RefusedError(400, f"There is nothing left of {charge['id']}.", code="charge_expired_for_capture")
    amount = call.params.get("amount", charge["amount"])
    if amount > charge["amount"]:
        raise RefusedError(
            400,
            f"{amount} is more than the {charge['amount']} that {charge['id']} holds.",
            code="amount_too_large",
            param="amount",
        )
    if amount < charge["amount"]:
        refunding.let_go(account, charge, charge["amount"] - amount, {})
    charge = {**charge, **copied(call.params, COPIED)}
    return _take(account, charge, amount, "charge.captured", call.cause)


_WORDS: Final[dict[str, Kind]] = {
    "receipt_email": Email(unset=True),
    "statement_descriptor": Text(22, unset=True),
    "statement_descriptor_suffix": Text(22, unset=True),
    "transfer_group": Text(unset=True),
}
_OF_PLATFORMS: Final[dict[str, Kind]] = {
    "application_fee": NotCovered(),
    "application_fee_amount": NotCovered(),
    "transfer_data": NotCovered(),
}

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/charges",
        _create,
        "charge",
        Parameters(
            {
                **_WORDS,
                **_OF_PLATFORMS,
                "amount": Integer(1),
                "capture": Flag(),
                "currency": Text(),
                "customer": Text(),
                "description": Text(40_000, unset=True),
                "metadata": Metadata(),
                "shipping": SHIPPING,
                "source": Text(),
                "card": NotCovered(),
                "destination": NotCovered(),
                "on_behalf_of": NotCovered(),
                "radar_options": NotCovered(),
            },
            ("amount", "currency"),
        ),
        _check_create,
    ),
    Operation(
        "POST",
        "/v1/charges/{charge}/capture",
        _capture,
        "charge",
        Parameters({**_WORDS, **_OF_PLATFORMS, "amount": Integer(1)}),
    ),
)
