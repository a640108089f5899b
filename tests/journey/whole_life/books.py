"""The books of both sides: what must be true of them at every commit, and what when all is over."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from counterfoil.domain.facts import ON_ENTERING
from counterfoil.domain.states import ATTEMPT_MOVES, FINAL, AttemptState, Ignored, PaymentState
from counterfoil.store.pool import Pool
from stripe_sandbox.sandbox import Sandbox

Row = Mapping[str, Any]

KEY_LIFE_SECONDS: Final = 23 * 3600
"""Stripe may forget a key after a day. Said here once more, so that whoever lets keys live longer is found out."""

_TABLES: Final = {
    "payments": "SELECT * FROM payments ORDER BY id",
    "attempts": "SELECT payment_id, number, state, charge_id FROM attempts ORDER BY payment_id, number",
    "facts": "SELECT payment_id, version, name, body::text, cause_reference FROM facts ORDER BY payment_id, version",
    "refunds": "SELECT id, payment_id, amount, state, processor_id FROM refunds ORDER BY id",
    "disputes": "SELECT id, payment_id, amount, status, funds FROM disputes ORDER BY id",
    "effects": "SELECT payment_id, kind, state FROM effects",
    "cancelled": "SELECT order_id FROM order_cancellations",
}

_MAY_BE: Final[Mapping[str, frozenset[str]]] = {
    "captured": frozenset({"succeeded"}),
    "authorized": frozenset({"authorized"}),
    "requires_action": frozenset({"requires_action"}),
    "processing": frozenset({"processing", "in_doubt"}),
    "sent": frozenset({"processing", "in_doubt"}),
}
"""How a payment may stand whose foremost attempt stands so."""

_ENDED: Final[Mapping[str, frozenset[str]]] = {
    "declined": frozenset({"failed", "processing"}),
    "canceled": frozenset({"canceled", "processing"}),
    "queued": frozenset({"requested", "screening", "processing"}),
}
"""The same, by the last attempt, where none of those above is left; it is processing where a retry is ahead."""


def _reachable() -> frozenset[tuple[str, str]]:
    """Every pair of states between which the table of attempts leads, in one move or in several."""
    pairs = {(one.value, one.value) for one in AttemptState}
    pairs |= {(a.value, b.value) for (a, _), b in ATTEMPT_MOVES.items() if not isinstance(b, Ignored)}
    while True:
        further = {(a, d) for (a, b), (c, d) in product(pairs, pairs) if b == c} - pairs
        if not further:
            return frozenset(pairs)
        pairs |= further


_MOVES: Final = _reachable()


@dataclass(slots=True)
class History:
    """What the facts of a payment come to, told again from the first."""

    captured: int = 0
    refunds: dict[str, tuple[str, int]] = field(default_factory=dict)
    disputes: dict[str, tuple[str, int]] = field(default_factory=dict)
    said: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, facts: Iterable[Row]) -> "History":
        """Return the history that these facts tell, in order."""
        told = cls()
        for fact in facts:
            body = json.loads(fact["body"])
            about = body.get("refundId") or body.get("disputeId", "")
            told.said[fact["name"], str(about) + body.get("status", "") + body.get("direction", "")] += 1
            match fact["name"]:
                case "PaymentSucceeded":
                    told.captured = body["amount"]
                case "RefundRequested" | "RefundProcessed" | "RefundFailed" as name:
                    told.refunds[about] = (name, body["amount"])
                case "PaymentDisputed":
                    told.disputes[about] = (body["status"], body["amount"])
        return told

    @property
    def refunded(self) -> int:
        """What was given back, in minor units."""
        return sum(amount for name, amount in self.refunds.values() if name == "RefundProcessed")

    @property
    def withdrawn(self) -> int:
        """What disputes hold back, or have taken."""
        return sum(amount for status, amount in self.disputes.values() if status != "won")


@dataclass(frozen=True, slots=True)
class Books:
    """Our tables, and the objects and requests of Stripe's, at one moment."""

    ours: Mapping[str, Sequence[Row]] = field(default_factory=lambda: dict.fromkeys(_TABLES, ()))
    theirs: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    requests: Sequence[Any] = ()

    @property
    def payments(self) -> Sequence[Row]:
        """Our payments, the oldest first."""
        return self.ours["payments"]

    def of(self, table: str, payment: Row) -> list[Row]:
        """Return the rows of a table that belong to a payment."""
        return [row for row in self.ours[table] if row["payment_id"] == payment["id"]]

    def charges(self, payment: Row) -> list[Row]:
        """Return the charges at Stripe that are a payment's."""
        return [one for one in self.theirs["charges"] if one["metadata"].get("payment_id") == str(payment["id"])]

    def money(self, payment: Row) -> list[Row]:
        """Return those of them that took money."""
        return [one for one in self.charges(payment) if one["captured"] and one["status"] == "succeeded"]

    def given_back(self, payment: Row, *statuses: str) -> int:
        """Return how much Stripe gave back of a payment, by refunds of these statuses."""
        charges = {one["id"] for one in self.charges(payment)}
        return sum(one["amount"] for one in self._repaid() if one["charge"] in charges and one["status"] in statuses)

    def _repaid(self) -> list[Row]:
        """Return the refunds at Stripe that moved money; what it let go of a hold is none."""
        return [one for one in self.theirs["refunds"] if one["balance_transaction"] is not None]

    def faults(self, before: "Books") -> list[str]:
        """Return a sentence for everything that must never be, now or since the commit ``before``."""
        return [
            *(f"{one['event_id']}: {why}" for one in self.payments for why in self._payment_at_fault(one)),
            *self._moves_at_fault(before),
            *self._requests_at_fault(),
        ]

    def _payment_at_fault(self, payment: Row) -> Iterator[str]:
        history = History.of(self.of("facts", payment))
        yield from self._standing_at_fault(payment)
        yield from self._facts_at_fault(payment, history)
        captured, refunded, reserved = (
            payment[f"amount_{name}"] for name in ("captured", "refunded", "refund_reserved")
        )
        open_refunds = [one for one in self.of("refunds", payment) if one["state"] in ("requested", "pending")]
        if min(captured, refunded, reserved) < 0 or refunded + reserved > captured:
            yield f"took {captured}, gave back {refunded} and is to give back {reserved}"
        if reserved > sum(one["amount"] for one in open_refunds):
            yield f"reserves {reserved}, and its open refunds are {[one['amount'] for one in open_refunds]}"
        if (captured, refunded) != (history.captured, min(captured, history.refunded)):
            yield f"has {captured, refunded}, and its facts come to {history.captured, history.refunded}"
        gone = sum(one["amount"] for one in self.of("disputes", payment) if one["funds"] == "withdrawn")
        if gone != history.withdrawn:
            yield f"its disputes took {gone}, by its facts {history.withdrawn}"
        money = self.money(payment)
        if len(money) > 1:
            yield f"was charged {len(money)} times"
        taken = sum(one["amount_captured"] for one in money)
        if captured not in (0, taken) or (captured > 0) != (payment["state"] == "succeeded"):
            yield f"is {payment['state']} with {captured}, and Stripe took {taken}"
        if taken and payment["state"] in ("failed", "canceled"):
            yield f"is {payment['state']}, and Stripe took {taken}"
        if self.given_back(payment, "succeeded", "pending") > taken:
            yield f"gave back more than the {taken} that Stripe took"
        if refunded > self.given_back(payment, "succeeded", "pending", "failed", "canceled"):
            yield f"says that {refunded} went back, and Stripe never gave so much"

    def _standing_at_fault(self, payment: Row) -> Iterator[str]:
        states = [one["state"] for one in self.of("attempts", payment)]
        foremost = next((may for state, may in _MAY_BE.items() if state in states), None)
        if payment["state"] not in (foremost or _ENDED[states[-1]]):
            yield f"is {payment['state']}, and its attempts are {states}"
        if payment["next_check_at"] is None and PaymentState(payment["state"]) not in FINAL:
            yield f"is {payment['state']} and waits for nothing"

    def _facts_at_fault(self, payment: Row, history: History) -> Iterator[str]:
        facts = self.of("facts", payment)
        versions = [one["version"] for one in facts]
        if versions != list(range(1, payment["version"] + 1)):
            yield f"is at version {payment['version']}, its facts at {versions}"
        if not all(one["cause_reference"] for one in facts):
            yield "says something without a cause"
        names = [one["name"] for one in facts if one["name"] in ON_ENTERING.values()]
        entered = ON_ENTERING.get(PaymentState(payment["state"]))
        if entered is not None and names[-1:] != [entered]:
            yield f"is {payment['state']}, and what was said last of it is {names[-1:]}"
        twice = [key for key, times in history.said.items() if times > 1 and key[0] in _ONCE]
        if twice:
            yield f"says twice {twice}"

    def _moves_at_fault(self, before: "Books") -> Iterator[str]:
        """Tell what moved that may not: attempts against their table, a success that ends, versions that fall."""
        was = {(one["payment_id"], one["number"]): one["state"] for one in before.ours["attempts"]}
        for one in self.ours["attempts"]:
            state = was.get((one["payment_id"], one["number"]), "queued")
            if (state, one["state"]) not in _MOVES:
                yield f"attempt {one['number']} went from {state} to {one['state']}"
        stood = {one["id"]: one for one in before.payments}
        for payment in self.payments:
            earlier = stood.get(payment["id"], payment)
            if earlier["state"] == "succeeded" != payment["state"]:
                yield f"{payment['event_id']}: had its money and is {payment['state']}"
            if earlier["state"] != payment["state"] and earlier["version"] == payment["version"]:
                came = (earlier["state"], payment["state"])
                if came not in _UNSAID:
                    yield f"{payment['event_id']}: went from {came[0]} to {came[1]} without a word"
            if earlier["version"] > payment["version"]:
                yield f"{payment['event_id']}: unsaid what was said"

    def _requests_at_fault(self) -> Iterator[str]:
        """Tell what was sent under a key too old, or differently under the same key."""
        sent: dict[str, list[Any]] = defaultdict(list)
        for one in self.requests:
            if one.method == "POST" and one.idempotency_key is not None:
                sent[one.idempotency_key].append(one)
        for key, requests in sent.items():
            if len({(one.path, one.body) for one in requests}) > 1:
                yield f"{key}: two different requests"
            if requests[-1].received_at - requests[0].received_at >= KEY_LIFE_SECONDS:
                yield f"{key}: sent again after its life"

    def left_over(self) -> list[str]:
        """Return a sentence for everything that must not be once all was heard and nothing is due."""
        unwanted = {one["order_id"] for one in self.ours["cancelled"]}
        return [
            *(f"{one['event_id']}: {why}" for one in self.payments for why in self._ends_at_fault(one)),
            *(f"{one['event_id']}: {why}" for one in self.payments for why in self._kept(one, unwanted)),
            *self._refunds_apart(),
            *self._disputes_apart(),
            *(f"{one['kind']} is still waiting" for one in self.ours["effects"] if one["state"] == "waiting"),
        ]

    def _ends_at_fault(self, payment: Row) -> Iterator[str]:
        if PaymentState(payment["state"]) not in FINAL:
            yield f"never ends; it is {payment['state']}"
        held = [one["id"] for one in self.charges(payment) if _is_held(one)]
        if held:
            yield f"still holds {held}"
        taken = sum(one["amount_captured"] for one in self.money(payment))
        if payment["amount_captured"] != taken:
            yield f"has {payment['amount_captured']}, and Stripe took {taken}"
        back = self.given_back(payment, "succeeded")
        if (payment["amount_refunded"], payment["amount_refund_reserved"]) != (back, 0):
            yield f"gave back {payment['amount_refunded']}, and Stripe {back}"
        kinds = {one["kind"] for one in self.of("effects", payment)}
        wanted = (
            {"receipt", "stock_decrement"} if payment["state"] == "succeeded" else {"customer_notice", "stock_release"}
        )
        if not wanted <= kinds:
            yield f"is {payment['state']}, and of what follows there is only {sorted(kinds)}"

    def _kept(self, payment: Row, unwanted: set[str]) -> Iterator[str]:
        """Tell of the money of a cancelled order that nobody took and of which nobody knows that it could not go."""
        left = payment["amount_captured"] - self.given_back(payment, "succeeded")
        failed = any(one["state"] == "failed" for one in self.of("refunds", payment))
        lost = any(one["status"] != "won" for one in self.of("disputes", payment))
        if payment["order_id"] in unwanted and left > 0 and not failed and not lost:
            yield f"keeps {left} of a cancelled order"

    def _refunds_apart(self) -> Iterator[str]:
        ours = {one["processor_id"]: one for one in self.ours["refunds"] if one["processor_id"] is not None}
        for one in self._repaid():
            known = ours.pop(one["id"], None)
            state = {"succeeded": "processed", "failed": "failed", "canceled": "failed"}.get(one["status"])
            if known is None or (known["state"], known["amount"]) != (state, one["amount"]):
                yield f"{one['id']}: is {one['status']}, and with us {known and known['state']}"
        for one in ours.values():
            yield f"{one['processor_id']}: is {one['state']} with us, and not at Stripe"
        for one in self.ours["refunds"]:
            if one["state"] in ("requested", "pending") or (one["processor_id"] is None and one["state"] != "failed"):
                yield f"{one['id']}: never ends; it is {one['state']}"

    def _disputes_apart(self) -> Iterator[str]:
        ours = {one["id"]: (one["status"], one["amount"]) for one in self.ours["disputes"]}
        theirs = {
            one["id"]: (_DISPUTED.get(one["status"], "opened"), one["amount"])
            for one in self.theirs["disputes"]
            if not one["status"].startswith("warning")
        }
        if ours != theirs:
            yield f"disputes are {ours}, and at Stripe {theirs}"


async def read(pool: Pool, sandbox: Sandbox) -> Books:
    """Return the books as they stand."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        ours = {name: [dict(row) for row in await connection.fetch(query)] for name, query in _TABLES.items()}
    account = sandbox.account()
    theirs = {name: list(getattr(account, name)) for name in ("charges", "refunds", "disputes")}
    return Books(ours, theirs, list(sandbox.log))


def _is_held(charge: Row) -> bool:
    return charge["status"] == "pending" or (
        charge["status"] == "succeeded" and not charge["captured"] and not charge["refunded"]
    )


_ONCE: Final = frozenset(
    {
        "PaymentSucceeded",
        "PaymentDisputed",
        "RefundRequested",
        "RefundProcessed",
        "RefundFailed",
        "InventoryAdjustmentRequested",
    }
)
"""What is said once of a payment, or of each of its refunds and disputes and of what the stock is asked for."""

_UNSAID: Final = frozenset(
    {
        ("screening", "requested"),
        ("requested", "processing"),
        ("screening", "processing"),
        ("in_doubt", "processing"),
        ("requires_action", "processing"),
    }
)
"""Ways that are no news to anybody: it goes on."""

_DISPUTED: Final = {"won": "won", "lost": "lost"}
