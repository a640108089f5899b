"""What charges say that were made by themselves, without a PaymentIntent (`STRIPE_DRIVER=charges`).

There the charge that holds a payment's money, or took it, is the payment's name at Stripe, as an intent is elsewhere. A
charge that was declined names nothing, for the next attempt makes another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Settling, Verdict
from counterfoil.processors.stripe import verdicts

PREFIXES: Final = ("ch_", "py_")
"""How ids of charges begin."""

_NAMELESS: Final = frozenset({AttemptHappening.DECLINED, AttemptHappening.UNKNOWN})

_FOREMOST: Final = (
    AttemptHappening.CAPTURED,
    AttemptHappening.AUTHORIZED,
    AttemptHappening.PROCESSING,
    AttemptHappening.UNKNOWN,
    AttemptHappening.CANCELED,
    AttemptHappening.DECLINED,
)
"""Of several charges of one payment, what is believed of it: money first, and no end while one of them is unclear."""


def of_charge(charge: Mapping[str, Any], cause: Cause) -> Verdict:
    """Return what a Charge says of the attempt that owns it, whether or not an intent made it."""
    said = verdicts.of_charge(charge, cause)
    if said.outcome is AttemptHappening.AUTHORIZED and charge.get("refunded") is True:  # all of a hold was let go
        said = replace(said, outcome=AttemptHappening.CANCELED)
    if said.intent_id is None and said.outcome not in _NAMELESS:
        return replace(said, intent_id=said.charge_id)
    return said


def of_release(refund: Mapping[str, Any], cause: Cause) -> Verdict:
    """Return what a Refund says that was to let a hold go: it did, unless the money had been taken by then.

    Only what moved money has a balance transaction. Then the charge tells how it stands, and a person has to know.
    """
    charge_id = refund.get("charge")
    if refund.get("status") == "succeeded" and refund.get("balance_transaction") is None:
        charge_id = str(charge_id)
        return Verdict(AttemptHappening.CANCELED, cause, intent_id=charge_id, charge_id=charge_id)
    alarm = "a hold that was to be let go had been captured by then, and was given back"
    return verdicts.of_silence(cause, settling=Settling.ASK, alarm=alarm)


def foremost(found: Sequence[Verdict]) -> Verdict:
    """Return what several charges of one payment, the newest first, say of it together."""
    return min(found, key=lambda verdict: _FOREMOST.index(verdict.outcome))


def is_settled_by(verdict: Verdict) -> bool:
    """Return whether no further charge of the payment could say anything more."""
    return verdict.outcome in (AttemptHappening.CAPTURED, AttemptHappening.AUTHORIZED)
