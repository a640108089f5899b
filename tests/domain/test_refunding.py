"""What a refund becomes, and that no more is ever given back, or asked back, than was taken."""

import itertools
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from counterfoil.domain.errors import AmountReason, AmountRefused, WrongState
from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Attempt, Payment, RefundState
from counterfoil.domain.refunding import (
    OPEN,
    REFUND_MOVES,
    Course,
    Listing,
    Moved,
    RefundHappening,
    RefundVerdict,
    Shown,
    Wish,
    compare,
    hear,
    reserve,
)
from counterfoil.domain.states import AttemptState, Ignored, PaymentState
from counterfoil.domain.verdict import Cause, Settling, Source

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANSWER, LOOK = Cause(Source.ANSWER, "req_1"), Cause(Source.LOOK_UP, "req_2")
PAYMENT = Payment(
    id=UUID("01900000-0000-7000-8000-000000000001"),
    order_id="order-1",
    event_id="event-1",
    money=Money(1999, "EUR"),
    created_at=NOW,
    state=PaymentState.SUCCEEDED,
    amount_captured=1999,
    version=2,
    attempts=(Attempt(1, AttemptState.CAPTURED, "ch_1"),),
)


def name(number: int) -> UUID:
    return UUID(int=number)


def asked(payment: Payment = PAYMENT, amount: int | None = 500, number: int = 1, currency: str | None = None) -> Moved:
    wish = Wish(payment.id, f"key-{number}", amount, currency)
    return reserve(payment, wish, name(number), Cause(Source.ORDER, wish.key), NOW)


def heard(moved: Moved, outcome: RefundHappening, cause: Cause = ANSWER, processor_id: str | None = "re_1") -> Moved:
    return hear(moved.payment, moved.course, RefundVerdict(outcome, cause, processor_id), NOW)


def shown(number: int, amount: int, outcome: RefundHappening, refund_id: UUID | None = None) -> Shown:
    return Shown(refund_id, Money(amount, "EUR"), None, RefundVerdict(outcome, LOOK, f"re_{number}"))


def totals(payment: Payment) -> tuple[int, int]:
    return payment.amount_refunded, payment.amount_refund_reserved


def test_every_pair_of_state_and_happening_is_in_the_table() -> None:
    """None is forgotten, and what changes nothing says which events bring it about."""
    assert set(itertools.product(RefundState, RefundHappening)) == set(REFUND_MOVES)
    assert all(len(move.because) > 20 for move in REFUND_MOVES.values() if isinstance(move, Ignored))


@pytest.mark.parametrize(("state", "happening"), REFUND_MOVES)
def test_the_amount_is_counted_where_the_refund_stands(state: RefundState, happening: RefundHappening) -> None:
    """Reserved while it is open, given back once processed, and neither once it has failed; a fact on entering."""
    before = asked()
    path = {
        RefundState.PENDING: [RefundHappening.PENDING],
        RefundState.PROCESSED: [RefundHappening.PROCESSED],
        RefundState.FAILED: [RefundHappening.PENDING, RefundHappening.FAILED],
    }
    for step in path.get(state, []):
        before = heard(before, step)
    assert before.course.refund.state is state

    after = heard(before, happening)

    moved = REFUND_MOVES[state, happening]
    ends = state if isinstance(moved, Ignored) else moved
    assert after.course.refund.state is ends
    assert totals(after.payment) == (500 * (ends is RefundState.PROCESSED), 500 * (ends in OPEN))
    entered = ends is not state and ends in (RefundState.PROCESSED, RefundState.FAILED)
    assert (len(after.facts), after.payment.version - before.payment.version) == (entered, entered)
    assert (after.course.next_check_at is None) == (ends not in OPEN)


def test_a_refund_that_had_been_given_up_fails_once() -> None:
    """It was there after all and failed then: that is what was said of it already. What arrives is news."""
    given_up = heard(asked(), RefundHappening.FAILED, processor_id=None)
    there_after_all = heard(given_up, RefundHappening.PENDING)

    ends = [heard(there_after_all, one) for one in (RefundHappening.FAILED, RefundHappening.PROCESSED)]

    assert [fact.name for fact in given_up.facts] == [FactName.REFUND_FAILED]
    assert [[fact.name for fact in end.facts] for end in ends] == [[], [FactName.REFUND_PROCESSED]]
    assert [(end.course.refund.state, totals(end.payment)) for end in ends] == [
        (RefundState.FAILED, (0, 0)),
        (RefundState.PROCESSED, (500, 0)),
    ]


