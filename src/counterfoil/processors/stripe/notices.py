"""What a webhook delivery is, and what it says.

The receiver only asks *which* event it is; what it means is read later, by the worker, from the bytes as they came.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Source
from counterfoil.messages.decoding import NotDecodable, decode_object
from counterfoil.processors.port import Aftermath, Hint, Identity, NotAnEvent, Silence, Word
from counterfoil.processors.stripe import aftermath, charges, requests, verdicts

LONGEST_ID: Final = 255
"""Stripe's ids are far shorter; longer text in the place of an id is no id."""

INTENT_EVENTS: Final = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.amount_capturable_updated",
        "payment_intent.partially_funded",
        "payment_intent.canceled",
    },
)
"""Events whose object is a PaymentIntent that tells how its attempt stands."""

CHARGE_EVENTS: Final = frozenset(
    {"charge.succeeded", "charge.pending", "charge.failed", "charge.captured", "charge.expired"},
)
"""Events whose object is a Charge that tells the same."""

_HELD_NO_MORE: Final = frozenset({AttemptHappening.AUTHORIZED, AttemptHappening.CANCELED})
"""What the charge of an event that says its hold has ended may look like."""

DISPUTE_EVENTS: Final = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    },
)
"""Events whose object is a Dispute; they differ in nothing that the object does not say."""

BOOKING_EVENT: Final = "charge.updated"
"""Among what it may tell is that the charge has its balance transaction now, which is often missing at success."""

REFUND_EVENTS: Final = frozenset(
    {"charge.refunded", "charge.refund.updated", "refund.created", "refund.updated", "refund.failed"},
)
"""Events that hint at news of a charge's refunds. What they tell may be old, and their totals count what Stripe let go
of a hold, so the charge is asked for."""

_LATER_THAN_OURS: Final = frozenset({"refund.failed"})
"""Came with an API version after ours: an endpoint in our version cannot ask for it, one in another may bring it."""

HANDLED_EVENTS: Final = (
    INTENT_EVENTS | CHARGE_EVENTS | DISPUTE_EVENTS | REFUND_EVENTS | {BOOKING_EVENT}
) - _LATER_THAN_OURS
"""Whatever an endpoint at Stripe has to be subscribed to; events of other types are kept and change nothing."""


def identify(body: bytes) -> Identity:
    """Return which event these bytes bring.

    Raises:
        NotAnEvent: they are no JSON object, or lack what every event has.
    """
    try:
        event = decode_object(body, keep_nul=True)
    except NotDecodable as error:
        raise NotAnEvent(str(error)) from None
    if event.get("object", "event") != "event":
        raise NotAnEvent("its object is not an event")
    livemode = event.get("livemode", False)
    if not isinstance(livemode, bool):
        raise NotAnEvent("its livemode is neither true nor false")
    account = event.get("account")
    return Identity(
        account=_storable(account) if isinstance(account, str) else "",
        livemode=livemode,
        event_id=_text(event, "id"),
        type=_text(event, "type") if "type" in event else "",
        object_id=_object_id(event),
    )


def read(body: bytes) -> Word | Aftermath | Silence:
    """Return what a kept notice says.

    Raises:
        NotAnEvent: the bytes cannot be read after all, or a field in them is not what Stripe documents.
    """
    try:
        event = decode_object(body, keep_nul=True)
    except NotDecodable as error:
        raise NotAnEvent(str(error)) from None
    kind = event.get("type")
    if kind in REFUND_EVENTS:
        return _hint_at_refunds(_object(event))
    if kind in INTENT_EVENTS or kind in CHARGE_EVENTS:
        return _of_attempt(event)
    if kind in DISPUTE_EVENTS:
        return _of_dispute(event)
    return _of_booking(event) if kind == BOOKING_EVENT else Silence.IRRELEVANT


