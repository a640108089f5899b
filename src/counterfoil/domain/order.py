"""A payment order: what the client wishes, before anything was done about it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from counterfoil.domain.money import Money
from counterfoil.domain.payment import CaptureMethod

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Item:
    """Something ordered: what and how many."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Mandate:
    """The customer's consent to a debit: an id the processor knows, or when and from where it was given."""

    id: str | None = None
    accepted_at: datetime | None = None
    ip_address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Who a customer of ours is at the processor, and what they pay with when their order does not say."""

    processor_customer_id: str
    default_method: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """What the client wishes.

    ``payment_method`` is the processor's name of the method to charge; None where the order names none and none was
    settled on yet. ``method_named`` is False where it is a default. ``processor_customer_id`` is who the customer is
    there, if they are linked. ``traceparent`` says which trace it came with; it is no part of what is wished.
    """

    event_id: str
    order_id: str
    money: Money
    payment_method: str | None
    customer_id: str | None = None
    customer_email: str | None = None
    items: Sequence[Item] = ()
    locale: str | None = None
    off_session: bool = False
    mandate: Mandate | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    return_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    method_named: bool = True
    processor_customer_id: str | None = None
    traceparent: str | None = None

    @property
    def method(self) -> str:
        """The method to charge, once one was settled on."""
        assert self.payment_method is not None, "whoever asks for the money has settled on a method"
        return self.payment_method

    def settled(self, link: Link | None, default_method: str | None) -> "Order":
        """Return the order as it is charged: the customer's default, else the other one, where it names no method."""
        linked = replace(self, processor_customer_id=link.processor_customer_id) if link is not None else self
        if self.payment_method is not None:
            return linked
        default = (link.default_method if link is not None else None) or default_method
        return replace(linked, payment_method=default, method_named=False)

    def fingerprint(self) -> bytes:
        """Return 32 bytes that are the same for every order that means the same payment.

        It covers order, amount, currency, customer, method and capture method: an event id that comes again with
        another of these was reused by mistake. The order of keys and the white space of what was sent do not count,
        nor does which method was the default: that may be another one when the order comes again.
        """
        meant = [
            self.order_id,
            self.money.amount,
            self.money.currency,
            self.customer_id,
            self.payment_method if self.method_named else None,
            self.capture_method,
        ]
        return hashlib.sha256(json.dumps(meant, separators=(",", ":")).encode()).digest()
