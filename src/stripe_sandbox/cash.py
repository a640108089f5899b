"""A customer's cash balance: what bank transfers bring, and what payments and refunds make of it.

Source: https://docs.stripe.com/payments/customer-balance, /payments/bank-transfers and /api/cash_balance_transactions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from stripe_sandbox.account import Account, Cause
from stripe_sandbox.records import Object

Purse: TypeAlias = tuple[str, str]
"""A customer's id and a currency in lower case."""

HOLDER: Final = "Stripe Sandbox"


@dataclass(frozen=True, slots=True)
class Route:
    """How money of one currency arrives: where it is sent to, and how its sender is shown.

    `address` is one of Stripe's financial addresses; `sender` what a funding transaction tells of where it came from.
    """

    type: str
    address: Mapping[str, Any]
    sender: Mapping[str, Any]


ROUTES: Final[Mapping[str, Route]] = {
    "eur": Route(
        "eu_bank_transfer",
        {
            "iban": {
                "account_holder_name": HOLDER,
                "bic": "SANDBOXXXXX",
                "country": "DE",
                "iban": "DE89370400440532013000",
            },
            "supported_networks": ["sepa"],
            "type": "iban",
        },
        {"bic": "BANKDEAAXXX", "iban_last4": "7089", "sender_name": HOLDER},
    ),
    "gbp": Route(
        "gb_bank_transfer",
        {
            "sort_code": {"account_holder_name": HOLDER, "account_number": "00012345", "sort_code": "108800"},
            "supported_networks": ["bacs", "fps"],
            "type": "sort_code",
        },
        {"account_number_last4": "2345", "sender_name": HOLDER, "sort_code": "108800"},
    ),
    "usd": Route(
        "us_bank_transfer",
        {
            "aba": {"account_number": "000123456789", "bank_name": "STRIPE TEST BANK", "routing_number": "110000000"},
            "supported_networks": ["ach", "domestic_wire_us"],
            "type": "aba",
        },
        {"network": "ach", "sender_name": HOLDER},
    ),
}
"""By currency; Stripe has Mexico's and Japan's too."""


def available(account: Account, purse: Purse) -> int:
    """What a customer has, in minor units of the purse's currency."""
    customer, currency = purse
    return (account.cash.get(customer) or {}).get(currency, 0)


def move(  # noqa: PLR0913, PLR0917 - a booking names all of these
    account: Account, purse: Purse, amount: int, type_: str, details: Mapping[str, Any], cause: Cause
) -> Object:
    """Books so much, negative when it leaves, and tells of it.

    Args:
        account: whose customer it is.
        purse: the customer's id and the currency in lower case.
        amount: in minor units.
        type_: Stripe's, such as `funded`.
        details: the hash that has the type's name, empty where there is none.
        cause: the request behind it.
    """
    balance = available(account, purse) + amount
    assert balance >= 0, "nothing is taken that is not there"
    customer, currency = purse
    account.cash[customer] = {**(account.cash.get(customer) or {}), currency: balance}
    booked = account.cash_transactions.put(
        {
            "id": account.ids.new("ccsbtxn"),
            "object": "customer_cash_balance_transaction",
            "created": account.clock.stamp(),
            "currency": purse[1],
            "customer": purse[0],
            "ending_balance": balance,
            "livemode": account.livemode,
            "net_amount": amount,
            "type": type_,
            **({type_: details} if details else {}),
        }
    )
    account.emit("customer_cash_balance_transaction.created", booked, cause)
    return booked


def instructions(intent: Object, missing: int, reference: str) -> dict[str, Any]:
    """What a PaymentIntent tells the customer to transfer, and where to."""
    route = ROUTES[intent["currency"]]
    return {
        "display_bank_transfer_instructions": {
            "amount_remaining": missing,
            "currency": intent["currency"],
            "financial_addresses": [dict(route.address)],
            "hosted_instructions_url": None,
            "reference": reference,
            "type": route.type,
        },
        "type": "display_bank_transfer_instructions",
    }
