"""Disputes: a customer's bank wants money back. In whichever order its news comes, a dispute ends the same.

A dispute moves no payment: what was captured was captured. It is a flag beside the state, and money that is ours, gone,
or ours again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, Dispute, DisputeStatus, Fact, Funds, Payment
from counterfoil.domain.refunding import give_back
from counterfoil.domain.states import PaymentState
from counterfoil.domain.verdict import Cause

STATUS_RANK: Final[Mapping[DisputeStatus, int]] = MappingProxyType(
    {DisputeStatus.OPENED: 0, DisputeStatus.LOST: 1, DisputeStatus.WON: 2}
)
"""News can only raise a dispute's status. A bank may still give in after it had decided, and the money is reinstated
then; it does not take back what it gave up."""

FUNDS_RANK: Final[Mapping[Funds, int]] = MappingProxyType({Funds.UNTOUCHED: 0, Funds.WITHDRAWN: 1, Funds.REINSTATED: 2})
"""The same of the money."""

_FOREMOST: Final = (DisputeStatus.OPENED, DisputeStatus.LOST, DisputeStatus.WON)
"""Of several disputes of one payment the first of these is shown: what is open can still be answered."""


class Docket:
    """The disputes of some payments, while news of them is heard; ``changed`` is what has to be written of them."""

    def __init__(self, known: Mapping[UUID, Sequence[Dispute]]) -> None:
        """Begin with the disputes on record."""
        self._known = {payment_id: {one.id: one for one in disputes} for payment_id, disputes in known.items()}
        self._changed: dict[str, UUID] = {}

    @property
    def changed(self) -> list[tuple[UUID, Dispute]]:
        """Those that are new or stand otherwise than before, each with its payment."""
        return [(payment_id, self._known[payment_id][dispute_id]) for dispute_id, payment_id in self._changed.items()]

    def hear(self, payment: Payment, said: Dispute, cause: Cause, now: datetime) -> Advance:
        """Return the payment after hearing of one of its disputes.

        Each status that a dispute comes to is said once. That a payment is disputed whose success was not heard of yet
        is a hint that it succeeded: it is asked about at once. What is won for an order that was cancelled meanwhile is
        given back. Of money of another currency nothing is taken down.
        """
        if said.money.currency != payment.money.currency:
            return Advance(payment, alarm="the processor speaks of another currency than was asked for")
        disputes = self._known.setdefault(payment.id, {})
        before = disputes.get(said.id)
        after = said if before is None else _merged(before, said)
        if after != before:
            disputes[said.id] = after
            self._changed[said.id] = payment.id
        statuses = {one.status for one in disputes.values()}
        shown = next(status for status in _FOREMOST if status in statuses)
        disputed = replace(payment, disputed=True, dispute_status=shown)
        if payment.state is not PaymentState.SUCCEEDED:
            disputed = replace(disputed, next_check_at=now)
        if before is not None and before.status is after.status:
            return give_back(Advance(disputed), cause, now)
        disputed = replace(disputed, version=payment.version + 1)
        fact = Fact(FactName.PAYMENT_DISPUTED, disputed, now, cause, after)
        return give_back(Advance(disputed, (fact,)), cause, now)


def withdrawn(disputes: Iterable[Dispute]) -> int:
    """Return how much the disputes of one payment hold back, or have taken for good; in its minor units."""
    return sum(one.money.amount for one in disputes if one.funds is Funds.WITHDRAWN)


def net(amount: int, currency: str, fees: Iterable[Money | None]) -> int | None:
    """Return what is left of an amount after fees, where all of them are known and of its currency; else None.

    It may be below nothing: a fee for a dispute comes on top of what the dispute takes.
    """
    for fee in fees:
        if fee is None or fee.currency != currency:
            return None
        amount -= fee.amount
    return amount


def _merged(before: Dispute, said: Dispute) -> Dispute:
    newer = said if _rank(said) > _rank(before) else before
    further = said if FUNDS_RANK[said.funds] > FUNDS_RANK[before.funds] else before
    status = max(before.status, said.status, key=STATUS_RANK.__getitem__)
    fee = further.fee or (said if further is before else before).fee
    return replace(newer, status=status, funds=further.funds, fee=fee)


def _rank(dispute: Dispute) -> tuple[int, int]:
    return STATUS_RANK[dispute.status], FUNDS_RANK[dispute.funds]