def _of_attempt(event: Mapping[str, Any]) -> Word | Silence:
    """Return what an event says of the attempt that its PaymentIntent or Charge is about."""
    thing = _object(event)
    payment_id = payment_id_of(thing)
    intent = event.get("type") in INTENT_EVENTS
    intent_id = thing.get("id") if intent else thing.get("payment_intent")
    if payment_id is None and not isinstance(intent_id, str):
        return Silence.FOREIGN
    if event.get("api_version") != requests.API_VERSION:
        return Word(payment_id, intent_id if isinstance(intent_id, str) else None, None, None)
    cause = Cause(Source.NOTICE, _text(event, "id"))
    try:
        verdict = verdicts.of_intent(thing, cause) if intent else charges.of_charge(thing, cause)
    except (AssertionError, AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        if payment_id is None:  # not ours, as far as it says: at most its intent is worth asking about
            return Word(None, str(intent_id), None, None)
        raise NotAnEvent(f"its object is not what Stripe documents ({type(error).__name__})") from error
    if event.get("type") == "charge.expired" and verdict.outcome in _HELD_NO_MORE:
        verdict = replace(verdict, outcome=AttemptHappening.CANCELED, expired=True)
    if verdict.outcome is AttemptHappening.UNKNOWN and payment_id is None:  # the same
        return Word(None, str(intent_id), None, None)
    if verdict.outcome is AttemptHappening.UNKNOWN:
        raise NotAnEvent(verdict.alarm or "its object's status does not fit its type")
    return Word(payment_id, verdict.intent_id, verdict.charge_id, verdict)


def _of_dispute(event: Mapping[str, Any]) -> Aftermath | Silence:
    """Return what an event says of a dispute; an inquiry is none, for no money moves."""
    thing, cause = _object(event), Cause(Source.NOTICE, _text(event, "id"))
    if event.get("api_version") != requests.API_VERSION:
        charge_id = aftermath.id_of(thing.get("charge"))
        if charge_id is None:
            raise NotAnEvent("its dispute names no charge")
        return Aftermath(None, aftermath.id_of(thing.get("payment_intent")), charge_id, Hint.DISPUTED, cause)
    try:
        dispute = aftermath.dispute_of(thing)
    except aftermath.Undocumented as error:
        raise NotAnEvent(str(error)) from None
    if dispute is None:
        return Silence.IRRELEVANT
    return Aftermath(None, aftermath.id_of(thing.get("payment_intent")), dispute.charge_id, dispute, cause)


def _of_booking(event: Mapping[str, Any]) -> Aftermath | Silence:
    """Return that a charge's fee can be asked for, where its balance transaction is known; whichever the version."""
    thing = _object(event)
    payment_id, intent_id = payment_id_of(thing), aftermath.id_of(thing.get("payment_intent"))
    charge_id = aftermath.id_of(thing)
    if thing.get("balance_transaction") is None or charge_id is None:
        return Silence.IRRELEVANT
    if payment_id is None and intent_id is None:
        return Silence.FOREIGN
    return Aftermath(payment_id, intent_id, charge_id, Hint.BOOKED, Cause(Source.NOTICE, _text(event, "id")))


def _hint_at_refunds(thing: Mapping[str, Any]) -> Word | Silence:
    """Return whose refunds an event is about: its object is the refund, or the charge itself."""
    named = thing.get("charge" if thing.get("object") == "refund" else "id")
    charge_id, intent_id = (one if isinstance(one, str) else None for one in (named, thing.get("payment_intent")))
    payment_id = payment_id_of(thing)
    if (payment_id, intent_id, charge_id) == (None, None, None):
        return Silence.FOREIGN
    return Word(payment_id, intent_id, charge_id, None, refunds=True)


def payment_id_of(thing: Mapping[str, Any]) -> UUID | None:
    """Return the payment our metadata names; both spellings are ours (the charges driver writes ``paymentId``)."""
    metadata = thing.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    text = metadata.get("payment_id") or metadata.get("paymentId")
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _object(event: Mapping[str, Any]) -> Mapping[str, Any]:
    wrapped = event.get("data")
    thing = wrapped.get("object") if isinstance(wrapped, Mapping) else None
    if not isinstance(thing, Mapping):
        raise NotAnEvent("it carries no object")
    return thing


def _object_id(event: Mapping[str, Any]) -> str | None:
    try:
        found = _object(event).get("id")
    except NotAnEvent:
        return None
    return _storable(found)[:LONGEST_ID] if isinstance(found, str) else None


def _text(event: Mapping[str, Any], field: str) -> str:
    value = event.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        raise NotAnEvent(f"its {field} is missing or no proper text")
    return _storable(value)


def _storable(text: str) -> str:
    """Return the text with NUL made visible: PostgreSQL keeps every character but that one."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")
