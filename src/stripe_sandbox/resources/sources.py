"""Cards and sources of the API before PaymentMethods: what `POST /v1/charges` charges.

Source: https://docs.stripe.com/api/cards, /api/sources and /payments/older-apis. Each is a PaymentMethod of the same id
too, as at Stripe, so a PaymentIntent can be paid with it.
"""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import Account, Cause
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.errors import RefusedError, missing_object
from stripe_sandbox.params import PAGE, Choice, Metadata, NotCovered, Parameters, Text, merged
from stripe_sandbox.records import Object
from stripe_sandbox.resources import payment_methods

BRANDS: Final = {
    "visa": "Visa", "mastercard": "MasterCard", "amex": "American Express", "discover": "Discover",
    "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay",
}  # fmt: skip
"""How the older API spells them."""

ADDRESS_FIELDS: Final = ("city", "country", "line1", "line2", "state", "zip")


def card(account: Account, token: str, param: str, metadata: Mapping[str, str] | None = None) -> Object:
    """A card made of a test token, nobody's yet.

    Raises:
        RefusedError: there is no such token.
    """
    method = payment_methods.from_token(account, token, param, "card")
    return account.sources.put(shown(method, metadata))


def shown(method: Object, metadata: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A card of the older API, nobody's yet, that is the PaymentMethod of the same id."""
    return {
        "id": method["id"],
        "object": "card",
        **{f"address_{name}": None for name in ADDRESS_FIELDS},
        "address_line1_check": None,
        "address_zip_check": None,
        "customer": None,
        "cvc_check": method["card"]["checks"]["cvc_check"],
        "dynamic_last4": None,
        "metadata": merged({}, metadata),
        "name": None,
        "tokenization_method": None,
        **_face(method),
    }


def keep(account: Account, customer: Object, token: str, cause: Cause, *, default: bool) -> Object:
    """Makes a card of a token, or a source by its id, a customer's own; the first one becomes the default.

    Returns:
        the card or source.

    Raises:
        RefusedError: there is no such token or source, it is another's, or the issuer declines it (402).
    """
    source = account.sources.get(token) if token.startswith("src_") else card(account, token, "source")
    if source is None:
        raise missing_object("source", token, "source")
    payment_methods.attach(account, payment_methods.named(account, source["id"]), customer["id"], cause)
    source = account.sources.put({**source, "customer": customer["id"]})
    account.emit("customer.source.created", source, cause)
    customer = account.customers[customer["id"]]
    if default or customer["default_source"] is None:
        account.customers.put({**customer, "default_source": source["id"]})
    return source


def _face(method: Object) -> dict[str, Any]:
    face = method["card"]
    shown = {name: face[name] for name in ("country", "exp_month", "exp_year", "fingerprint", "funding", "last4")}
    return {**shown, "brand": BRANDS[face["brand"]]}


def _create_source(call: Call) -> Object:
    account = call.account
    method = payment_methods.from_token(account, call.params["token"], "token", "src")
    face = _face(method)
    identifier = method["id"]
    return account.sources.put(
        {
            "id": identifier,
            "object": "source",
            "amount": None,
            "card": {
                **face,
                "address_line1_check": None,
                "address_zip_check": None,
                "cvc_check": method["card"]["checks"]["cvc_check"],
                "dynamic_last4": None,
                "name": None,
                "three_d_secure": "optional",
                "tokenization_method": None,
            },
            "client_secret": f"src_client_secret_{account.ids.text(24)}",
            "created": account.clock.stamp(),
            "currency": None,
            "flow": "none",
            "livemode": account.livemode,
            "metadata": merged({}, call.params.get("metadata")),
            "owner": {
                name: None for owner in ("address", "email", "name", "phone") for name in (owner, f"verified_{owner}")
            },
            "statement_descriptor": None,
            "status": "chargeable",
            "type": "card",
            "usage": "reusable",
        }
    )


def _retrieve_source(call: Call) -> Object:
    source = call.subject(call.account.sources, "source", "source")
    if source["object"] != "source":
        raise missing_object("source", source["id"], "source", status=404)
    return source


def _create(call: Call) -> Object:
    customer = call.subject(call.account.customers, "customer", "customer")
    kept = keep(call.account, customer, call.params["source"], call.cause, default=False)
    return call.account.sources.put({**kept, "metadata": merged(kept["metadata"], call.params.get("metadata"))})


def _retrieve(call: Call) -> Object:
    customer = call.subject(call.account.customers, "customer", "customer")
    source = call.subject(call.account.sources, "source", "id")
    if source.get("customer") != customer["id"]:
        raise missing_object("source", source["id"], "id", status=404)
    return source


def _list(call: Call) -> Mapping[str, Any]:
    customer = call.subject(call.account.customers, "customer", "customer")["id"]
    type_ = call.params.get("object")
    return call.listed(
        call.account.sources,
        "source",
        lambda source: source.get("customer") == customer and type_ in (None, source["object"]),
    )


def chargeable(account: Account, source_id: str | None, customer_id: str | None) -> Object:
    """What a charge is to be taken from: a token's new card, a customer's card or source, or a source of nobody's.

    Raises:
        RefusedError: nothing of that name, or not the customer's; 402 if the customer has nothing to charge.
    """
    customer = None if customer_id is None else account.customers.get(customer_id)
    if customer_id is not None and customer is None:
        raise missing_object("customer", customer_id, "customer")
    if source_id is None:
        source_id = None if customer is None else customer["default_source"]
        if source_id is None:
            raise RefusedError(
                402, "This customer has no card that could be charged.", kind="card_error", code="missing", param="card"
            )
    if customer_id is None and source_id.startswith("tok_"):
        return card(account, source_id, "source")
    source = account.sources.get(source_id)
    if source is None and customer_id is None:
        raise missing_object("source", source_id, "source")
    if source is None or source.get("customer") != customer_id:
        raise RefusedError(
            400,
            f"{source_id} is not a source of {customer_id or 'nobody, so its customer must be named'}.",
            code="missing",
            param="source",
        )
    return source


_OF_CUSTOMER: Final = "/v1/customers/{customer}/sources"

OPERATIONS: Final = (
    Operation(
        "POST",
        _OF_CUSTOMER,
        _create,
        "card",
        Parameters(
            {
                "source": Text(),
                "metadata": Metadata(),
                "alipay_account": NotCovered(),
                "bank_account": NotCovered(),
                "card": NotCovered(),
            },
            ("source",),
        ),
    ),
    Operation("GET", _OF_CUSTOMER, _list, "card", Parameters({**PAGE, "object": Text()})),
    Operation("GET", _OF_CUSTOMER + "/{id}", _retrieve, "card"),
    Operation(
        "POST",
        "/v1/sources",
        _create_source,
        "source",
        Parameters({"type": Choice(("card",)), "token": Text(), "metadata": Metadata()}, ("type", "token")),
    ),
    Operation("GET", "/v1/sources/{source}", _retrieve_source, "source", Parameters({"client_secret": Text()})),
)
