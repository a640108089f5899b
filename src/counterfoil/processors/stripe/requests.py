"""What goes to Stripe, to the letter.

A request is stored before it is sent, in a canonical form that names the call and its parameters; the SDK turns equal
parameters into equal bytes, so a stored request sent again is the same request to Stripe's idempotency layer.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from counterfoil.domain.errors import MethodRefused
from counterfoil.domain.order import Mandate, Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.refunding import Repayment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import MOST_NUMBERED

API_VERSION: Final = "2024-06-20"
"""Sent with every call; the line of the SDK that we use is pinned to it, and so are the shapes we read."""

LONGEST_KEY: Final = 200
"""Stripe takes keys of up to 255 characters; the rest is room for what is appended (``:capture:1``, ``:refund:…``)."""

CHARGE: Final = "charge"
TAKE: Final = "take"
RELEASE: Final = "release"
"""The calls of the older API, as stored requests name them."""

CHARGEABLE: Final = ("tok_", "card_", "src_")
"""What the older API charges: tokens, cards of customers, and sources. It knows no 3-D Secure."""

HOLDING: Final = frozenset(
    {
        "affirm",
        "afterpay_clearpay",
        "amazon_pay",
        "card",
        "cashapp",
        "klarna",
        "link",
        "mobilepay",
        "paypal",
        "revolut_pay",
    },
)
"""Kinds of methods on which Stripe places a hold ("Place a hold on a payment method"); no bank debit is among them."""

_HASHED: Final = "sha256:"

_APPENDED: Final = re.compile(r":(\d{1,2}|capture:\d{1,2}|cancel:\d{1,2}|refund:.*)\Z", re.DOTALL)
"""What we append to an event's key, and MOST_NUMBERED keeps so short. An event id that ends like this would share its
keys with another event's."""


STRIPES_REASONS: Final = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
"""What Stripe takes as the reason of a refund ("Create a refund"); any other stays with us."""

_REASONS: Final = {"CUSTOMER_REQUESTED": "requested_by_customer"}
"""A cancelled order's reason in Stripe's words. FRAUD is not among them: Stripe would block card and address."""


def create_and_confirm(payment_id: UUID, order: Order, kind: str, return_url: str | None, number: int = 1) -> Request:
    """Return the request that creates the payment's PaymentIntent and confirms it: attempt 1, or the first to make one.

    Args:
        payment_id: ours; it goes into the metadata, so that a notice finds its payment.
        order: what the client wishes.
        kind: the payment method's type, in Stripe's words (``card``, ``us_bank_account``).
        return_url: where the customer comes back to after a redirect; None for an off-session payment.
        number: of the attempt; above 1 only where no attempt before it made an intent.
    """
    parameters: dict[str, Any] = {
        "amount": order.money.amount,
        "currency": order.money.stripe_currency,
        "capture_method": order.capture_method.value,
        "confirm": True,
        "metadata": {
            **order.metadata,
            "payment_id": str(payment_id),
            "order_id": order.order_id,
            "event_id": order.event_id,
        },
        **_paid_by(order, kind, return_url),
        **_answered_with(order),
    }
    if order.processor_customer_id is not None:
        parameters["customer"] = order.processor_customer_id
    elif order.customer_id is not None and order.customer_id.startswith("cus_"):
        parameters["customer"] = order.customer_id
    return Request(_key_of_attempt(order.event_id, number), _canonical({"call": "create", "parameters": parameters}))


def confirm(intent_id: str, number: int, order: Order, kind: str, return_url: str | None) -> Request:
    """Return the request that confirms the payment's PaymentIntent once more: attempt ``number``, from 2 on.

    The intent keeps amount, currency and metadata from the first; only how it is paid is said anew.
    """
    assert number > 1, "attempt 1 creates its intent"
    parameters = {**_paid_by(order, kind, return_url), **_answered_with(order)}
    said = {"call": "confirm", "intent": intent_id, "parameters": parameters}
    return Request(_key_of_attempt(order.event_id, number), _canonical(said))


def cancel(intent_id: str, event_id: str, number: int) -> Request:
    """Return the request that lets the payment's PaymentIntent go; ``number`` counts such requests of this payment."""
    assert number <= MOST_NUMBERED
    said = {"call": "cancel", "intent": intent_id, "parameters": {"cancellation_reason": "abandoned"}}
    return Request(f"{key_for(event_id)}:cancel:{number}", _canonical(said))


def capture(intent_id: str, event_id: str, number: int, amount: int) -> Request:
    """Return the request that takes so much, in minor units, of what the payment's PaymentIntent holds.

    The rest is let go with it. ``number`` counts such requests of this payment.
    """
    assert number <= MOST_NUMBERED
    said = {"call": "capture", "intent": intent_id, "parameters": {"amount_to_capture": amount}}
    return Request(f"{key_for(event_id)}:capture:{number}", _canonical(said))


