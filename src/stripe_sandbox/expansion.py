"""`expand[]`: ids in an answer replaced by their objects (https://docs.stripe.com/api/expanding_objects)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.errors import InvalidError
from stripe_sandbox.records import Object, Records

DEPTH_LIMIT: Final = 4
"""Stripe's."""

LISTED: Final = 10
"""How many entries an expanded list shows, as many as a page has by default."""

EXPANDABLE: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "payment_intent": {
        "customer": ("customer",),
        "latest_charge": ("charge",),
        "payment_method": ("payment_method",),
        "application": (),
        "invoice": (),
        "on_behalf_of": (),
        "review": (),
    },
    "charge": {
        "balance_transaction": ("balance_transaction",),
        "customer": ("customer",),
        "payment_intent": ("payment_intent",),
        "refunds": ("refund",),
        "application": (),
        "application_fee": (),
        "failure_balance_transaction": ("balance_transaction",),
        "invoice": (),
        "on_behalf_of": (),
        "review": (),
        "source_transfer": (),
    },
    "dispute": {"charge": ("charge",), "payment_intent": ("payment_intent",)},
    "refund": {
        "balance_transaction": ("balance_transaction",),
        "charge": ("charge",),
        "failure_balance_transaction": ("balance_transaction",),
        "payment_intent": ("payment_intent",),
        "source_transfer_reversal": (),
        "transfer_reversal": (),
    },
    "balance_transaction": {"source": ("charge", "refund", "dispute")},
    "payment_method": {"customer": ("customer",)},
    "mandate": {"payment_method": ("payment_method",)},
    "customer": {"default_source": ("source",), "test_clock": ()},
    "customer_cash_balance_transaction": {"customer": ("customer",)},
    "card": {"customer": ("customer",)},
}
"""Type to field to the types it may lead to; none where the sandbox never has one."""

RECORDS: Final[Mapping[str, Callable[[Account], Records]]] = {
    "payment_intent": lambda account: account.payment_intents,
    "charge": lambda account: account.charges,
    "dispute": lambda account: account.disputes,
    "refund": lambda account: account.refunds,
    "balance_transaction": lambda account: account.balance_transactions,
    "customer": lambda account: account.customers,
    "source": lambda account: account.sources,
    "payment_method": lambda account: account.payment_methods,
}


def _refunds(account: Account, charge: Object) -> Object:
    found = [refund for refund in account.refunds if refund["charge"] == charge["id"]][::-1]
    return {
        "object": "list",
        "data": found[:LISTED],
        "has_more": len(found) > LISTED,
        "url": f"/v1/charges/{charge['id']}/refunds",
    }


LISTS: Final[Mapping[tuple[str, str], Callable[[Account, Object], Object]]] = {("charge", "refunds"): _refunds}
"""Fields that an answer has only when they are asked for: lists of what belongs to it, newest first."""


def check(type_: str, paths: list[str], *, listing: bool) -> None:
    """Lets paths pass that lead somewhere.

    Raises:
        InvalidError: a path is too deep, or names what cannot be expanded.
    """
    for path in paths:
        names = path.split(".")
        if len(names) > DEPTH_LIMIT:
            raise InvalidError(f"You cannot expand more than {DEPTH_LIMIT} levels of a property ({path}).", "expand")
        if listing and names[0] != "data":
            raise InvalidError(f"This property cannot be expanded ({path}).", "expand")
        if not _leads_on((type_,), names[1:] if listing else names):
            raise InvalidError(f"This property cannot be expanded ({path}).", "expand")


def _leads_on(types: tuple[str, ...], names: list[str]) -> bool:
    if not names:
        return True
    for type_ in types:
        if names[0] in EXPANDABLE.get(type_, {}):
            entries = (type_, names[0]) in LISTS and names[1:2] == ["data"]
            if _leads_on(EXPANDABLE[type_][names[0]], names[2:] if entries else names[1:]):
                return True
    return False


def applied(account: Account, answer: Mapping[str, Any], paths: list[str]) -> Mapping[str, Any]:
    """The answer with each path's ids replaced."""
    for path in paths:
        answer = _expanded(account, answer, path.split("."))
    return answer


def _expanded(account: Account, record: Object, names: list[str]) -> Object:
    if not names:
        return record
    if record.get("object") in {"list", "search_result"}:
        return {**record, "data": [_expanded(account, entry, names[1:]) for entry in record["data"]]}
    field = names[0]
    value = record.get(field)
    if value is None and (record["object"], field) in LISTS:
        value = LISTS[record["object"], field](account, record)
    elif isinstance(value, str):
        value = _found(account, EXPANDABLE[record["object"]].get(field, ()), value)
    return record if value is None else {**record, field: _expanded(account, value, names[1:])}


def _found(account: Account, types: tuple[str, ...], identifier: str) -> Object | None:
    for type_ in types:
        record = RECORDS[type_](account).get(identifier)
        if record is not None:
            return record
    return None
