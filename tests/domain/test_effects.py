"""What follows from which fact, and how an effect stands after each try."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from counterfoil.domain.effects import (
    CLAIM,
    FOLLOWING,
    MOST_TRIES,
    WAITS,
    Effect,
    EffectKind,
    EffectState,
    Outcome,
    Standing,
    Told,
    Wherewith,
    after_try,
    ends,
    follow,
    may_try_again,
)
from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.order import Item
from counterfoil.domain.payment import Adjustment, Advance, Direction, Fact, Payment
from counterfoil.domain.states import PaymentState
from counterfoil.domain.verdict import Cause, Source

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAYMENT = Payment(
    id=UUID("01900000-0000-7000-8000-000000000001"),
    order_id="order-1",
    event_id="event-1",
    money=Money(1999, "EUR"),
    created_at=NOW,
    version=1,
)
CAUSE = Cause(Source.NOTICE, "evt_1")
EVERYTHING = Wherewith(has_address=True, items=(Item("mug", 2),), begun=frozenset())
NOTHING = Wherewith(has_address=False, items=(), begun=frozenset())


def said(*names: FactName, payment: Payment = PAYMENT) -> Advance:
    facts = tuple(
        Fact(name, replace(payment, version=version), NOW, CAUSE)
        for version, name in enumerate(names, payment.version + 1)
    )
    return Advance(facts[-1].payment if facts else payment, facts)


def begun(advance: Advance, wherewith: Wherewith = EVERYTHING) -> list[tuple[EffectKind, EffectState, str | None]]:
    return [(effect.kind, effect.state, effect.reason) for effect in follow(advance, wherewith)[1]]


def test_success_is_followed_by_a_receipt_and_takes_the_stock_out() -> None:
    """The receipt waits to be sent; what the stock is asked for is said at once, as the payment's next fact."""
    advance, effects = follow(said(FactName.PAYMENT_SUCCEEDED), EVERYTHING)
    assert effects == (
        Effect(PAYMENT.id, EffectKind.RECEIPT, EffectState.WAITING),
        Effect(PAYMENT.id, EffectKind.STOCK_DECREMENT, EffectState.DONE),
    )
    last = advance.facts[-1]
    assert (last.name, last.about) == (
        FactName.INVENTORY_ADJUSTMENT_REQUESTED,
        Adjustment(Direction.DECREMENT, (("mug", 2),)),
    )
    assert (last.payment.version, advance.payment.version, last.cause) == (3, 3, CAUSE)


@pytest.mark.parametrize("name", [FactName.PAYMENT_FAILED, FactName.PAYMENT_CANCELED])
def test_an_end_without_money_is_followed_by_word_to_the_customer_and_lets_the_stock_go(name: FactName) -> None:
    """Whoever reserved for it need not wait for a customer who may never come back."""
    advance, effects = follow(said(name), EVERYTHING)
    assert [(effect.kind, effect.state) for effect in effects] == [
        (EffectKind.CUSTOMER_NOTICE, EffectState.WAITING),
        (EffectKind.STOCK_RELEASE, EffectState.DONE),
    ]
    assert advance.facts[-1].about == Adjustment(Direction.RELEASE, (("mug", 2),))


def test_nothing_follows_from_what_is_no_end() -> None:
    """A failed attempt with a retry scheduled, a dispute, a refund: the customer hears of those from others."""
    for name in set(FactName) - set(FOLLOWING):
        assert not ends(said(name))
        assert follow(said(name), EVERYTHING) == (said(name), ())
    assert not ends(said())


def test_what_there_is_nothing_for_is_skipped_with_the_reason() -> None:
    """No address, no items: it stands on record why nothing happened, and nothing is said of the stock."""
    assert begun(said(FactName.PAYMENT_SUCCEEDED), NOTHING) == [
        (EffectKind.RECEIPT, EffectState.SKIPPED, "no address"),
        (EffectKind.STOCK_DECREMENT, EffectState.SKIPPED, "no items"),
    ]
    assert follow(said(FactName.PAYMENT_SUCCEEDED), NOTHING)[0] == said(FactName.PAYMENT_SUCCEEDED)


