"""Customers, as far as payments need them (https://docs.stripe.com/api/customers)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.errors import missing_object
from stripe_sandbox.params import CREATED, PAGE, Email, Kind, Metadata, Parameters, Shape, Text, merged
from stripe_sandbox.records import Object
from stripe_sandbox.resources import payment_methods

ADDRESS: Final = Shape(
    {name: Text(unset=True) for name in ("city", "country", "line1", "line2", "postal_code", "state")}, unset=True
)


def named(account: Account, identifier: str, param: str = "customer") -> Object:
    """The customer that a parameter names.

    Raises:
        RefusedError: there is none.
    """
    customer = account.customers.get(identifier)
    if customer is None:
        raise missing_object("customer", identifier, param)
    return customer


def _blank(account: Account) -> dict[str, Any]:
    return {
        "id": account.ids.new("cus"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": account.clock.stamp(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": account.ids.text(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": account.livemode,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _with(call: Call, customer: Mapping[str, Any]) -> dict[str, Any]:
    """The customer after what was sent."""
    changed = {**customer, "metadata": merged(customer["metadata"], call.params.get("metadata"))}
    changed |= {
        name: call.params[name]
        for name in ("address", "description", "email", "name", "phone", "shipping")
        if name in call.params
    }
    settings = call.params.get("invoice_settings") or {}
    if settings.get("default_payment_method") is not None:
        payment_methods.named(
            call.account, settings["default_payment_method"], "invoice_settings[default_payment_method]"
        )
    changed["invoice_settings"] = {**customer["invoice_settings"], **settings}
    return changed


def _create(call: Call) -> Object:
    blank = _blank(call.account)
    if "payment_method" not in call.params:
        customer = call.account.customers.put(_with(call, blank))
        call.account.emit("customer.created", customer, call.cause)
        return customer
    method = payment_methods.resolved(call.account, call.params["payment_method"])
    customer = call.account.customers.put(_with(call, blank))
    call.account.emit("customer.created", customer, call.cause)
    payment_methods.attach(call.account, method, customer["id"], call.cause)
    return customer


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.customers, "customer", "customer")


def _update(call: Call) -> Object:
    before = _retrieve(call)
    after = call.account.customers.put(_with(call, before))
    previous = {name: before[name] for name in before if before[name] != after[name]}
    if previous:
        call.account.emit("customer.updated", after, call.cause, previous)
    return after


def _list(call: Call) -> Mapping[str, Any]:
    email = call.params.get("email")
    return call.listed(call.account.customers, "customer", lambda customer: email is None or customer["email"] == email)


def _list_methods(call: Call) -> Mapping[str, Any]:
    customer = _retrieve(call)["id"]
    type_ = call.params.get("type")
    return call.listed(
        call.account.payment_methods,
        "PaymentMethod",
        lambda method: method["customer"] == customer and type_ in (None, method["type"]),
    )


_SETTABLE: Final[dict[str, Kind]] = {
    "address": ADDRESS,
    "description": Text(unset=True),
    "email": Email(unset=True),
    "invoice_settings": Shape({"default_payment_method": Text(unset=True)}),
    "metadata": Metadata(),
    "name": Text(256, unset=True),
    "phone": Text(20, unset=True),
    "shipping": Shape({"address": ADDRESS, "name": Text(), "phone": Text(unset=True)}, unset=True),
}
_ONE: Final = "/v1/customers/{customer}"

OPERATIONS: Final = (
    Operation("POST", "/v1/customers", _create, "customer", Parameters({**_SETTABLE, "payment_method": Text()})),
    Operation("GET", "/v1/customers", _list, "customer", Parameters({**PAGE, "created": CREATED, "email": Text(512)})),
    Operation("GET", _ONE, _retrieve, "customer"),
    Operation("POST", _ONE, _update, "customer", Parameters(_SETTABLE)),
    Operation("GET", _ONE + "/payment_methods", _list_methods, "payment_method", Parameters({**PAGE, "type": Text()})),
)