def refund(repayment: Repayment) -> Request:
    """Return the request that gives back what the payment's charge took, or its PaymentIntent where that is unknown."""
    assert repayment.charge_id or repayment.intent_id, "what was paid has a name at Stripe"
    parameters: dict[str, Any] = {
        **({"charge": repayment.charge_id} if repayment.charge_id else {"payment_intent": repayment.intent_id}),
        "amount": repayment.amount,
        "metadata": {
            "payment_id": str(repayment.payment_id),
            "order_id": repayment.order_id,
            "event_id": repayment.event_id,
            "refund_id": str(repayment.refund_id),
            **({"request_key": repayment.request_key} if repayment.request_key else {}),
        },
    }
    reason = _REASONS.get(repayment.reason or "", repayment.reason)
    if reason in STRIPES_REASONS:
        parameters["reason"] = reason
    key = f"{key_for(repayment.event_id)}:refund:{repayment.refund_id}"
    return Request(key, _canonical({"call": "refund", "parameters": parameters}))


def forgotten(event_id: str, *, by_charge: bool) -> Request:
    """Return what is known of the request for a first attempt that was made, and forgotten here since.

    It is on record so that its key is not used for anything else, and is never sent.
    """
    return Request(key_for(event_id), _canonical({"call": CHARGE if by_charge else "create", "parameters": {}}))


def key_for(event_id: str) -> str:
    """Return the idempotency key of an order event: itself, or its hash where nothing could be appended to it.

    That is so where it is too long, and where it looks like a key with something appended already, or like a hash.
    """
    if len(event_id) <= LONGEST_KEY and not _APPENDED.search(event_id) and not event_id.startswith(_HASHED):
        return event_id
    return _HASHED + hashlib.sha256(event_id.encode()).hexdigest()


def _key_of_attempt(event_id: str, number: int) -> str:
    assert number <= MOST_NUMBERED
    return key_for(event_id) if number == 1 else f"{key_for(event_id)}:{number}"


def charge(payment_id: UUID, order: Order, number: int) -> Request:
    """Return the request that makes a charge by itself, without an intent: attempt ``number`` by the older API.

    Raises:
        MethodRefused: the older API cannot charge this method, or not without its customer.
    """
    method, owner = order.method, order.processor_customer_id
    if not method.startswith(CHARGEABLE):
        raise MethodRefused(f"must be one of {', '.join(f'{prefix}…' for prefix in CHARGEABLE)} with charges")
    if owner is None and order.customer_id is not None and order.customer_id.startswith("cus_"):
        owner = order.customer_id
    if owner is None and method.startswith("card_"):
        raise MethodRefused("is a customer's card: name its customer, cus_…, as customer_id, or link yours to one")
    parameters: dict[str, Any] = {
        "amount": order.money.amount,
        "currency": order.money.stripe_currency,
        "capture": order.capture_method is CaptureMethod.AUTOMATIC,
        "source": method,
        "description": f"Order {order.order_id}",
        "metadata": {
            **order.metadata,
            "payment_id": str(payment_id),
            "paymentId": str(payment_id),
            "order_id": order.order_id,
            "event_id": order.event_id,
        },
    }
    if owner is not None and not method.startswith("tok_"):  # a token is nobody's yet
        parameters["customer"] = owner
    return Request(_key_of_attempt(order.event_id, number), _canonical({"call": CHARGE, "parameters": parameters}))


def take(charge_id: str, event_id: str, number: int, amount: int) -> Request:
    """Return the request that takes so much, in minor units, of what a charge holds; ``number`` counts these."""
    assert number <= MOST_NUMBERED
    said = {"call": TAKE, "charge": charge_id, "parameters": {"amount": amount}}
    return Request(f"{key_for(event_id)}:capture:{number}", _canonical(said))


def release(charge_id: str, event_id: str, number: int) -> Request:
    """Return the request that lets a charge's hold go, which is to refund it; ``number`` counts such requests."""
    assert number <= MOST_NUMBERED
    said = {"call": RELEASE, "charge": charge_id, "parameters": {"charge": charge_id}}
    return Request(f"{key_for(event_id)}:cancel:{number}", _canonical(said))


@dataclass(frozen=True, slots=True)
class Call:
    """A stored request, read back: the call it makes, with which parameters, and on which intent or charge."""

    name: str
    intent_id: str | None
    parameters: dict[str, Any]


def call_of(request: Request) -> Call:
    """Return the call that a stored request makes."""
    stored = json.loads(request.body)
    return Call(stored["call"], stored.get("intent") or stored.get("charge"), stored["parameters"])


def _paid_by(order: Order, kind: str, return_url: str | None) -> dict[str, Any]:
    presence = {"off_session": True} if order.off_session else {"return_url": return_url}
    return {
        "payment_method_types": [kind],
        **_method(order.method),
        **_mandate(order.mandate),
        **presence,
    }


def _answered_with(order: Order) -> dict[str, Any]:
    """Have the answer tell until when the money is held: that stands in the charge, of which it else gives the id."""
    return {"expand": ["latest_charge"]} if order.capture_method is CaptureMethod.MANUAL else {}


def _method(method: str) -> dict[str, Any]:
    if method.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": method}}}
    return {"payment_method": method}


def _mandate(mandate: Mandate | None) -> dict[str, Any]:
    if mandate is None:
        return {}
    if mandate.id is not None:
        return {"mandate": mandate.id}
    acceptance: dict[str, Any] = {
        "type": "online",
        "online": {"ip_address": mandate.ip_address, "user_agent": mandate.user_agent},
    }
    if mandate.accepted_at is not None:
        acceptance["accepted_at"] = int(mandate.accepted_at.timestamp())
    return {"mandate_data": {"customer_acceptance": acceptance}}


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
