"""API versions: requests are of one, deliveries of whichever their endpoint was made for.

Source: https://docs.stripe.com/upgrades and /webhooks/versioning. An event in another version carries its number, and
the one difference that reaches payments: until 2022-11-15 a PaymentIntent showed its charges and a charge its refunds.
"""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import API_VERSION, Account
from stripe_sandbox.records import Object

VERSIONS: Final = (
    "2020-08-27", "2022-08-01", "2022-11-15", "2023-08-16", "2023-10-16", "2024-04-10", "2024-06-20",
    "2024-09-30.acacia",
)  # fmt: skip
"""What an endpoint can be made for; older ones differ in more than is rendered here."""

WITHOUT_LISTS: Final = "2022-11-15"
"""The version that took the lists out (https://docs.stripe.com/upgrades#2022-11-15)."""


def rendered(account: Account, event: Object, version: str | None) -> Object:
    """An event as an endpoint of that version gets it; None is the account's own version."""
    if version in (None, API_VERSION):
        return event
    carried = event["data"]["object"]
    if version < WITHOUT_LISTS:
        carried = {**carried, **_lists(account, carried, event["created"])}
    return {**event, "api_version": version, "data": {**event["data"], "object": carried}}


def _lists(account: Account, record: Object, until: int) -> dict[str, Any]:
    if record["object"] == "payment_intent":
        latest = account.charges.get(record["latest_charge"] or "")
        shown = [] if latest is None else [{**latest, **_lists(account, latest, until)}]
        return {"charges": _list(shown, f"/v1/charges?payment_intent={record['id']}")}
    if record["object"] == "charge":
        refunds = [
            refund for refund in account.refunds if refund["charge"] == record["id"] and refund["created"] <= until
        ]
        return {"refunds": _list(refunds[::-1], f"/v1/charges/{record['id']}/refunds")}
    return {}


def _list(entries: list[Any], url: str) -> Mapping[str, Any]:
    return {"object": "list", "data": entries, "has_more": False, "total_count": len(entries), "url": url}
