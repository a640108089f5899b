"""Cash balances: read them, and send test money (https://docs.stripe.com/api/cash_balance)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox import attempts, cash
from stripe_sandbox.account import Account, Cause
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.currencies import known
from stripe_sandbox.errors import InvalidError, missing_object
from stripe_sandbox.params import PAGE, Integer, Parameters, Text
from stripe_sandbox.records import Object

NOUN: Final = "customer_cash_balance_transaction"


def _customer(call: Call) -> str:
    return str(call.subject(call.account.customers, "customer", "customer")["id"])


def _retrieve(call: Call) -> Mapping[str, Any]:
    return shown(call.account, _customer(call))


def shown(account: Account, customer_id: str) -> dict[str, Any]:
    """A customer's cash balance as Stripe tells it: only currencies that there is something of."""
    amounts = {currency: amount for currency, amount in (account.cash.get(customer_id) or {}).items() if amount}
    return {
        "object": "cash_balance",
        "available": amounts or None,
        "customer": customer_id,
        "livemode": account.livemode,
        "settings": {"reconciliation_mode": "automatic", "using_merchant_default": True},
    }


def _list(call: Call) -> Mapping[str, Any]:
    customer = _customer(call)
    return call.listed(call.account.cash_transactions, NOUN, lambda booked: booked["customer"] == customer)


def _retrieve_transaction(call: Call) -> Object:
    customer = _customer(call)
    booked = call.subject(call.account.cash_transactions, NOUN, "transaction")
    if booked["customer"] != customer:
        raise missing_object(NOUN, booked["id"], "transaction", status=404)
    return booked


def _check_fund(params: Mapping[str, Any]) -> None:
    if known(params["currency"]) not in cash.ROUTES:
        raise InvalidError(f"Bank transfers arrive in one of {', '.join(cash.ROUTES)}.", "currency")


def _fund(call: Call) -> Object:
    """A transfer arrives, and pays what waits for it: first what its reference names, then the oldest."""
    account, customer = call.account, _customer(call)
    currency, reference = call.params["currency"].lower(), call.params.get("reference")
    route = cash.ROUTES[currency]
    details = {"bank_transfer": {route.type: dict(route.sender), "reference": reference, "type": route.type}}
    purse = (customer, currency)
    booked = cash.move(account, purse, call.params["amount"], "funded", details, call.cause)
    _reconcile(account, purse, reference, call.cause)
    if cash.available(account, purse):
        account.emit("cash_balance.funds_available", shown(account, customer), call.cause)
    return booked


def _reconcile(account: Account, purse: cash.Purse, reference: str | None, cause: Cause) -> None:
    waiting = [
        intent
        for intent in (account.payment_intents[intent_id] for intent_id in account.awaited)
        if (intent["customer"], intent["currency"]) == purse
    ]
    waiting.sort(key=lambda intent: account.awaited[intent["id"]].reference != reference)  # keeps age among the rest
    for intent in waiting:
        if cash.available(account, purse):
            attempts.fund(account, intent, cause)


_OF_CUSTOMER: Final = "/v1/customers/{customer}"

OPERATIONS: Final = (
    Operation("GET", _OF_CUSTOMER + "/cash_balance", _retrieve, "cash_balance"),
    Operation("GET", _OF_CUSTOMER + "/cash_balance_transactions", _list, NOUN, Parameters(PAGE)),
    Operation("GET", _OF_CUSTOMER + "/cash_balance_transactions/{transaction}", _retrieve_transaction, NOUN),
    Operation(
        "POST",
        "/v1/test_helpers/customers/{customer}/fund_cash_balance",
        _fund,
        NOUN,
        Parameters({"amount": Integer(1), "currency": Text(), "reference": Text()}, ("amount", "currency")),
        _check_fund,
    ),
)
