"""Events: list and retrieve (https://docs.stripe.com/api/events)."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.errors import InvalidError
from stripe_sandbox.params import CREATED, PAGE, Flag, Items, Parameters, Text
from stripe_sandbox.records import Object

MOST_TYPES: Final = 20
"""That may be asked for at once."""

LISTED_SECONDS: Final = 30 * 86_400
"""Stripe lists thirty days of events."""


def _check_list(params: Mapping[str, Any]) -> None:
    if "type" in params and "types" in params:
        raise InvalidError("You may only specify one of these parameters: type, types.", "type")
    if len(params.get("types", ())) > MOST_TYPES:
        raise InvalidError(f"You may ask for {MOST_TYPES} types of events at once at most.", "types")


def _fits(type_: str, pattern: str) -> bool:
    return type_ == pattern or (pattern.endswith("*") and type_.startswith(pattern[:-1]))


def _list(call: Call) -> Mapping[str, Any]:
    types = [call.params["type"]] if "type" in call.params else call.params.get("types")
    delivered = call.params.get("delivery_success")
    oldest = call.account.clock.now() - LISTED_SECONDS

    def wanted(event: Object) -> bool:
        return (
            event["created"] >= oldest
            and (types is None or any(_fits(event["type"], pattern) for pattern in types))
            and (delivered is None or delivered == (event["pending_webhooks"] == 0))
        )

    return call.listed(call.account.events, "event", wanted)


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.events, "event", "id")


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/events",
        _list,
        "event",
        Parameters({**PAGE, "created": CREATED, "type": Text(), "types": Items(Text()), "delivery_success": Flag()}),
        _check_list,
    ),
    Operation("GET", "/v1/events/{id}", _retrieve, "event"),
)
