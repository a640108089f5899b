"""Balance transactions: what charges bring after Stripe's fee, and refunds and disputes take (https://docs.stripe.com/api/balance_transactions)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.catalogue import DAY_SECONDS, Card
from stripe_sandbox.params import CREATED, PAGE, Parameters, Text
from stripe_sandbox.records import Object
from stripe_sandbox.resources import payment_methods
from stripe_sandbox.schedule import due

CARD_FEE_PER_MILLE: Final = 29
CARD_FEE_FIXED: Final = 30
"""2.9 % and 30 minor units: the standard card price in the US (https://stripe.com/pricing), for every currency here."""

DEBIT_FEE_PER_MILLE: Final = 8
DEBIT_FEE_MOST: Final = 500
"""0.8 %, at most $5: ACH Direct Debit's price (the same page)."""

TRANSFER_FEE_PER_MILLE: Final = 5
"""0.5 %, at most $5: the price of a bank transfer (the same page)."""

DISPUTE_FEE: Final = 1500
"""$15 (the same page), for every currency here; returned when the dispute is won (https://docs.stripe.com/testing)."""

AVAILABLE_SECONDS: Final = 2 * DAY_SECONDS
"""From pending to available; two business days is the usual payout speed in the US."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a transaction is about: amounts in minor units, negative when they leave the balance.

    `available_on` is in seconds since the epoch; `source` is the object that caused it.
    """

    source: str
    amount: int
    fee: int
    type: str
    category: str
    available_on: int
    description: str | None
    fee_description: str = "Stripe processing fees"


def fee(amount: int, type_: str) -> int:
    """Stripe's fee in minor units, half up, never above the amount."""
    if type_ == "card":
        return min(amount, (amount * CARD_FEE_PER_MILLE + 500) // 1000 + CARD_FEE_FIXED)
    per_mille = TRANSFER_FEE_PER_MILLE if type_ == "customer_balance" else DEBIT_FEE_PER_MILLE
    return min(amount, DEBIT_FEE_MOST, (amount * per_mille + 500) // 1000)


def record(account: Account, charge: Object) -> Object:
    """The transaction of a charge's captured amount; available after some days, at once for `bypassPending`."""
    type_ = charge["payment_method_details"]["type"]
    method = payment_methods.behaviour(account, charge["payment_method"])
    at_once = isinstance(method, Card) and method.bypasses_pending
    return _put(
        account,
        charge,
        Entry(
            source=charge["id"],
            amount=charge["amount_captured"],
            fee=fee(charge["amount_captured"], type_),
            type="charge" if type_ == "card" else "payment",
            category="charge",
            available_on=account.clock.stamp() + (0 if at_once else AVAILABLE_SECONDS),
            description=charge["description"],
        ),
    )


def record_refund(account: Account, refund: Object, charge: Object, *, failed: bool = False) -> Object:
    """The transaction that takes a refund from the balance, or gives it back after the refund failed.

    Stripe keeps its fee (https://docs.stripe.com/refunds), so none is returned. What is refunded before it became
    available is taken from what is still pending.
    """
    card = charge["payment_method_details"]["type"] == "card"
    taken = account.balance_transactions[charge["balance_transaction"]] if charge["balance_transaction"] else None
    available_on = 0 if taken is None else taken["available_on"]
    if failed:
        type_ = "refund_failure" if card else "payment_failure_refund"
    else:
        type_ = "refund" if card else "payment_refund"
    return _put(
        account,
        charge,
        Entry(
            source=refund["id"],
            amount=refund["amount"] if failed else -refund["amount"],
            fee=0,
            type=type_,
            category="refund_failure" if failed else "refund",
            available_on=max(account.clock.stamp(), available_on),
            description=f"REFUND {'FAILURE' if failed else 'FOR CHARGE'} ({charge['description'] or charge['id']})",
        ),
    )


def record_dispute(account: Account, dispute: Object, charge: Object, *, won: bool = False) -> Object:
    """The transaction that takes a disputed amount and Stripe's fee, or gives both back once the dispute is won."""
    sign = 1 if won else -1
    return _put(
        account,
        charge,
        Entry(
            source=dispute["id"],
            amount=sign * dispute["amount"],
            fee=-sign * DISPUTE_FEE,
            type="adjustment",
            category="dispute_reversal" if won else "dispute",
            available_on=account.clock.stamp(),
            description=f"Chargeback {'reversal' if won else 'withdrawal'} for {charge['id']}",
            fee_description="Dispute fee",
        ),
    )


def _put(account: Account, charge: Object, entry: Entry) -> Object:
    now = account.clock.stamp()
    at_once = entry.available_on <= now
    transaction = account.balance_transactions.put(
        {
            "id": account.ids.new("txn"),
            "object": "balance_transaction",
            "amount": entry.amount,
            "available_on": entry.available_on,
            "created": now,
            "currency": charge["currency"],
            "description": entry.description,
            "exchange_rate": None,
            "fee": entry.fee,
            "fee_details": [
                {
                    "amount": entry.fee,
                    "application": None,
                    "currency": charge["currency"],
                    "description": entry.fee_description,
                    "type": "stripe_fee",
                }
            ]
            if entry.fee
            else [],
            "net": entry.amount - entry.fee,
            "reporting_category": entry.category,
            "source": entry.source,
            "status": "available" if at_once else "pending",
            "type": entry.type,
        }
    )
    if not at_once:
        account.schedule.after(entry.available_on - now, _make_available, account, transaction["id"])
    return transaction


@due
def _make_available(account: Account, identifier: str) -> None:
    account.balance_transactions.put({**account.balance_transactions[identifier], "status": "available"})


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
