"""Webhook endpoints (https://docs.stripe.com/api/webhook_endpoints).

Unlike Stripe, the sandbox delivers to any http or https address: everything it is used for is on a private network.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.account import Account, RetiredSecret
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.errors import InvalidError
from stripe_sandbox.form import Raw
from stripe_sandbox.params import (
    PAGE,
    Choice,
    Flag,
    Items,
    Kind,
    Metadata,
    NotCovered,
    Parameters,
    Text,
    Url,
    merged,
    text_of,
)
from stripe_sandbox.records import Object
from stripe_sandbox.versions import VERSIONS

EVENT_TYPE: Final = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)+")

MOST_ENDPOINTS: Final = 16
"""Stripe's limit for one account and mode."""


class EventType:
    """The name of an event, or `*` for all; whether Stripe has that event is not checked."""

    __slots__ = ()

    def read(self, raw: Raw, name: str) -> str:
        """The name."""
        value = text_of(raw, name)
        if EVENT_TYPE.fullmatch(value) is None:
            raise InvalidError(f"Invalid {name}: '{value[:60]}' is not the name of an event.", name)
        return value


FAILING_SECONDS: Final = 3 * 86_400
"""How long an endpoint may fail without a break before it is disabled. Stripe says "multiple days in a row" and tries
live events for three (https://docs.stripe.com/webhooks#disable)."""

LONGEST_OVERLAP_SECONDS: Final = 86_400
"""How long the earlier secret may stay alive when one is rolled (https://docs.stripe.com/webhooks#roll-endpoint-secrets)."""


def add(  # noqa: PLR0913 - what an endpoint is made of
    account: Account,
    *,
    url: str,
    enabled_events: list[str],
    secret: str,
    description: str | None = None,
    metadata: Mapping[str, str] | None = None,
    api_version: str | None = None,
) -> Object:
    """Makes an endpoint that takes events from now on; `secret` signs what is sent to it."""
    endpoint = account.webhook_endpoints.put(
        {
            "id": account.ids.new("we"),
            "object": "webhook_endpoint",
            "api_version": api_version,
            "application": None,
            "created": account.clock.stamp(),
            "description": description,
            "enabled_events": enabled_events,
            "livemode": account.livemode,
            "metadata": merged({}, metadata),
            "status": "enabled",
            "url": url,
        }
    )
    account.signing_secrets[endpoint["id"]] = secret
    return endpoint


def roll(account: Account, endpoint_id: str, overlap_seconds: float) -> str:
    """Gives an endpoint a new secret; the old one signs beside it for so long.

    Stripe has this in its Dashboard only.

    Returns:
        the new `whsec_…`.

    Raises:
        KeyError: there is no such endpoint.
    """
    old = account.signing_secrets[endpoint_id]
    now = account.clock.now()
    kept = [retired for retired in account.retired_secrets.get(endpoint_id) or [] if retired.ends_at > now]
    account.retired_secrets[endpoint_id] = [RetiredSecret(old, now + overlap_seconds), *kept]
    account.signing_secrets[endpoint_id] = account.ids.new("whsec")
    return account.signing_secrets[endpoint_id]


def live_secrets(account: Account, endpoint_id: str) -> list[str]:
    """Every secret that signs now, newest first."""
    now = account.clock.now()
    retired = [old.secret for old in account.retired_secrets.get(endpoint_id) or [] if old.ends_at > now]
    return [account.signing_secrets[endpoint_id], *retired]


def settle(account: Account, event_id: str, endpoint_id: str) -> None:
    """Notes that an endpoint has an event, or will never want it."""
    waiting = [one for one in account.undelivered.get(event_id) or [] if one != endpoint_id]
    if waiting:
        account.undelivered[event_id] = waiting
    else:
        account.undelivered.pop(event_id)
    event = account.events[event_id]
    if event["pending_webhooks"] != len(waiting):
        account.events.put({**event, "pending_webhooks": len(waiting)})


def note_failure(account: Account, endpoint_id: str) -> None:
    """Notes that an endpoint did not accept an event; after days without a break it is disabled."""
    endpoint = account.webhook_endpoints.get(endpoint_id)
    now = account.clock.now()
    if endpoint_id not in account.failing_since:
        account.failing_since[endpoint_id] = now
    since = account.failing_since[endpoint_id]
    if endpoint is not None and now - since >= FAILING_SECONDS:
        account.webhook_endpoints.put({**endpoint, "status": "disabled"})


def _check(params: Mapping[str, Any]) -> None:
    events = params.get("enabled_events")
    if events is not None and not events:
        raise InvalidError("At least one event must be enabled.", "enabled_events")


def _create(call: Call) -> Object:
    if len(call.account.webhook_endpoints) >= MOST_ENDPOINTS:
        raise InvalidError(f"You have reached the maximum of {MOST_ENDPOINTS} webhook endpoints.")
    secret = call.account.ids.new("whsec")
    endpoint = add(
        call.account,
        url=call.params["url"],
        enabled_events=call.params["enabled_events"],
        secret=secret,
        description=call.params.get("description"),
        metadata=call.params.get("metadata"),
        api_version=call.params.get("api_version"),
    )
    return {**endpoint, "secret": secret}  # told this once


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.webhook_endpoints, "webhook endpoint", "webhook_endpoint")


def _list(call: Call) -> Mapping[str, Any]:
    return call.listed(call.account.webhook_endpoints, "webhook endpoint")


def _update(call: Call) -> Object:
    endpoint = dict(_retrieve(call))
    endpoint |= {name: call.params[name] for name in ("url", "description", "enabled_events") if name in call.params}
    endpoint["metadata"] = merged(endpoint["metadata"], call.params.get("metadata"))
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
        call.account.failing_since.pop(endpoint["id"])
    return call.account.webhook_endpoints.put(endpoint)


def _delete(call: Call) -> Mapping[str, Any]:
    identifier = _retrieve(call)["id"]
    call.account.webhook_endpoints.remove(identifier)
    del call.account.signing_secrets[identifier]
    call.account.retired_secrets.pop(identifier)
    call.account.failing_since.pop(identifier)
    for event_id in [event_id for event_id, waiting in call.account.undelivered.items() if identifier in waiting]:
        settle(call.account, event_id, identifier)
    return {"id": identifier, "object": "webhook_endpoint", "deleted": True}


_SETTABLE: Final[dict[str, Kind]] = {
    "url": Url(schemes=("http", "https")),
    "enabled_events": Items(EventType()),
    "description": Text(unset=True),
    "metadata": Metadata(),
}
_ONE: Final = "/v1/webhook_endpoints/{webhook_endpoint}"

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/webhook_endpoints",
        _create,
        "webhook_endpoint",
        Parameters({**_SETTABLE, "api_version": Choice(VERSIONS), "connect": NotCovered()}, ("enabled_events", "url")),
        _check,
    ),
    Operation("GET", "/v1/webhook_endpoints", _list, "webhook_endpoint", Parameters(PAGE)),
    Operation("GET", _ONE, _retrieve, "webhook_endpoint"),
    Operation("POST", _ONE, _update, "webhook_endpoint", Parameters({**_SETTABLE, "disabled": Flag()}), _check),
    Operation("DELETE", _ONE, _delete, "webhook_endpoint"),
)
