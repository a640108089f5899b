"""The books of both sides at the end: of each payment and each refund, what we have and what Stripe has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from counterfoil.cli.sides import BothSides

Thing = Mapping[str, Any]
"""An object as one side shows it."""

NEVER_SENT: Final = "never sent"
"""How a payment ended that Stripe was never asked for: it has nothing of it."""

_INTENT_ENDS: Final[Mapping[str, str]] = {
    "requires_payment_method": "declined",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "authorized",
    "succeeded": "captured",
    "canceled": "canceled",
}
"""What a PaymentIntent's status means for our last attempt with it."""

_REFUND_ENDS: Final[Mapping[str, str]] = {"pending": "pending", "succeeded": "processed", "failed": "failed"}

_KEPT_BACK: Final = frozenset({"needs_response", "under_review", "lost"})
"""A dispute's statuses in which the bank has the money; `warning_…` is an inquiry, and takes nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one side has of one payment, amounts in minor units.

    `outcome` is how the last attempt that was sent ended, `intents` which PaymentIntents there are, none where charges
    are made without; `is_paid` whether it succeeded, `charges` how many of its charges took money. `fee` is None where
    it is not known.
    """

    outcome: str
    intents: tuple[str, ...]
    currency: str
    is_paid: bool = False
    charges: int = 0
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    fee: int | None = None


@dataclass(frozen=True, slots=True)
class Back:
    """What one side has of one refund; `payment_id` is ours."""

    payment_id: str | None
    amount: int
    currency: str
    status: str


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that one side has: payments by our ids, refunds by Stripe's."""

    payments: Mapping[str, Entry]
    refunds: Mapping[str, Back]


@dataclass(frozen=True, slots=True)
class Difference:
    """A way in which the books disagree, and about which payment, where that is known."""

    payment_id: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Lists:
    """What Stripe lists."""

    intents: Sequence[Thing]
    charges: Sequence[Thing]
    refunds: Sequence[Thing]
    disputes: Sequence[Thing]
    transactions: Sequence[Thing]


@dataclass(frozen=True, slots=True)
class Read:
    """Both books as they were read, and our payments as the gateway shows each, by their ids."""

    payments: Mapping[str, Thing]
    ours: Books
    theirs: Books


_Row = TypeVar("_Row", Entry, Back)


async def read(sides: "BothSides") -> Read:
    """Read both books: our gateway's answers, payment by payment, and the sandbox's `/v1` lists."""
    payments = {one["payment_id"]: await sides.payment(one["payment_id"]) for one in await sides.payments()}
    lists = Lists(
        intents=await sides.stripe_list("payment_intents"),
        charges=await sides.stripe_list("charges"),
        refunds=await sides.stripe_list("refunds"),
        disputes=await sides.stripe_list("disputes"),
        transactions=await sides.stripe_list("balance_transactions"),
    )
    return Read(payments, of_ours(payments.values()), of_stripe(lists))


def of_ours(payments: Iterable[Thing]) -> Books:
    """Return our books: payments as the gateway shows each."""
    kept = list(payments)
    refunds = {
        one["processor_reference"] or one["refund_id"]: Back(
            payment["payment_id"], one["amount"], one["currency"], one["status"]
        )
        for payment in kept
        for one in payment["refunds"]
    }
    return Books({payment["payment_id"]: _our_entry(payment) for payment in kept}, refunds)


def of_stripe(lists: Lists) -> Books:
    """Return Stripe's books: everything it lists."""
    intents, charges = _by_owner(lists.intents), _by_owner(lists.charges)
    owners = {charge["id"]: owner for owner, of_owner in charges.items() for charge in of_owner}
    payments = {
        owner: _their_entry(intents.get(owner, []), charges.get(owner, []), lists)
        for owner in intents.keys() | charges.keys()
    }
    refunds = {
        one["id"]: Back(
            owners.get(one["charge"]),
            one["amount"],
            one["currency"].upper(),
            _REFUND_ENDS.get(one["status"], one["status"]),
        )
        for one in lists.refunds
        if _is_money(one)
    }
    return Books(payments, refunds)


