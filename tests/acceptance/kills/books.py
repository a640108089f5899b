"""The books of both sides after all is over: what must be true of every payment, whatever was killed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from counterfoil.cli.comparison import Side, differences, from_stripe

FACTS: Mapping[str, tuple[str, ...]] = {
    "succeeded": ("PaymentRequested", "PaymentSucceeded"),
    "failed": ("PaymentRequested", "PaymentFailed"),
    "requires_action": ("PaymentRequested", "PaymentActionRequired"),
}
"""What is said of a payment that came to such an end (or, with 3-D Secure left open, to such a rest): each once."""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment as it stands in the record."""

    id: UUID
    event_id: str
    version: int
    side: Side


@dataclass(frozen=True, slots=True)
class FactRow:
    """A fact as it stands in the record."""

    payment_id: UUID
    version: int
    name: str
    published: bool


@dataclass(frozen=True, slots=True)
class Books:
    """Our payments and facts, and the processor's PaymentIntents and charges as its `/v1` lists them."""

    payments: Sequence[PaymentRow]
    facts: Sequence[FactRow]
    intents: Sequence[Mapping[str, Any]]
    charges: Sequence[Mapping[str, Any]]

    def faults(self, expected: Mapping[str, str]) -> list[str]:
        """Return a sentence for each thing that is not as it must be; `expected` is the state of each order's event."""
        rows = {str(payment.id): payment.side for payment in self.payments}
        theirs = [(_payment_of(intent), from_stripe(intent, self.charges)) for intent in self.intents]
        return sorted(
            [
                *differences(rows, theirs, "our rows"),
                *self._payments_at_fault(expected),
                *self._charges_at_fault(),
                *self._facts_at_fault(),
            ]
        )

    def _payments_at_fault(self, expected: Mapping[str, str]) -> Iterable[str]:
        states: dict[str, list[str]] = {}
        for payment in self.payments:
            states.setdefault(payment.event_id, []).append(payment.side.state)
        for event, state in expected.items():
            if states.get(event) != [state]:
                yield f"{event}: is {states.get(event)} and should be one payment, {state}"

    def _charges_at_fault(self) -> Iterable[str]:
        charged: dict[str, list[tuple[int, str]]] = {}
        for charge in self.charges:
            if charge["captured"] and charge["status"] == "succeeded":
                told = (charge["amount_captured"], charge["currency"].upper())
                charged.setdefault(_payment_of(charge), []).append(told)
        for payment in self.payments:
            due = [(payment.side.amount, payment.side.currency)] if payment.side.state == "succeeded" else []
            found = charged.get(str(payment.id), [])
            if found != due:
                yield f"{payment.id}: {payment.side.state}, and its charges at Stripe are {found}"

    def _facts_at_fault(self) -> Iterable[str]:
        said = {key: list(facts) for key, facts in groupby(self.facts, key=lambda fact: fact.payment_id)}
        for payment in self.payments:
            facts = said.get(payment.id, [])
            names = tuple(fact.name for fact in facts)
            if [fact.version for fact in facts] != list(range(1, payment.version + 1)):
                yield f"{payment.id}: is at version {payment.version}, its facts at {[one.version for one in facts]}"
            if names != FACTS.get(payment.side.state):
                yield f"{payment.id}: {payment.side.state}, and what was said of it is {names}"
            if not all(fact.published for fact in facts):
                yield f"{payment.id}: not all that was said is published"


def _payment_of(thing: Mapping[str, Any]) -> str:
    """Return which payment of ours an object of the processor's names, else its own id."""
    named: str = thing["metadata"].get("payment_id", thing["id"])
    return named
