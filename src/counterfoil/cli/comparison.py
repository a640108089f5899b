"""Our record of payments beside the processor's: the same set, and of each the same state and money."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from counterfoil.store.reading import PaymentView

STATES: Final[Mapping[str, str]] = {
    "requires_payment_method": "failed",
    "requires_confirmation": "requested",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "authorized",
    "succeeded": "succeeded",
    "canceled": "canceled",
}
"""What a PaymentIntent's status means in our words, once nothing more is being done for the payment.

Source: Stripe, "How PaymentIntents work". A decline leaves an intent at `requires_payment_method`.
"""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side has on record of one payment; amounts in minor units, `captured_charges` by their ids."""

    intent_id: str | None
    amount: int
    currency: str
    state: str
    amount_captured: int
    captured_charges: tuple[str, ...]


def from_api(payment: Mapping[str, Any]) -> Side:
    """Return what `GET /payments` shows of a payment."""
    return Side(
        intent_id=payment["payment_intent_id"],
        amount=payment["amount"],
        currency=payment["currency"],
        state=payment["status"],
        amount_captured=payment["amount_captured"],
        captured_charges=_captured((attempt["state"], attempt["charge_id"]) for attempt in payment["attempts"]),
    )


def from_row(row: "PaymentView") -> Side:
    """Return what our tables hold of a payment."""
    return Side(
        intent_id=row.intent_id,
        amount=row.amount,
        currency=row.currency,
        state=row.state,
        amount_captured=row.amount_captured,
        captured_charges=_captured((attempt.state, attempt.charge_id) for attempt in row.attempts),
    )


def from_stripe(intent: Mapping[str, Any], charges: Iterable[Mapping[str, Any]]) -> Side:
    """Return what the processor holds: a PaymentIntent, and those of the charges that are its own."""
    captured = [
        charge
        for charge in charges
        if charge["payment_intent"] == intent["id"] and charge["captured"] and charge["status"] == "succeeded"
    ]
    return Side(
        intent_id=intent["id"],
        amount=intent["amount"],
        currency=intent["currency"].upper(),
        state=STATES[intent["status"]],
        amount_captured=sum(charge["amount_captured"] for charge in captured),
        captured_charges=tuple(sorted(charge["id"] for charge in captured)),
    )


def differences(ours: Mapping[str, Side], theirs: Iterable[tuple[str, Side]], name: str) -> list[str]:
    """Return a sentence for each way in which the two sides disagree, none if they agree.

    `ours` is by payment id, and so are the pairs of `theirs`, where a second one of the same payment is a difference
    by itself: more than one captured charge of a payment is what must never be. `name` says which record of ours.
    """
    found = []
    seen: dict[str, Side] = {}
    for payment_id, their in theirs:
        if payment_id in seen:
            found.append(
                f"{payment_id}: Stripe has two PaymentIntents, {seen[payment_id].intent_id} and {their.intent_id}"
            )
        seen[payment_id] = their
    found += [f"{payment_id}: at Stripe, and not in {name}" for payment_id in seen.keys() - ours.keys()]
    found += [f"{payment_id}: in {name}, and not at Stripe" for payment_id in ours.keys() - seen.keys()]
    for payment_id in ours.keys() & seen.keys():
        our, their = ours[payment_id], seen[payment_id]
        for field in fields(Side):
            here, there = getattr(our, field.name), getattr(their, field.name)
            if here != there:
                found.append(f"{payment_id}: {field.name} is {here!r} in {name} and {there!r} at Stripe")
        if len(their.captured_charges) != (their.state == "succeeded"):
            found.append(
                f"{payment_id}: it is {their.state} and has {len(their.captured_charges)} captured charges at Stripe"
            )
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Sendings:
    """What the processor logged of one payment's requests: their key, their bodies as sent, and the charges it made."""

    key: str
    bodies: tuple[str, ...]
    charges: tuple[str, ...]

    @property
    def is_charged_once(self) -> bool:
        """Whether one request was sent again, unchanged, and one charge came of it."""
        return len(self.bodies) > 1 and len(set(self.bodies)) == 1 and len(self.charges) == 1

    def sentence(self) -> str:
        """Return how often it was sent, and how often charged, with what shows it."""
        alike = "the same bytes" if len(set(self.bodies)) == 1 else "not the same bytes"
        told = f"sent {_times(len(self.bodies))} and charged {_times(len(self.charges))}"
        return ", ".join([f"{told}: {alike} under the key {self.key}", *self.charges])


def sendings(
    key: str, payment_id: str, requests: Iterable[Mapping[str, Any]], charges: Iterable[Mapping[str, Any]]
) -> Sendings:
    """Return what the processor logged under a key, and every charge that bears our payment's id, failed ones too."""
    return Sendings(
        key=key,
        bodies=tuple(request["body"] for request in requests),
        charges=tuple(sorted(charge["id"] for charge in charges if charge["metadata"].get("payment_id") == payment_id)),
    )


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _captured(attempts: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    return tuple(sorted(charge_id or "?" for state, charge_id in attempts if state == "captured"))
