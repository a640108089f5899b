"""When a payment is looked at again, and how long we wait for what: every limit with its reason."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from counterfoil.domain.verdict import Settling

DOUBT_AFTER: Final = timedelta(minutes=15)
"""An outcome unknown for this long is shown as ``in_doubt``: long enough for every ordinary retry, short enough for a
person to hear of it the same hour."""

LOOK_UPS_AFTER: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)
"""When to ask again about an open payment, counted from the last time we asked; then every LOOK_UP_EVERY."""

LOOK_UP_EVERY: Final = timedelta(hours=6)
"""Bank debits take days: four looks a day cost nothing and find what a lost webhook did not say."""

QUIET_LOOKS: Final = 3
"""Where the processor itself said that it waits (for the customer, for a bank, for our capture) the first, hasty looks
of the schedule are skipped: a webhook is the rule, the look-up the exception."""

RETRY_FIRST: Final = timedelta(seconds=1)
"""What was turned away before any work is sent again after this, then after twice as long, and so on: 1, 2, 4 s …"""

RETRY_EVERY: Final = timedelta(minutes=5)
"""… but at least this often: a processor that is back should not find us an hour away."""

RETRY_SPREAD: Final = 0.25
"""By up to this share a payment's retries come later than another's, so that all do not come back in one moment."""

ABSENCE_PROOF: Final = timedelta(hours=1)
"""Two complete listings this far apart prove that a send did nothing: one alone could run before a late effect."""

LATE_EFFECT: Final = timedelta(hours=48)
"""How long a send that the processor answered with an error of its own may still be carried out: Stripe calls such
answers indeterminate and mends them afterwards ("Error handling", server errors). Earlier, absence proves nothing."""

KEY_LIFE: Final = timedelta(hours=23)
"""Stripe may forget a key after 24 hours; a POST with a forgotten key is a new charge. The hour is for our clocks."""

NEVER_SENT_FOR: Final = timedelta(hours=72)
"""An order that could not be sent for three days is given up: nobody waits for it any more."""

TRIES_OF_OURS: Final = 3
"""How often a stored method is charged before its decline is final: a bank that said no three times in a row means it,
and card networks fine those who go on asking."""

TRY_ANEW_AFTER: Final = timedelta(minutes=10)
"""How long after a decline we try the same method once more: long enough for an account to be filled or a bank to be
back, short enough for whoever waits for the order."""

MACHINE_GRACE: Final = timedelta(minutes=5)
"""How long a state machine has to ask for what is its own to ask for (a retry that is due, what follows from an end)
before a worker does it unasked: a machine goes from one step to the next in seconds, and customers notice an hour."""

CLAIM: Final = timedelta(seconds=120)
"""How long a process may work on what it claimed. Four times the processor's timeout, so a live one never loses it."""

ACTION_LIFE: Final = timedelta(hours=24)
"""How long a customer may take over what the processor asks of them, where it names no end itself: as long as Stripe's
own payment pages stay open. Then the payment is let go, and its order may be paid anew."""

HOLD_LIFE: Final = timedelta(days=7)
"""How long money is held at most, where the processor names no earlier end: what Stripe grants most cards that pay
online ("Place a hold on a payment method", validity windows). Nobody's money is kept longer for an order not served."""

HOLD_MARGIN: Final = timedelta(hours=1)
"""So long before the processor's own end we let a hold go: ended by us, its order is free when we say so."""


def hold_ends(now: datetime, processor_ends_at: datetime | None) -> datetime:
    """Return when a hold that is heard of now is let go; ``processor_ends_at`` is when the processor does, if known."""
    ours = now + HOLD_LIFE
    return ours if processor_ends_at is None else min(ours, processor_ends_at - HOLD_MARGIN)


MOST_NUMBERED: Final = 99
"""Attempts, captures and cancellations of one payment are numbered up to here, in two digits of their keys; nobody
tries a hundred cards."""

VERDICT_WITHIN: Final = timedelta(minutes=15)
"""How long a fraud check may take, unless the settings say otherwise: longer than any program needs. Then a person is
asked."""

REVIEW_LIFE: Final = timedelta(hours=72)
"""How long a person may take to decide while nothing is held: a weekend. As with NEVER_SENT_FOR, nobody waits for the
order any longer."""

REVIEW_MARGIN: Final = timedelta(hours=1)
"""How long before a hold would end its review does: what is approved in the last moment must still be captured."""

ATTEMPTS_WITHIN: Final = timedelta(hours=1)
"""The time in which a customer's attempts are counted …"""

MOST_ATTEMPTS_WITHIN: Final = 10
"""… and how many there may be in it: who pays tries two or three cards, who tests stolen ones tries hundreds."""

LEARN_AFTER: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
"""When a payment's late facts are asked for, counted from its success and then from the last time. Stripe books most
charges within seconds and says so when it does; who was told nothing after a day is told nothing by asking more often.
"""


def wait_before(settling: Settling, looks: int, payment_id: UUID) -> timedelta:
    """Return how long to wait before an open payment is looked at again.

    Args:
        settling: how its outcome is to be learned.
        looks: how often it was looked at since it last moved.
        payment_id: spreads the retries of different payments; random, so that no other randomness is needed.
    """
    if settling is Settling.RETRY:
        wait = min(RETRY_FIRST * (1 << min(looks, 20)), RETRY_EVERY)
        return wait * (1 + RETRY_SPREAD * (payment_id.int % 1000) / 1000)
    return LOOK_UPS_AFTER[looks] if looks < len(LOOK_UPS_AFTER) else LOOK_UP_EVERY
