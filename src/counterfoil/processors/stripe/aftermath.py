"""What Stripe says of a payment after its outcome: its fee, and its disputes.

The fields are those of the API reference: the Charge, the Balance Transaction and the Dispute object.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from counterfoil.domain.errors import InvalidRequest
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Dispute, DisputeStatus, Funds

INQUIRIES: Final = frozenset({"warning_needs_response", "warning_under_review", "warning_closed"})
"""A bank asks before it takes anything ("How disputes work", inquiries). Should it take the money after all, the same
dispute goes on with another status."""

_STATUSES: Final[Mapping[str, DisputeStatus]] = MappingProxyType(
    {
        "needs_response": DisputeStatus.OPENED,
        "under_review": DisputeStatus.OPENED,
        "won": DisputeStatus.WON,
        "lost": DisputeStatus.LOST,
    }
)

_FUNDS: Final = (Funds.UNTOUCHED, Funds.WITHDRAWN, Funds.REINSTATED)
"""By how many balance transactions there are: "zero, one, or two"."""

_LONGEST_REASON: Final = 100
"""Stripe's reasons are a word or two with underscores; what is longer is cut."""

_MISREAD: Final = (
    AssertionError,
    AttributeError,
    InvalidRequest,
    KeyError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What reading raises where a field is of another kind than documented."""


class Undocumented(Exception):
    """An object is not what Stripe documents; ``str()`` says why without repeating what it holds."""


def dispute_of(thing: Mapping[str, Any]) -> Dispute | None:
    """Return what a Dispute says; None where it is an inquiry.

    Raises:
        Undocumented: a field is not what Stripe documents.
    """
    status = str(thing.get("status"))
    if status in INQUIRIES:
        return None
    if status not in _STATUSES:
        raise Undocumented("Stripe used a Dispute status this version does not know")
    try:
        moves = thing.get("balance_transactions") or ()
        charge_id = id_of(thing["charge"])
        reason = thing.get("reason")
        assert charge_id is not None
        return Dispute(
            id=_text(thing["id"]),
            status=_STATUSES[status],
            money=Money(thing["amount"], _text(thing["currency"])),
            charge_id=charge_id,
            opened_at=datetime.fromtimestamp(thing["created"], UTC),
            reason=None if reason is None else _text(reason)[:_LONGEST_REASON],
            funds=_FUNDS[min(len(moves), len(_FUNDS) - 1)],
            fee=_fee(moves),
        )
    except _MISREAD as error:
        raise Undocumented(f"its object is not what Stripe documents ({type(error).__name__})") from error


def fee_of(charge: Mapping[str, Any]) -> Money | None:
    """Return the fee of a charge whose balance transaction was asked for with it; None while Stripe has not booked it.

    Raises:
        Undocumented: a field is not what Stripe documents.
    """
    booked = charge.get("balance_transaction")
    if booked is None:
        return None
    try:
        return Money(booked["fee"], _text(booked["currency"]))
    except _MISREAD as error:
        raise Undocumented(f"its balance transaction is not what Stripe documents ({type(error).__name__})") from error


def id_of(reference: Any) -> str | None:
    """Return the id of something that Stripe gives as its id or, expanded, as the object; None where it gives none."""
    if isinstance(reference, Mapping):
        reference = reference.get("id")
    return reference if isinstance(reference, str) and reference else None


def _fee(moves: Any) -> Money | None:
    """Return what Stripe asks for the dispute itself: for taking the money, less what it gives back of that."""
    if not moves:
        return None
    return Money(max(sum(int(move["fee"]) for move in moves), 0), _text(moves[0]["currency"]))


def _text(value: Any) -> str:
    assert isinstance(value, str)
    assert value
    return value
