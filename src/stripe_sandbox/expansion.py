"""`expand[]`: ids in an answer replaced by their objects (https://docs.stripe.com/api/expanding_objects)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.errors import InvalidError
from stripe_sandbox.records import Object, Records

DEPTH_LIMIT: Final = 4
"""Stripe's."""

EXPANDABLE: Final[Mapping[str, Mapping[str, str | None]]] = {
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
        "application": None,
        "invoice": None,
        "on_behalf_of": None,
        "review": None,
    },
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
        "application": None,
        "application_fee": None,
        "failure_balance_transaction": "balance_transaction",
        "invoice": None,
        "on_behalf_of": None,
        "review": None,
        "source_transfer": None,
    },
    "balance_transaction": {"source": "charge"},
    "payment_method": {"customer": "customer"},
    "mandate": {"payment_method": "payment_method"},
    "customer": {"default_source": None, "test_clock": None},
}
"""Type to field to the type it leads to; `None` where the sandbox never has one."""

RECORDS: Final[Mapping[str, Callable[[Account], Records]]] = {
    "payment_intent": lambda account: account.payment_intents,
    "charge": lambda account: account.charges,
    "balance_transaction": lambda account: account.balance_transactions,
    "customer": lambda account: account.customers,
    "payment_method": lambda account: account.payment_methods,
}


def check(type_: str, paths: list[str], *, listing: bool) -> None:
    """Lets paths pass that lead somewhere.

    Raises:
        InvalidError: a path is too deep, or names what cannot be expanded.
    """
    for path in paths:
        names = path.split(".")
        if len(names) > DEPTH_LIMIT:
            raise InvalidError(f"You cannot expand more than {DEPTH_LIMIT} levels of a property ({path}).", "expand")
        here: str | None = type_
        for name in names[1:] if listing and names[0] == "data" else names:
            fields = EXPANDABLE.get(here or "", {})
            if (listing and names[0] != "data") or name not in fields:
                raise InvalidError(f"This property cannot be expanded ({path}).", "expand")
            here = fields[name]


def applied(account: Account, answer: Mapping[str, Any], paths: list[str]) -> Mapping[str, Any]:
    """The answer with each path's ids replaced."""
    for path in paths:
        names = path.split(".")
        if answer.get("object") == "list":
            answer = {**answer, "data": [_expanded(account, record, names[1:]) for record in answer["data"]]}
        else:
            answer = _expanded(account, answer, names)
    return answer


def _expanded(account: Account, record: Object, names: list[str]) -> Object:
    if not names:
        return record
    value = record.get(names[0])
    if isinstance(value, str):
        leads_to = EXPANDABLE[record["object"]][names[0]]
        assert leads_to is not None
        value = RECORDS[leads_to](account).get(value)
    return record if value is None else {**record, names[0]: _expanded(account, value, names[1:])}
