"""Stripe's list of events (https://docs.stripe.com/api/events/list): newest first, thirty days back."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import stripe

from counterfoil.domain.errors import Unavailable
from counterfoil.processors.port import EventPage, ListedEvent, NotAnEvent, NotListed, Priority
from counterfoil.processors.stripe import notices
from counterfoil.processors.stripe.transport import Turns

LISTED_AT_ONCE: Final = 100
"""The most that Stripe gives on a page."""

SAID_TWICE: Final = frozenset({"charge.pending", "charge.refund.updated", "payment_intent.partially_funded"})
"""``payment_intent.processing`` and ``refund.updated`` say the same, and what is funded in part waits for its customer
as ``payment_intent.requires_action`` has said. Stripe lists by twenty types at most."""

_TELLING: Final = (notices.INTENT_EVENTS, notices.CHARGE_EVENTS, notices.DISPUTE_EVENTS, notices.REFUND_EVENTS)

TYPES: Final = sorted(frozenset({notices.BOOKING_EVENT}).union(*_TELLING) - SAID_TWICE)
"""What is listed: all that says something of a payment."""


async def events(
    client: stripe.StripeClient, turns: Turns, since: datetime, after: str | None, *, undelivered: bool
) -> EventPage:
    """Return a page of the events made since then, as `Processor.events` does; raises the same."""
    parameters: dict[str, Any] = {"created": {"gte": int(since.timestamp())}, "types": TYPES, "limit": LISTED_AT_ONCE}
    if undelivered:
        parameters["delivery_success"] = False
    if after is not None:
        parameters["starting_after"] = after
    try:
        async with turns.turn(Priority.CATCH_UP):
            page: Any = await client.events.list_async(parameters)  # type: ignore[arg-type]  # its TypedDict
    except Exception as error:  # whatever keeps it from answering, it is asked again
        raise _not_listed(error, after) from error
    last = page.data[-1].id if page.has_more and page.data else None
    if last is not None and last == after:
        raise NotListed("Stripe's list goes on and does not get on")
    found, unreadable = [], []
    for event in page.data:
        body = json.dumps(event, separators=(",", ":")).encode()
        try:
            created = datetime.fromtimestamp(event["created"], UTC)
            found.append(ListedEvent(notices.identify(body), created, body))
        except (NotAnEvent, KeyError, TypeError, ValueError, OverflowError) as error:
            unreadable.append((f"listed, and no event ({type(error).__name__})", body))
    return EventPage(tuple(found), last, tuple(unreadable))


def _not_listed(error: Exception, after: str | None) -> NotListed:
    """Return what an exception of the SDK, of the transport beneath it or of the budget means for a page."""
    match error:
        case stripe.InvalidRequestError(param="starting_after") if after is not None:
            return NotListed("Stripe no longer lists the event that the page begins after", place_lost=True)
        case stripe.InvalidRequestError():
            return NotListed(f"Stripe refuses to list events ({error.code})", refused=True)
        case stripe.AuthenticationError() | stripe.PermissionError():
            return NotListed("Stripe refuses our key", key_refused=True)
        case Unavailable():
            return NotListed("the rate budget had nothing left")
        case _:
            return NotListed(f"Stripe does not answer ({type(error).__name__})")
