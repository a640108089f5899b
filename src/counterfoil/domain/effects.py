"""What follows from a payment's end, once each: word to the customer, and what the stock is asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final
from uuid import UUID

from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.order import Item
from counterfoil.domain.payment import Adjustment, Advance, Direction, Fact, Payment
from counterfoil.domain.schedule import MACHINE_GRACE
from counterfoil.domain.states import PaymentState
from counterfoil.domain.verdict import Cause, Source


@unique
class EffectKind(StrEnum):
    """What may follow from a payment's end; each at most once for a payment."""

    RECEIPT = "receipt"
    CUSTOMER_NOTICE = "customer_notice"
    STOCK_DECREMENT = "stock_decrement"
    STOCK_RELEASE = "stock_release"


@unique
class EffectState(StrEnum):
    """How far an effect has come."""

    WAITING = "waiting"  # to be tried, first or again
    DONE = "done"
    SKIPPED = "skipped"  # there was nothing to do, and the reason says why
    PARKED = "parked"  # a person decides
    DROPPED = "dropped"  # a person did not want it any more


FOLLOWING: Final[Mapping[FactName, tuple[EffectKind, ...]]] = MappingProxyType(
    {
        FactName.PAYMENT_SUCCEEDED: (EffectKind.RECEIPT, EffectKind.STOCK_DECREMENT),
        FactName.PAYMENT_FAILED: (EffectKind.CUSTOMER_NOTICE, EffectKind.STOCK_RELEASE),
        FactName.PAYMENT_CANCELED: (EffectKind.CUSTOMER_NOTICE, EffectKind.STOCK_RELEASE),
    },
)
"""Which effects follow from which fact. What is reserved is let go with every end that brought no money, whether or not
the customer may try again: nobody can say when they will, and no stock waits for ever. Money that comes after all takes
the stock out, reserved or not."""

DIRECTIONS: Final[Mapping[EffectKind, Direction]] = MappingProxyType(
    {EffectKind.STOCK_DECREMENT: Direction.DECREMENT, EffectKind.STOCK_RELEASE: Direction.RELEASE},
)
"""What the stock is asked for. These effects are facts: they are done once they are said, which is with the end that
they follow from, or, where a state machine drives the payment, when they are carried out."""

MOST_TRIES: Final = 8
"""After these, which take half a day, no further try is likely to do better: a person is told."""

WAITS: Final = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
)
"""Between one try and the next: short for a server that restarts, long for one that is down for a night."""

CLAIM: Final = timedelta(seconds=120)
"""How long a process may work on an effect it claimed: four times what a delivery may take."""


@dataclass(frozen=True, slots=True)
class Wherewith:
    """What a payment's effects need, and which of them there are already.

    Those of a payment that is ``driven`` by a state machine wait until that asks for them, or for MACHINE_GRACE.
    """

    has_address: bool
    items: tuple[Item, ...]
    begun: frozenset[EffectKind]
    driven: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect as it begins; ``reason`` says why it is skipped, where it is, and ``wait`` when its first try is."""

    payment_id: UUID
    kind: EffectKind
    state: EffectState
    reason: str | None = None
    wait: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a customer is to be told, and what is to be said of it. ``money`` is what was taken, or was not.

    ``began_at`` is when the payment came to its end, however late it is told. ``may_try_again`` says whether another
    method may help.
    """

    payment_id: UUID
    kind: EffectKind
    began_at: datetime
    state: PaymentState
    order_id: str
    money: Money
    items: tuple[Item, ...]
    address: str
    locale: str | None
    may_try_again: bool