@pytest.mark.parametrize(
    ("amount", "currency", "reason"),
    [
        (2000, None, AmountReason.TOO_LARGE),
        (1, "USD", AmountReason.CURRENCY_DIFFERS),
        (1, "EUR", None),
        (1999, None, None),
        (None, None, None),
    ],
)
def test_what_may_be_asked_back(amount: int | None, currency: str | None, reason: AmountReason | None) -> None:
    """Up to what was taken, to the last cent, and in its currency."""
    if reason is None:
        assert asked(amount=amount, currency=currency).payment.amount_refund_reserved == (amount or 1999)
        return
    with pytest.raises(AmountRefused) as caught:
        asked(amount=amount, currency=currency)
    assert caught.value.reason is reason


def test_coins_are_not_broken() -> None:
    """Stripe counts crowns of Iceland in hundredths, and takes whole ones only; the rest goes back as it is."""
    paid = replace(PAYMENT, money=Money(1000, "ISK"), amount_captured=1000, amount_refunded=50)
    with pytest.raises(AmountRefused) as caught:
        asked(paid, 150)
    assert caught.value.reason is AmountReason.NOT_A_MULTIPLE
    assert asked(paid, None).payment.amount_refund_reserved == 950


@pytest.mark.parametrize("state", [state for state in PaymentState if state is not PaymentState.SUCCEEDED])
def test_only_what_succeeded_can_be_given_back(state: PaymentState) -> None:
    """In every other state there is nothing to give back, or nothing yet."""
    with pytest.raises(WrongState):
        asked(replace(PAYMENT, state=state))


def test_what_the_processor_called_failed_stays_failed_and_what_we_did_does_not() -> None:
    """It has a name at the processor, or it has none: only our own conclusion can be wrong."""
    theirs = heard(heard(asked(), RefundHappening.PROCESSED), RefundHappening.FAILED)
    ours = heard(asked(), RefundHappening.FAILED, processor_id=None)

    late = heard(ours, RefundHappening.PROCESSED, LOOK)

    assert heard(theirs, RefundHappening.PROCESSED, LOOK).course.refund.state is RefundState.FAILED
    assert heard(ours, RefundHappening.FAILED).facts == ()
    assert (late.course.refund.state, totals(late.payment)) == (RefundState.PROCESSED, (500, 0))
    assert [fact.name for fact in late.facts] == [FactName.REFUND_PROCESSED]
    assert late.alarm is not None


def test_more_than_was_taken_is_not_counted_and_alarms() -> None:
    """The processor gave back more than we know that it took: a person must look."""
    (moved,) = compare(
        replace(PAYMENT, amount_captured=500),
        [],
        Listing(LOOK, (shown(1, 700, RefundHappening.PROCESSED),), complete=True),
        lambda: name(9),
        NOW,
    )
    assert (totals(moved.payment), moved.alarm is not None) == ((500, 0), True)


def test_one_that_can_still_be_sent_is_not_missed() -> None:
    """A look at a charge tells nothing of what is about to be sent; what only the processor can tell of is missed."""
    sendable = asked().course
    asking = replace(asked(number=2).course, settling=Settling.ASK)
    listing = Listing(LOOK, (), complete=True)

    moves = compare(PAYMENT, [sendable, asking], listing, lambda: name(9), NOW)

    assert [(move.course.refund.id, move.course.absent_since) for move in moves] == [(name(2), NOW)]


