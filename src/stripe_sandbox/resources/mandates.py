"""Mandates: the customer's leave to debit a bank account (https://docs.stripe.com/api/mandates)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.params import Choice, Integer, Shape, Text
from stripe_sandbox.records import Object

MANDATE_DATA: Final = Shape(
    {
        "customer_acceptance": Shape(
            {
                "type": Choice(("online", "offline")),
                "accepted_at": Integer(),
                "online": Shape({"ip_address": Text(), "user_agent": Text()}, ("ip_address", "user_agent")),
                "offline": Shape({}),
            },
            ("type",),
        )
    },
    ("customer_acceptance",),
    unset=True,
)
"""What confirming a bank debit takes as `mandate_data`."""


def record(account: Account, method: Object, acceptance: Mapping[str, Any]) -> Object:
    """A mandate for one PaymentMethod, active at once."""
    kind = acceptance["type"]
    details: dict[str, Any] = (
        {"collection_method": "paper"}
        if method["type"] == "us_bank_account" and kind == "offline"
        else {}
        if method["type"] == "us_bank_account"
        else {"reference": account.ids.text(16).upper(), "url": "https://hooks.stripe.com/adapter/sepa_debit/file"}
    )
    return account.mandates.put(
        {
            "id": account.ids.new("mandate"),
            "object": "mandate",
            "customer_acceptance": {
                "accepted_at": acceptance.get("accepted_at", account.clock.stamp()),
                kind: acceptance.get(kind, {}),
                "type": kind,
            },
            "livemode": account.livemode,
            "multi_use": {},
            "payment_method": method["id"],
            "payment_method_details": {method["type"]: details, "type": method["type"]},
            "status": "active",
            "type": "multi_use",
        }
    )


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.mandates, "mandate", "mandate")


OPERATIONS: Final = (Operation("GET", "/v1/mandates/{mandate}", _retrieve, "mandate"),)
