"""Our account at Stripe: whether it takes our key, what time it has there, which endpoints get its events."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import stripe

from counterfoil.runtime.secret import Secret

EVENTS_ASKED: Final = 100
"""The most that Stripe gives on a page: the latest are enough to see whether they reach us."""

UNDER_WAY: Final = "counterfoil_replaces"
"""Metadata of an endpoint that is to take another's place: the id of that one."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook endpoint of the account; ``api_version`` is None where it follows the account's own."""

    id: str
    url: str
    enabled: bool
    types: frozenset[str]
    api_version: str | None
    livemode: bool
    created_at: datetime
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event as Stripe lists it; ``pending`` counts the endpoints that have not taken it yet."""

    id: str
    type: str
    created_at: datetime
    api_version: str | None
    pending: int


@dataclass(frozen=True, slots=True)
class Greeting:
    """How Stripe answers the least of our questions: by its clock, in its version.

    ``refusal`` says why it does not take our key, in Stripe's words; None where it does.
    """

    refusal: str | None
    clock: datetime | None
    version: str | None


class NoAnswer(Exception):
    """Stripe does not answer, or not as Stripe does; ``str()`` says how."""


class NotAllowed(Exception):
    """Our key is good, and not for this."""


class Account:
    """The account that a key opens, asked through the SDK. Each method raises NoAnswer or NotAllowed."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def greet(self, *, by_charges: bool = False) -> Greeting:
        """Ask for the least that our key has to be good for."""
        list_payments: Any = self._client.payment_intents.list_async
        if by_charges:
            list_payments = self._client.charges.list_async
        try:
            page = await list_payments({"limit": 1})
        except stripe.StripeError as error:
            if error.http_status is None:
                raise NoAnswer(_transport(error)) from error
            return Greeting(_words(error), *_clock_and_version(error.headers or {}))
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(type(error).__name__) from error
        return Greeting(None, *_clock_and_version(page.last_response.headers))

    async def endpoints(self) -> list[Endpoint]:
        """Return the account's webhook endpoints; it has at most sixteen, and so one page of them."""
        page = await _answered(self._client.webhook_endpoints.list_async, {"limit": 100})
        return [_endpoint(one) for one in page.data]

    async def latest_events(self, types: Collection[str], *, delivered: bool | None = None) -> list[SeenEvent]:
        """Return the latest events of these types, newest first, of the last page alone; what is older is not seen.

        With ``delivered`` only those that every endpoint has taken, or only those that one has not.
        """
        wanted = {} if delivered is None else {"delivery_success": delivered}
        page = await _answered(self._client.events.list_async, {"limit": EVENTS_ASKED, **wanted})
        return [
            SeenEvent(
                event.id,
                event.type,
                datetime.fromtimestamp(event.created, UTC),
                event.api_version,
                event.pending_webhooks,
            )
            for event in page.data
            if event.type in types
        ]

    async def add_endpoint(
        self, url: str, types: Collection[str], api_version: str, replaces: str | None
    ) -> tuple[Endpoint, Secret]:
        """Make an endpoint, and return it with its secret, which Stripe tells this once."""
        made = await _answered(
            self._client.webhook_endpoints.create_async,
            {
                "url": url,
                "enabled_events": sorted(types),
                "api_version": api_version,
                "metadata": {UNDER_WAY: replaces} if replaces else {},
            },
        )
        return _endpoint(made), Secret(made.secret)

    async def settle_endpoint(self, endpoint_id: str) -> None:
        """Say of an endpoint that it takes no other's place any more."""

        async def settled(metadata: Any) -> Any:
            return await self._client.webhook_endpoints.update_async(endpoint_id, {"metadata": metadata})

        await _answered(settled, {UNDER_WAY: ""})

    async def remove_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint, and with it whatever waits to be delivered there."""
        await _answered(self._client.webhook_endpoints.delete_async, endpoint_id)


async def _answered(ask: Callable[[Any], Any], what: Any) -> Any:
    try:
        return await ask(what)
    except stripe.PermissionError as error:
        raise NotAllowed(_words(error)) from error
    except stripe.StripeError as error:
        raise NoAnswer(_transport(error) if error.http_status is None else _words(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise NoAnswer(type(error).__name__) from error


def _endpoint(told: Any) -> Endpoint:
    return Endpoint(
        told.id,
        told.url,
        told.status == "enabled",
        frozenset(told.enabled_events),
        told.api_version,
        told.livemode,
        datetime.fromtimestamp(told.created, UTC),
        (told.metadata or {}).get(UNDER_WAY),
    )


def _clock_and_version(headers: Any) -> tuple[datetime | None, str | None]:
    named = {name.lower(): value for name, value in headers.items()}
    try:
        clock = parsedate_to_datetime(named["date"])
    except (KeyError, ValueError):
        clock = None
    return clock, named.get("stripe-version")


def _words(error: stripe.StripeError) -> str:
    """Return what Stripe says; it names keys by their ends only."""
    return f"{error.http_status} {error.user_message or 'without a reason'}"


def _transport(error: stripe.StripeError) -> str:
    return type(error.__cause__ or error).__name__
