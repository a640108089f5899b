"""A payment order: what the client wishes, before anything was done about it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
class Order:
    """What the client wishes. ``payment_method`` is the processor's name of the method to charge."""

    event_id: str
    order_id: str
    money: Money
    payment_method: str
    customer_id: str | None = None
    customer_email: str | None = None
    items: Sequence[Item] = ()
    locale: str | None = None
    off_session: bool = False
    mandate: Mandate | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    return_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def fingerprint(self) -> bytes:
        """Return 32 bytes that are the same for every order that means the same payment.

        It covers order, amount, currency, customer, method and capture method: an event id that comes again with
        another of these was reused by mistake. The order of keys and the white space of what was sent do not count.
        """
        meant = [
            self.order_id,
            self.money.amount,
            self.money.currency,
            self.customer_id,
            self.payment_method,
            self.capture_method,
        ]
        return hashlib.sha256(json.dumps(meant, separators=(",", ":")).encode()).digest()