def test_who_canceled_is_not_told_that_it_did_not_work() -> None:
    """A cancellation that was asked for is no failure; the stock is let go all the same."""
    asked = replace(PAYMENT, cancel_requested_at=NOW)
    assert begun(said(FactName.PAYMENT_CANCELED, payment=asked)) == [
        (EffectKind.CUSTOMER_NOTICE, EffectState.SKIPPED, "canceled on request"),
        (EffectKind.STOCK_RELEASE, EffectState.DONE, None),
    ]


def test_each_follows_once_whatever_is_said_how_often() -> None:
    """Failed, failed again, and paid late, in one advance or in three: one of each kind."""
    names = [FactName.PAYMENT_FAILED, FactName.PAYMENT_FAILED, FactName.PAYMENT_SUCCEEDED]
    assert [kind for kind, _, _ in begun(said(*names))] == [
        EffectKind.CUSTOMER_NOTICE,
        EffectKind.STOCK_RELEASE,
        EffectKind.RECEIPT,
        EffectKind.STOCK_DECREMENT,
    ]
    wherewith = EVERYTHING
    for name in names:
        kinds = {kind for kind, _, _ in begun(said(name), wherewith)}
        assert not kinds & wherewith.begun
        wherewith = replace(wherewith, begun=wherewith.begun | kinds)
    assert wherewith.begun == set(EffectKind)


def test_facts_of_one_advance_are_numbered_without_a_gap() -> None:
    """What the stock is asked for comes behind what was said of the payment."""
    advance, _ = follow(said(FactName.PAYMENT_FAILED, FactName.PAYMENT_SUCCEEDED), EVERYTHING)
    assert [(fact.payment.version, fact.name) for fact in advance.facts] == [
        (2, FactName.PAYMENT_FAILED),
        (3, FactName.PAYMENT_SUCCEEDED),
        (4, FactName.INVENTORY_ADJUSTMENT_REQUESTED),
        (5, FactName.INVENTORY_ADJUSTMENT_REQUESTED),
    ]


def test_a_failed_try_waits_ever_longer_and_the_eighth_parks() -> None:
    """Seven waits between eight tries, none shorter than the one before."""
    failed = Told(Outcome.FAILED, "why")
    for tries, wait in enumerate(WAITS, start=1):
        assert after_try(tries, failed, NOW) == Standing(EffectState.WAITING, "why", NOW + wait)
    assert after_try(MOST_TRIES, failed, NOW) == Standing(EffectState.PARKED, "why", None)
    assert sorted(WAITS) == list(WAITS)
    assert sum(WAITS, timedelta()) < timedelta(hours=12)
    assert timedelta(seconds=60) < CLAIM


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.ACCEPTED, EffectState.DONE),
        (Outcome.REFUSED, EffectState.PARKED),
        (Outcome.NEEDLESS, EffectState.SKIPPED),
    ],
)
def test_what_is_over_is_not_tried_again(outcome: Outcome, state: EffectState) -> None:
    """Accepted, refused for good, needless: each at its first try."""
    standing = after_try(1, Told(outcome, "why"), NOW)
    assert (standing.state, standing.next_try_at) == (state, None)


def test_what_was_paid_or_is_open_is_not_tried_again() -> None:
    """Nor what was refused for good; what was canceled may be, whatever was refused before."""
    again = {(state, can_retry) for state in PaymentState for can_retry in (True, False, None)}
    assert {(state, can) for state, can in again if may_try_again(state, can_retry=can)} == {
        (PaymentState.FAILED, True),
        (PaymentState.CANCELED, True),
        (PaymentState.CANCELED, False),
        (PaymentState.CANCELED, None),
    }