def differences(ours: Books, theirs: Books) -> list[Difference]:
    """Return each way in which the books disagree, none if they agree.

    That Stripe has nothing of a payment that was never sent is as it has to be.
    """
    sent = {
        one: entry
        for one, entry in ours.payments.items()
        if one in theirs.payments or entry != Entry(NEVER_SENT, (), entry.currency)
    }
    found = [Difference(one, f"payment {one}: {told}") for one, told in _apart(sent, theirs.payments)]
    found += [
        Difference(one, f"payment {one}: {entry.charges} charges took its money")
        for one, entry in theirs.payments.items()
        if entry.charges > 1
    ]
    owners = {one: back.payment_id for books in (theirs, ours) for one, back in books.refunds.items()}
    found += [Difference(owners[one], f"refund {one}: {told}") for one, told in _apart(ours.refunds, theirs.refunds)]
    return sorted(found, key=lambda one: one.sentence)


def _apart(ours: Mapping[str, _Row], theirs: Mapping[str, _Row]) -> list[tuple[str, str]]:
    """Return what one side has and the other has not, or has otherwise: its id, and that in words."""
    return [
        *((one, "at Stripe, and not with us") for one in theirs.keys() - ours.keys()),
        *((one, "with us, and not at Stripe") for one in ours.keys() - theirs.keys()),
        *(
            (one, f"{field.name} is {here!r} with us and {there!r} at Stripe")
            for one in ours.keys() & theirs.keys()
            for field in fields(ours[one])
            if (here := getattr(ours[one], field.name)) != (there := getattr(theirs[one], field.name))
        ),
    ]


def _by_owner(things: Iterable[Thing]) -> dict[str, list[Thing]]:
    """Return objects by the payment of ours that their metadata names, else under their own ids."""
    found: dict[str, list[Thing]] = {}
    for thing in things:
        found.setdefault(thing["metadata"].get("payment_id") or thing["id"], []).append(thing)
    return found


def _our_entry(payment: Thing) -> Entry:
    sent = [attempt["state"] for attempt in payment["attempts"] if attempt["first_sent_at"] is not None]
    if sent and _was_let_go(payment):
        sent[-1] = "canceled"
    intent_id = payment["payment_intent_id"]
    return Entry(
        outcome=sent[-1] if sent else NEVER_SENT,
        intents=(intent_id,) if intent_id is not None and intent_id.startswith("pi_") else (),
        currency=payment["currency"],
        is_paid=payment["status"] == "succeeded",
        charges=sent.count("captured"),
        captured=payment["amount_captured"],
        refunded=payment["amount_refunded"],
        disputed=payment["amount_disputed"],
        fee=payment["fee"],
    )


def _was_let_go(payment: Thing) -> bool:
    """Whether fraud screening declined what was held: with us it failed, at Stripe its hold was canceled."""
    screening = payment["screening"]
    return payment["status"] == "failed" and screening is not None and screening["decision"] == "DECLINED"


def _their_entry(intents: Sequence[Thing], charges: Sequence[Thing], lists: Lists) -> Entry:
    """Return what Stripe has of one payment: its PaymentIntent, or with the older API nothing but charges."""
    taken = [charge for charge in charges if charge["status"] == "succeeded" and charge["captured"]]
    ids = {charge["id"] for charge in taken}
    fees = {one["id"]: one["fee"] for one in lists.transactions}
    booked = [fees.get(charge["balance_transaction"]) for charge in taken]
    known = [fee for fee in booked if fee is not None]
    return Entry(
        outcome=_INTENT_ENDS.get(intents[0]["status"], intents[0]["status"]) if intents else _end_of(charges[0]),
        intents=tuple(sorted(intent["id"] for intent in intents)),
        currency=(intents or charges)[0]["currency"].upper(),
        is_paid=bool(taken),
        charges=len(taken),
        captured=sum(charge["amount_captured"] for charge in taken),
        refunded=sum(
            one["amount"]
            for one in lists.refunds
            if one["charge"] in ids and _is_money(one) and one["status"] == "succeeded"
        ),
        disputed=sum(one["amount"] for one in lists.disputes if one["charge"] in ids and one["status"] in _KEPT_BACK),
        fee=sum(known) if known and len(known) == len(booked) else None,
    )


def _end_of(charge: Thing) -> str:
    """Return how a charge ended that no PaymentIntent made."""
    if charge["status"] != "succeeded":
        return "declined"
    if charge["captured"]:
        return "captured"
    return "canceled" if charge["refunded"] else "authorized"


def _is_money(refund: Thing) -> bool:
    """Whether a refund gives money back. What was let go of a hold is listed as one, too, without a transaction."""
    return refund["balance_transaction"] is not None
