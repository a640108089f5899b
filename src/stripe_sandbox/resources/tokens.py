"""Tokens of cards that are given by their number (https://docs.stripe.com/api/tokens)."""

from typing import Final

from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.params import NotCovered, Parameters, Shape
from stripe_sandbox.records import Object
from stripe_sandbox.resources import payment_methods, sources


def _create(call: Call) -> Object:
    account = call.account
    method = payment_methods.from_number(account, call.params["card"], "card", "card")
    token = account.ids.new("tok")
    account.catalogue_names[token] = account.catalogue_names[method["id"]]
    account.payment_methods.remove(method["id"])  # there is none until the token is used
    del account.catalogue_names[method["id"]]
    return account.tokens.put(
        {
            "id": token,
            "object": "token",
            "card": sources.shown(method),
            "client_ip": None,
            "created": account.clock.stamp(),
            "livemode": account.livemode,
            "type": "card",
            "used": False,
        }
    )


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.tokens, "token", "token")


_OTHERS: Final = ("account", "bank_account", "customer", "cvc_update", "person", "pii")

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/tokens",
        _create,
        "token",
        Parameters(
            {"card": Shape(payment_methods.CARD), **dict.fromkeys(_OTHERS, NotCovered())},
            ("card",),
        ),
    ),
    Operation("GET", "/v1/tokens/{token}", _retrieve, "token"),
)
