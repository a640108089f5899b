"""Balance transactions: what a captured charge brings after Stripe's fee (https://docs.stripe.com/api/balance_transactions)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.catalogue import DAY_SECONDS, Card
from stripe_sandbox.params import CREATED, PAGE, Parameters, Text
from stripe_sandbox.records import Object
from stripe_sandbox.resources import payment_methods

CARD_FEE_PER_MILLE: Final = 29
CARD_FEE_FIXED: Final = 30
"""2.9 % and 30 minor units: the standard card price in the US (https://stripe.com/pricing), for every currency here."""

DEBIT_FEE_PER_MILLE: Final = 8
DEBIT_FEE_MOST: Final = 500
"""0.8 %, at most $5: ACH Direct Debit's price (the same page)."""

AVAILABLE_SECONDS: Final = 2 * DAY_SECONDS
"""From pending to available; two business days is the usual payout speed in the US."""


def fee(amount: int, type_: str) -> int:
    """Stripe's fee in minor units, half up, never above the amount."""
    if type_ == "card":
        return min(amount, (amount * CARD_FEE_PER_MILLE + 500) // 1000 + CARD_FEE_FIXED)
    return min(amount, DEBIT_FEE_MOST, (amount * DEBIT_FEE_PER_MILLE + 500) // 1000)


def record(account: Account, charge: Object) -> Object:
    """The transaction of a charge's captured amount; available after some days, at once for `bypassPending`."""
    amount = charge["amount_captured"]
    type_ = charge["payment_method_details"]["type"]
    cost = fee(amount, type_)
    method = payment_methods.behaviour(account, charge["payment_method"])
    at_once = isinstance(method, Card) and method.bypasses_pending
    now = account.clock.stamp()
    transaction = account.balance_transactions.put(
        {
            "id": account.ids.new("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": now if at_once else now + AVAILABLE_SECONDS,
            "created": now,
            "currency": charge["currency"],
            "description": charge["description"],
            "exchange_rate": None,
            "fee": cost,
            "fee_details": [
                {
                    "amount": cost,
                    "application": None,
                    "currency": charge["currency"],
                    "description": "Stripe processing fees",
                    "type": "stripe_fee",
                }
            ],
            "net": amount - cost,
            "reporting_category": "charge",
            "source": charge["id"],
            "status": "available" if at_once else "pending",
            "type": "charge" if type_ == "card" else "payment",
        }
    )
    if not at_once:
        account.schedule.after(AVAILABLE_SECONDS, lambda: _make_available(account, transaction))
    return transaction


def _make_available(account: Account, transaction: Object) -> None:
    account.balance_transactions.put({**transaction, "status": "available"})


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.balance_transactions, "balance transaction", "id")


def _list(call: Call) -> Mapping[str, Any]:
    wanted = {name: call.params[name] for name in ("currency", "source", "type") if name in call.params}
    return call.listed(
        call.account.balance_transactions,
        "balance transaction",
        lambda transaction: all(transaction[name] == value for name, value in wanted.items()),
    )


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/balance_transactions",
        _list,
        "balance_transaction",
        Parameters({**PAGE, "created": CREATED, "currency": Text(), "source": Text(), "type": Text()}),
    ),
    Operation("GET", "/v1/balance_transactions/{id}", _retrieve, "balance_transaction"),
)
