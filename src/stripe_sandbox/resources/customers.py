"""Customers, as far as payments need them (https://docs.stripe.com/api/customers)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import Account
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.errors import RefusedError, missing_object
from stripe_sandbox.params import CREATED, PAGE, Email, Kind, Metadata, Parameters, Shape, Text, merged
from stripe_sandbox.records import Object
from stripe_sandbox.resources import payment_methods, sources

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


def _with(call: Call, customer: Mapping[str, Any], default: str | None) -> dict[str, Any]:
    """The customer after what was sent, with that default method."""
    changed = {**customer, "metadata": merged(customer["metadata"], call.params.get("metadata"))}
    changed |= {
        name: call.params[name]
        for name in ("address", "description", "email", "name", "phone", "shipping")
        if name in call.params
    }
    changed["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": default}
    return changed


def _wanted_default(call: Call, before: str | None) -> str | None:
    settings: Mapping[str, str | None] = call.params.get("invoice_settings", {})
    return settings.get("default_payment_method", before)


def _no_such_default(method_id: str) -> RefusedError:
    return RefusedError(
        400,
        f"No such PaymentMethod: '{method_id}'; a default must be attached to the customer first.",
        code="resource_missing",
        param="invoice_settings[default_payment_method]",
    )


def _create(call: Call) -> Object:
    """Makes a customer; `payment_method` is attached, and may be named as the default in the same request."""
    wanted = _wanted_default(call, None)
    sent = call.params.get("payment_method")
    if wanted is not None and wanted != sent:
        raise _no_such_default(wanted)
    method = None if sent is None else payment_methods.resolved(call.account, sent)
    if method is not None:
        payment_methods.refuse_taken(call.account, method)
    default = None if wanted is None or method is None else str(method["id"])
    customer = call.account.customers.put(_with(call, _blank(call.account), default))
    call.account.emit("customer.created", customer, call.cause)
    if method is not None:
        payment_methods.attach(call.account, method, customer["id"], call.cause)
    return _with_source(call, customer)


def _with_source(call: Call, customer: Object) -> Object:
    if "source" in call.params:
        sources.keep(call.account, customer, call.params["source"], call.cause, default=True)
    return call.account.customers[customer["id"]]


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.customers, "customer", "customer")


def _update(call: Call) -> Object:
    before = _retrieve(call)
    default = _wanted_default(call, before["invoice_settings"]["default_payment_method"])
    method = None if default is None else call.account.payment_methods.get(default)
    if default is not None and (method is None or method["customer"] != before["id"]):
        raise _no_such_default(default)
    after = call.account.customers.put(_with(call, before, default))
    previous = {name: before[name] for name in before if before[name] != after[name]}
    if previous:
        call.account.emit("customer.updated", after, call.cause, previous)
    return _with_source(call, after)


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
    "source": Text(),
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