@unique
class Outcome(StrEnum):
    """What came of a try."""

    ACCEPTED = "accepted"
    FAILED = "failed"  # it may be tried again
    REFUSED = "refused"  # to try again would be refused again
    NEEDLESS = "needless"  # there is nothing to do (any more)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a try, and why. The reason is in our own words: it never holds an address."""

    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an effect stands after a try."""

    state: EffectState
    reason: str | None
    next_try_at: datetime | None


def ends(advance: Advance) -> bool:
    """Return whether anything follows from what was said of a payment."""
    return any(fact.name in FOLLOWING for fact in advance.facts)


def follow(advance: Advance, wherewith: Wherewith) -> tuple[Advance, tuple[Effect, ...]]:
    """Return the advance with what the stock is asked for said too, and the effects that begin with it.

    Args:
        advance: with the facts just said, in order.
        wherewith: what is known of the payment's effects, under the same lock.
    """
    begun, effects, said = set(wherewith.begun), list[Effect](), list(advance.facts)
    payment = advance.payment
    for fact in advance.facts:
        for kind in FOLLOWING.get(fact.name, ()):
            if kind in begun:
                continue
            begun.add(kind)
            reason = _why_not(kind, fact, wherewith)
            effects.append(_begun(payment.id, kind, reason, driven=wherewith.driven))
            if kind in DIRECTIONS and reason is None and not wherewith.driven:
                payment = replace(payment, version=payment.version + 1)
                said.append(_adjustment(payment, kind, wherewith.items, fact.at, fact.cause))
    return replace(advance, payment=payment, facts=tuple(said)), tuple(effects)


def ask_of_stock(payment: Payment, kinds: Iterable[EffectKind], items: tuple[Item, ...], now: datetime) -> Advance:
    """Return the payment with what the stock is asked for said now, for effects that had waited to be carried out."""
    said = list[Fact]()
    for kind in kinds:
        payment = replace(payment, version=payment.version + 1)
        said.append(_adjustment(payment, kind, items, now, _CARRIED_OUT))
    return Advance(payment, tuple(said))


def after_try(tries: int, told: Told, now: datetime) -> Standing:
    """Return how an effect stands after its so-manieth try."""
    if told.outcome is Outcome.ACCEPTED:
        return Standing(EffectState.DONE, None, None)
    if told.outcome is Outcome.NEEDLESS:
        return Standing(EffectState.SKIPPED, told.reason, None)
    if told.outcome is Outcome.REFUSED or tries >= MOST_TRIES:
        return Standing(EffectState.PARKED, told.reason, None)
    return Standing(EffectState.WAITING, told.reason, now + WAITS[tries - 1])


def needless(occasion: Occasion) -> Told | None:
    """Return why there is nothing to tell any more, if that is so: the money came after the failure."""
    if occasion.kind is EffectKind.CUSTOMER_NOTICE and occasion.state is PaymentState.SUCCEEDED:
        return Told(Outcome.NEEDLESS, "the payment succeeded after all")
    return None


def may_try_again(state: PaymentState, *, can_retry: bool | None) -> bool:
    """Return whether a customer may try an ended payment again: what was canceled, and what another method may help.

    Args:
        state: how the payment stands.
        can_retry: what the processor's last refusal says, if there was one.
    """
    return state is PaymentState.CANCELED or (state is PaymentState.FAILED and bool(can_retry))


def _why_not(kind: EffectKind, fact: Fact, wherewith: Wherewith) -> str | None:
    if kind in DIRECTIONS:
        return None if wherewith.items else "no items"
    if not wherewith.has_address:
        return "no address"
    if fact.name is FactName.PAYMENT_CANCELED and fact.payment.cancel_requested_at is not None:
        return "canceled on request"
    return None


def _begun(payment_id: UUID, kind: EffectKind, reason: str | None, *, driven: bool) -> Effect:
    if reason is not None:
        return Effect(payment_id, kind, EffectState.SKIPPED, reason)
    if driven:
        return Effect(payment_id, kind, EffectState.WAITING, wait=MACHINE_GRACE)
    return Effect(payment_id, kind, EffectState.DONE if kind in DIRECTIONS else EffectState.WAITING)


def _adjustment(payment: Payment, kind: EffectKind, items: tuple[Item, ...], at: datetime, cause: Cause) -> Fact:
    asked = Adjustment(DIRECTIONS[kind], tuple((item.sku, item.quantity) for item in items))
    return Fact(FactName.INVENTORY_ADJUSTMENT_REQUESTED, payment, at, cause, asked)


_CARRIED_OUT: Final = Cause(Source.TIMER, "fulfil")