class Till(RuleBasedStateMachine):
    """Asked, answered, refunded elsewhere, looked at, turned into a failure: money at ours and at the processor's."""

    def __init__(self) -> None:
        super().__init__()
        self.payment = PAYMENT
        self.courses: dict[UUID, Course] = {}
        self.stripe: dict[str, Shown] = {}
        self.said: Counter[tuple[FactName, UUID]] = Counter()
        self.names = (name(number) for number in itertools.count(1))

    def gave(self) -> int:
        """What the processor gave back, or is about to."""
        standing = [one for one in self.stripe.values() if one.verdict.outcome is not RefundHappening.FAILED]
        return sum(one.money.amount for one in standing)

    def take(self, *moves: Moved) -> None:
        """Keep what came of something; its facts follow one another without a gap."""
        facts = [fact.payment.version for move in moves for fact in move.facts]
        assert facts == list(range(self.payment.version + 1, self.payment.version + 1 + len(facts)))
        for move in moves:
            self.payment = move.payment
            self.courses[move.course.refund.id] = move.course
            self.said.update((fact.name, move.course.refund.id) for fact in move.facts)

    @rule(amount=st.integers(1, 1200))
    def ask(self, amount: int) -> None:
        """Somebody asks money back, where there is so much."""
        with suppress(AmountRefused):
            wish = Wish(self.payment.id, "key", amount)
            self.take(reserve(self.payment, wish, next(self.names), ANSWER, NOW))

    @rule(outcome=st.sampled_from(RefundHappening))
    def answer(self, outcome: RefundHappening) -> None:
        """The processor answers the oldest that waits; what does not fit it refuses, what is lost it has made."""
        waiting = [one for one in self.courses.values() if one.refund.state is RefundState.REQUESTED]
        if not waiting:
            return
        refund = waiting[0].refund
        known = f"re_{refund.id.int}"
        if known not in self.stripe and self.gave() + refund.money.amount > PAYMENT.amount_captured:
            self.take(hear(self.payment, waiting[0], RefundVerdict(RefundHappening.FAILED, ANSWER), NOW))
            return
        lost = outcome is RefundHappening.UNKNOWN
        made = RefundVerdict(RefundHappening.PENDING if lost else outcome, LOOK, known)
        there = self.stripe.setdefault(known, Shown(refund.id, refund.money, None, made))
        told = RefundVerdict(outcome, ANSWER) if lost else there.verdict
        self.take(hear(self.payment, waiting[0], told, NOW))

    @rule(amount=st.integers(1, 1200))
    def elsewhere(self, amount: int) -> None:
        """Somebody gives money back in the processor's own pages."""
        if self.gave() + amount <= PAYMENT.amount_captured:
            made = shown(1_000_000 + len(self.stripe), amount, RefundHappening.PROCESSED)
            self.stripe[str(made.verdict.processor_id)] = made

    @rule(place=st.integers(0, 50), fails=st.booleans())
    def later(self, place: int, fails: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """A refund goes on: it is processed, or it fails after all."""
        standing = [known for known, one in self.stripe.items() if one.verdict.outcome is not RefundHappening.FAILED]
        if standing:
            one = self.stripe[standing[place % len(standing)]]
            outcome = RefundHappening.FAILED if fails else RefundHappening.PROCESSED
            self.stripe[standing[place % len(standing)]] = replace(one, verdict=replace(one.verdict, outcome=outcome))

    @rule()
    def look(self) -> None:
        """The charge is asked for: then what was given back is what the processor gave back."""
        listing = Listing(LOOK, tuple(self.stripe.values()), complete=True)
        self.take(*compare(self.payment, list(self.courses.values()), listing, lambda: next(self.names), NOW))
        processed = [one for one in self.stripe.values() if one.verdict.outcome is RefundHappening.PROCESSED]
        assert self.payment.amount_refunded == sum(one.money.amount for one in processed)

    @invariant()
    def conserves_money(self) -> None:
        """No more is given and asked back than was taken; nothing stays reserved for a refund that has ended."""
        refunded, reserved = totals(self.payment)
        waiting = sum(one.refund.money.amount for one in self.courses.values() if one.refund.state in OPEN)
        assert min(refunded, reserved) >= 0
        assert refunded + reserved <= self.payment.amount_captured
        assert reserved <= waiting

    @invariant()
    def says_things_once(self) -> None:
        """No refund is announced twice, nor said to have ended one way twice."""
        assert max(self.said.values(), default=0) <= 1


Till.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestMoneyIsConserved = Till.TestCase
