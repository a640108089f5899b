"""What Stripe's refunds mean, and its answers to who asks for one. What is not explicitly said is unknown.

The statuses are those of Stripe's page "The Refund object".
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from counterfoil.domain.money import Money
from counterfoil.domain.refunding import Listing, RefundHappening, RefundVerdict, Shown
from counterfoil.domain.verdict import Cause, Settling
from counterfoil.processors.stripe import verdicts

ALREADY_REFUNDED: Final = "charge_already_refunded"
"""Nothing is left of the charge: by our own refund, whose answer was lost, or by somebody else's."""

_EXPECTED: Final = frozenset({ALREADY_REFUNDED, "charge_disputed", "charge_not_refundable", "balance_insufficient"})
"""Refusals that come of what others did meanwhile, and are no mistake of ours."""

_STATUSES: Final[Mapping[str, RefundHappening]] = MappingProxyType(
    {
        "pending": RefundHappening.PENDING,
        "requires_action": RefundHappening.PENDING,
        "succeeded": RefundHappening.PROCESSED,
        "failed": RefundHappening.FAILED,
        "canceled": RefundHappening.FAILED,
    }
)


def of_refund(refund: Mapping[str, Any], cause: Cause) -> RefundVerdict:
    """Return what a Refund says of itself."""
    status, name = str(refund.get("status")), str(refund["id"])
    outcome = _STATUSES.get(status)
    if outcome is None:
        alarm = "Stripe used a Refund status this version does not know"
        return RefundVerdict(RefundHappening.UNKNOWN, cause, name, settling=Settling.ASK, alarm=alarm)
    why = refund.get("failure_reason") or status if outcome is RefundHappening.FAILED else None
    return RefundVerdict(outcome, cause, name, failure_reason=why)


def of_refusal(
    status: int, error: Mapping[str, Any], cause: Cause, *, again: bool, may_retry: bool = True
) -> RefundVerdict:
    """Return what an error answer means for a refund; the arguments are those of `verdicts.of_refusal`.

    Where Stripe calls the request itself wrong, or has nothing to refund any more, only an earlier send of it may have
    been carried out; that nothing is left may even come of it.
    """
    code = error.get("code")
    if status == HTTPStatus.BAD_REQUEST and code == ALREADY_REFUNDED:
        return RefundVerdict(RefundHappening.UNKNOWN, cause, settling=Settling.ASK, failure_reason=ALREADY_REFUNDED)
    verdict = verdicts.of_refusal(status, error, cause, again=again, may_retry=may_retry)
    expected = code in _EXPECTED or (code is None and error.get("param") == "amount")
    alarm = None if expected else verdict.alarm
    if verdict.decline is not None:
        why = verdict.decline.code
        return RefundVerdict(RefundHappening.FAILED, cause, failure_reason=why, alarm=alarm)
    return RefundVerdict(
        RefundHappening.UNKNOWN,
        cause,
        settling=verdict.settling,
        executed=verdict.executed,
        lingers=verdict.lingers,
        key_refused=verdict.key_refused,
        alarm=alarm,
    )


def listed(charge: Mapping[str, Any], refunds: Iterable[Mapping[str, Any]], cause: Cause) -> Listing:
    """Return all refunds of a charge as one listing, without those by which Stripe lets go what was never taken.

    Of a hold that is captured in part, expires or is canceled, Stripe lists the rest as a refund. It moved no money, so
    it has no balance transaction, and its amount is what was not captured ("Place a hold on a payment method").
    """
    not_taken = int(charge["amount"]) - int(charge["amount_captured"])
    shown: list[Shown] = []
    for refund in refunds:
        one = _shown(refund, cause)
        released = one.refund_id is None and refund.get("balance_transaction") is None
        if released and one.verdict.outcome is RefundHappening.PROCESSED and 0 < one.money.amount <= not_taken:
            not_taken -= one.money.amount
            continue
        shown.append(one)
    return Listing(cause, tuple(shown), complete=True)


def ours(refunds: Iterable[Mapping[str, Any]], refund_id: str) -> Mapping[str, Any] | None:
    """Return the refund that carries our name for it, if it is among these."""
    return next((one for one in refunds if (one.get("metadata") or {}).get("refund_id") == refund_id), None)


def _shown(refund: Mapping[str, Any], cause: Cause) -> Shown:
    metadata = refund.get("metadata") or {}
    named, key = metadata.get("refund_id"), metadata.get("request_key")
    try:
        refund_id = UUID(named) if isinstance(named, str) else None
    except ValueError:
        refund_id = None
    money = Money(int(refund["amount"]), str(refund["currency"]))
    key = key if isinstance(key, str) and named is not None else None
    return Shown(refund_id, money, refund.get("reason"), of_refund(refund, cause), key)
