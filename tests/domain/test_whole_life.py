"""The whole life of a payment, by the domain alone: whatever happens in whatever order, no money is made or lost.

`Life` plays the processor as well: it knows what truly happened, and lets the payment hear it from answers, notices and
looks that come late, twice, in any order, or never, while people, the order and time go on.
"""

import itertools
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from counterfoil.domain import capturing
from counterfoil.domain.acting import accept, ask_soon, claim, expire, look_at, try_again
from counterfoil.domain.cancelling import Cancellation, CancelReason, cancel
from counterfoil.domain.disputing import Docket, withdrawn
from counterfoil.domain.errors import CounterfoilError
from counterfoil.domain.facts import ON_ENTERING, FactName
from counterfoil.domain.hearing import answered, hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import (
    Advance,
    CaptureMethod,
    Dispute,
    DisputeStatus,
    Fact,
    FraudDecision,
    Funds,
    Payment,
    Refund,
    RefundState,
    ScreeningMode,
)
from counterfoil.domain.refunding import (
    OPEN,
    Course,
    Listing,
    Moved,
    RefundHappening,
    RefundVerdict,
    Shown,
    Wish,
    compare,
    reserve,
)
from counterfoil.domain.refunding import hear as hear_refund
from counterfoil.domain.screening import Check, Finding, hear_check, time_out
from counterfoil.domain.states import FINAL, AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Source, Verdict

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

_H, _S = AttemptHappening, Source

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLINE: Final = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)

BEGINNINGS: Final = (_H.ACTION, _H.PROCESSING, _H.DECLINED, _H.CAPTURED, _H.CAPTURED)
"""What may come of an attempt that is sent; where it is to be held first, it is held where it would be captured."""

AHEAD: Final = {
    _H.ACTION: (_H.PROCESSING, _H.AUTHORIZED, _H.CAPTURED, _H.DECLINED, _H.CANCELED),
    _H.PROCESSING: (_H.CAPTURED, _H.DECLINED),
    _H.AUTHORIZED: (_H.CAPTURED, _H.CANCELED),
    _H.DECLINED: (_H.CANCELED,),
}
"""What may come of an attempt at the processor, after what came of it so far."""

CANCELLATION: Final = Cancellation("order-1", CancelReason.CUSTOMER_REQUESTED)
PLACES: Final = st.integers(0, 40)


def name(number: int) -> UUID:
    return UUID(int=number)


def asked(mode: ScreeningMode = ScreeningMode.NONE, method: CaptureMethod = CaptureMethod.AUTOMATIC) -> Payment:
    """A payment as its order asks for it."""
    return Payment(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        order_id="order-1",
        event_id="event-1",
        money=Money(2000, "EUR"),
        created_at=START,
        capture_method=method,
        screening_mode=mode,
        screening=mode is not ScreeningMode.NONE,
        decide_by=START + timedelta(minutes=15) if mode is not ScreeningMode.NONE else None,
    )


@dataclass(frozen=True, slots=True)
class Truth:
    """How an attempt stands at the processor."""

    outcome: AttemptHappening
    charge_id: str
    captured: int | None = None

    def told(self, source: Source) -> Verdict:
        """Return what somebody hears who asks, or is told, at this moment."""
        charged = self.outcome not in (_H.ACTION, _H.CANCELED)
        return Verdict(
            self.outcome,
            Cause(source, "reference"),
            intent_id="pi_1",
            charge_id=self.charge_id if charged else None,
            currency="EUR",
            amount_captured=self.captured,
            decline=DECLINE if self.outcome is _H.DECLINED else None,
            action=Action("https://bank.example/3ds") if self.outcome is _H.ACTION else None,
        )


class Life(RuleBasedStateMachine):
    """A payment, and the processor's side of it; what is heard of it is chosen among all that was ever true."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.payment = asked()
        self.facts: list[Fact] = []
        self.docket = Docket({})
        self.disputes: dict[str, Dispute] = {}
        self.courses: dict[UUID, Course] = {}
        self.truths: dict[int, Truth] = {}
        self.news: list[Truth] = []
        self.refunds: dict[str, Shown] = {}
        self.names = (name(number) for number in itertools.count(1))

    # What is true at the processor.

    @property
    def taken(self) -> int:
        """What the processor took."""
        return sum(one.captured or 0 for one in self.truths.values())

    def true(self, number: int, outcome: AttemptHappening, amount: int = 2000) -> Truth:
        """Let something become true of an attempt; the processor takes no money twice, nor what is let go."""
        truth = Truth(outcome, f"ch_{number}", amount if outcome is _H.CAPTURED else None)
        self.truths[number] = truth
        self.news.append(truth)
        return truth

    def gave(self) -> int:
        """What the processor gave back, or is about to."""
        standing = [one for one in self.refunds.values() if one.verdict.outcome is not RefundHappening.FAILED]
        return sum(one.money.amount for one in standing)

    # What we take down.

    def take(self, advance: Advance | Moved) -> None:
        """Keep what came of something; its facts follow one another without a gap."""
        versions = [fact.payment.version for fact in advance.facts]
        assert versions == list(range(self.payment.version + 1, self.payment.version + 1 + len(versions)))
        assert advance.payment.version == self.payment.version + len(versions)
        self.payment = advance.payment
        self.facts += advance.facts
        for fact in advance.facts:
            if fact.name is FactName.REFUND_REQUESTED:
                assert isinstance(fact.about, Refund)
                self.courses[fact.about.id] = Course(fact.about, next_check_at=self.now)
        if isinstance(advance, Moved):
            self.courses[advance.course.refund.id] = advance.course

    @initialize(
        mode=st.sampled_from([ScreeningMode.NONE, ScreeningMode.NONE, *ScreeningMode]),
        held=st.booleans(),
        outcome=st.sampled_from(BEGINNINGS),
        lost=st.booleans(),
    )
    def begin(self, mode: ScreeningMode, held: bool, outcome: AttemptHappening, lost: bool) -> None:  # noqa: FBT001 - drawn by it
        """An order is accepted, and sent at once where nothing is waited for first."""
        method = CaptureMethod.MANUAL if held else CaptureMethod.AUTOMATIC
        self.payment = asked(mode, method)
        self.take(accept(self.payment, claimed=mode is not ScreeningMode.BEFORE_CHARGE, now=self.now))
        if self._may_be_sent():
            self.send(outcome, lost)

    def _may_be_sent(self) -> bool:
        last = self.payment.last_attempt
        open_ = self.payment.state in (PaymentState.REQUESTED, PaymentState.PROCESSING, PaymentState.IN_DOUBT)
        return open_ and last is not None and last.state in (AttemptState.QUEUED, AttemptState.SENT)

    @precondition(_may_be_sent)
    @rule(
        outcome=st.sampled_from([_H.ACTION, _H.PROCESSING, _H.DECLINED, _H.CAPTURED, _H.CAPTURED]), lost=st.booleans()
    )
    def send(self, outcome: AttemptHappening, lost: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """The last attempt is sent, first or again; the processor does it once, and its answer may be lost."""
        number = len(self.payment.attempts)
        self.take(claim(self.payment, number, self.now))
        holds = self.payment.capture_method is CaptureMethod.MANUAL or (
            self.payment.screening_mode is ScreeningMode.BEFORE_CAPTURE
        )
        if number not in self.truths:
            paid = any(one.outcome in (_H.CAPTURED, _H.AUTHORIZED) for one in self.truths.values())
            begun = _H.DECLINED if paid else _H.AUTHORIZED if holds and outcome is _H.CAPTURED else outcome
            self.true(number, begun)
        told = self.truths[number].told(_S.ANSWER)
        heard = Verdict(_H.UNKNOWN, Cause(_S.ANSWER, "no answer")) if lost else told
        self.take(answered(self.payment, number, heard, self.now))

    @precondition(lambda self: bool(self.truths))
    @rule(place=PLACES, amount=st.sampled_from([2000, 2000, 1500]))
    def go_on(self, place: int, amount: int) -> None:
        """An attempt goes on at the processor: its customer, a bank, time or somebody there by hand."""
        number = max(self.truths)
        ahead = AHEAD.get(self.truths[number].outcome, ())
        if ahead:
            outcome = ahead[place % len(ahead)]
            partly = self.truths[number].outcome is _H.AUTHORIZED
            self.true(number, outcome, amount if partly else 2000)

    @precondition(lambda self: bool(self.news))
    @rule(place=PLACES)
    def hear_notice(self, place: int) -> None:
        """A notice comes, of now or of long ago."""
        said = self.news[-1 - place % len(self.news)].told(_S.NOTICE)
        if self.payment.may_be_old(said):
            self.take(ask_soon(self.payment, said.intent_id, self.now))
            return
        attempt = self.payment.about(said)
        if attempt is not None and not (attempt.state is AttemptState.CAPTURED and said.charge_id != attempt.charge_id):
            self.take(hear(self.payment, attempt.number, said, self.now))

    @precondition(lambda self: bool(self.truths))
    @rule()
    def look_up(self) -> None:
        """The processor is asked how the payment stands."""
        said = self.truths[max(self.truths)].told(_S.LOOK_UP)
        attempt = self.payment.about(said)
        if attempt is None:
            self.take(look_at(self.payment, self.now))
        elif attempt.number == len(self.payment.attempts):
            self.take(hear(self.payment, attempt.number, said, self.now))
        elif said.outcome in (_H.AUTHORIZED, _H.CAPTURED):
            self.take(answered(self.payment, len(self.payment.attempts), said, self.now))

    @rule(by=st.sampled_from([timedelta(minutes=1), timedelta(minutes=20), timedelta(hours=7), timedelta(days=4)]))
    def wait(self, by: timedelta) -> None:
        """Time passes, and what nobody decided on goes on."""
        self.now += by
        self.take(time_out(self.payment, self.now))

    @rule(amount=st.sampled_from([None, 2000, 1500]))
    def ask_to_capture(self, amount: int | None) -> None:
        """Somebody wants what is held."""
        with suppress(CounterfoilError):
            self.take(capturing.ask_to_capture(self.payment, amount, self.now))

    @precondition(lambda self: self.payment.amount_to_capture is not None)
    @rule(lost=st.booleans())
    def capture(self, lost: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """What was asked for is taken."""
        number, amount = capturing.hold_of(self.payment).number, self.payment.amount_to_capture
        assert amount is not None
        if self.truths[number].outcome is _H.AUTHORIZED:
            self.true(number, _H.CAPTURED, amount)
        if not lost:
            self.take(capturing.heard(self.payment, number, self.truths[number].told(_S.ANSWER), self.now))

    @rule()
    def ask_to_cancel(self) -> None:
        """Somebody does not want the payment any more."""
        with suppress(CounterfoilError):
            self.take(capturing.ask_to_cancel(self.payment, capturing.CANCELED_ON_REQUEST, self.now))

    @precondition(lambda self: self.payment.to_let_go(self.now) is not None)
    @rule(lost=st.booleans())
    def let_go(self, lost: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """What is to be let go is canceled at the processor, which may have something else by now."""
        attempt = self.payment.to_let_go(self.now)
        assert attempt is not None
        self.take(expire(self.payment, attempt.number, self.now))
        if self.truths[attempt.number].outcome in (_H.ACTION, _H.AUTHORIZED, _H.DECLINED):
            self.true(attempt.number, _H.CANCELED)
        if not lost:
            told = self.truths[attempt.number].told(_S.ANSWER)
            self.take(answered(self.payment, attempt.number, told, self.now))

    @rule()
    def cancel_order(self) -> None:
        """The order is not wanted any more."""
        self.take(cancel(self.payment, CANCELLATION, next(self.names), self.now))

    @rule(finding=st.sampled_from(Finding))
    def check(self, finding: Finding) -> None:
        """A fraud check, or a person, comes to a finding."""
        self.take(hear_check(self.payment, Check(self.payment.id, finding, Cause(_S.FRAUD_CHECK, "check")), self.now))

    @precondition(lambda self: self.payment.state is PaymentState.FAILED and len(self.truths) < 4)
    @rule()
    def pay_otherwise(self) -> None:
        """A customer pays with another card what failed and may be tried again."""
        last = self.truths.get(len(self.payment.attempts))
        unwanted = self.payment.cancel_requested_at is not None
        if self.payment.fraud_decision is not FraudDecision.DECLINED and not unwanted and _is_declined(last):
            self.take(try_again(self.payment, self.now))

    # Money that goes back.

    @rule(amount=st.sampled_from([None, 500, 1200]))
    def ask_back(self, amount: int | None) -> None:
        """Somebody asks money back, where there is so much."""
        with suppress(CounterfoilError):
            wish = Wish(self.payment.id, "key", amount)
            self.take(reserve(self.payment, wish, next(self.names), Cause(_S.ORDER, "key"), self.now))

    def _waiting(self) -> list[Course]:
        return [one for one in self.courses.values() if one.refund.state is RefundState.REQUESTED]

    @precondition(lambda self: bool(self._waiting()))
    @rule(outcome=st.sampled_from(RefundHappening))
    def give_back(self, outcome: RefundHappening) -> None:
        """The oldest refund that waits is sent: what does not fit is refused, and what is lost was made."""
        course = self._waiting()[0]
        refund, known = course.refund, f"re_{course.refund.id.int}"
        with_bank = any(one.status is not DisputeStatus.WON for one in self.disputes.values())
        if known not in self.refunds and (with_bank or self.gave() + refund.money.amount > self.taken):
            refused = RefundVerdict(RefundHappening.FAILED, Cause(_S.ANSWER, "refused"), failure_reason="refused")
            self.take(hear_refund(self.payment, course, refused, self.now))
            return
        lost = outcome is RefundHappening.UNKNOWN
        made = RefundVerdict(RefundHappening.PENDING if lost else outcome, Cause(_S.LOOK_UP, "look"), known)
        there = self.refunds.setdefault(known, Shown(refund.id, refund.money, None, made))
        said = RefundVerdict(outcome, Cause(_S.ANSWER, "no answer")) if lost else there.verdict
        self.take(hear_refund(self.payment, course, said, self.now))

    @precondition(lambda self: self.taken > 0)
    @rule(amount=st.sampled_from([300, 1500]))
    def give_back_by_hand(self, amount: int) -> None:
        """Somebody gives money back in the processor's own pages."""
        if self.gave() + amount <= self.taken:
            known = f"re_by_hand_{len(self.refunds)}"
            verdict = RefundVerdict(RefundHappening.PROCESSED, Cause(_S.LOOK_UP, "look"), known)
            self.refunds[known] = Shown(None, Money(amount, "EUR"), None, verdict)

    @precondition(lambda self: bool(self.refunds))
    @rule(place=PLACES, fails=st.booleans())
    def refund_goes_on(self, place: int, fails: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """A refund arrives, or fails after all."""
        standing = [key for key, one in self.refunds.items() if one.verdict.outcome is not RefundHappening.FAILED]
        if standing:
            key = standing[place % len(standing)]
            outcome = RefundHappening.FAILED if fails else RefundHappening.PROCESSED
            one = self.refunds[key]
            self.refunds[key] = replace(one, verdict=replace(one.verdict, outcome=outcome))

    @precondition(lambda self: self.payment.state is PaymentState.SUCCEEDED)
    @rule()
    def recount(self) -> None:
        """The charge is asked for its refunds."""
        listing = Listing(Cause(_S.LOOK_UP, "look"), tuple(self.refunds.values()), complete=True)
        courses = list(self.courses.values())
        for moved in compare(self.payment, courses, listing, lambda: next(self.names), self.now):
            self.take(moved)

    @precondition(lambda self: self.taken > 0)
    @rule(status=st.sampled_from(DisputeStatus), heard=st.booleans())
    def dispute(self, status: DisputeStatus, heard: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """The customer's bank opens a dispute, or decides on it."""
        before = self.disputes.get("dp_1")
        if (before is None) == (status is DisputeStatus.OPENED):
            funds = Funds.REINSTATED if status is DisputeStatus.WON else Funds.WITHDRAWN
            amount = before.money.amount if before else self.taken - self.gave()
            if amount > 0 and (before is None or before.status is DisputeStatus.OPENED):
                self.disputes["dp_1"] = Dispute("dp_1", status, Money(amount, "EUR"), "ch_1", START, funds=funds)
        if heard:
            self.hear_of_disputes()

    def hear_of_disputes(self) -> None:
        """Hear how the disputes stand."""
        for one in self.disputes.values():
            self.take(self.docket.hear(self.payment, one, Cause(_S.NOTICE, "notice"), self.now))

    # What must be so.

    @invariant()
    def conserves_money(self) -> None:
        """No more is given and asked back than was taken, by us or in truth; the facts come to the same."""
        payment = self.payment
        captured, refunded, reserved = payment.amount_captured, payment.amount_refunded, payment.amount_refund_reserved
        assert min(captured, refunded, reserved) >= 0
        assert refunded + reserved <= captured
        assert captured in (0, self.taken)
        assert (payment.state is PaymentState.SUCCEEDED) == (captured > 0)
        assert sum(one.captured is not None for one in self.truths.values()) <= 1
        assert reserved <= sum(one.refund.money.amount for one in self.courses.values() if one.refund.state in OPEN)
        ended = {fact.about.id: fact for fact in self.facts if isinstance(fact.about, Refund)}
        processed = [one.about for one in ended.values() if one.name is FactName.REFUND_PROCESSED]
        assert refunded == min(captured, sum(one.money.amount for one in processed if isinstance(one, Refund)))
        succeeded = [fact.payment.amount_captured for fact in self.facts if fact.name is FactName.PAYMENT_SUCCEEDED]
        assert succeeded == ([captured] if captured else [])

    @invariant()
    def says_what_is(self) -> None:
        """The last word of a payment's states is how it stands; nothing that is open waits for nothing."""
        entered = ON_ENTERING.get(self.payment.state)
        said = [fact.name for fact in self.facts if fact.name in ON_ENTERING.values()]
        assert entered is None or said[-1] is entered
        assert self.payment.state in FINAL or self.payment.next_check_at is not None
        told = [(fact.name, fact.about.id) for fact in self.facts if isinstance(fact.about, Refund)]
        assert len(told) == len(set(told))

    @override
    def teardown(self) -> None:
        """Once all is heard and done, both sides are the same, and a cancelled order keeps no money."""
        for _ in range(8):
            self.hear_of_disputes()
            self._go_round()
        standing = [one for one in self.refunds.values() if one.verdict.outcome is RefundHappening.PROCESSED]
        assert self.payment.amount_captured == self.taken
        assert self.payment.amount_refunded == sum(one.money.amount for one in standing)
        assert self.payment.amount_refund_reserved == 0
        assert self.payment.state in FINAL
        unreturned = any(one.refund.state is RefundState.FAILED for one in self.courses.values())
        lost = withdrawn(self.disputes.values())
        if self.payment.cancel_reason in set(CancelReason) and not unreturned and not lost:
            assert self.payment.amount_captured == self.payment.amount_refunded

    def _go_round(self) -> None:
        """Do what is due, hear what is true, and let what pends come to its end."""
        self.wait(timedelta(days=8))
        self._let_pending_end()
        self._ask_what_is_open()
        while self._waiting():
            self.give_back(RefundHappening.PROCESSED)
        if self.payment.state is PaymentState.SUCCEEDED:
            self.recount()

    def _ask_what_is_open(self) -> None:
        if self._may_be_sent():
            self.send(_H.DECLINED, lost=False)
        if self.truths and self.payment.next_check_at is not None:  # what has ended is not asked about any more
            said = self.truths[max(self.truths)].told(_S.LOOK_UP)
            attempt = self.payment.about(said)
            assert attempt is not None
            self.take(answered(self.payment, attempt.number, said, self.now))
        if self.payment.to_let_go(self.now) is not None:
            self.let_go(lost=False)
        elif self.payment.amount_to_capture is not None and self.payment.state is PaymentState.AUTHORIZED:
            self.capture(lost=False)

    def _let_pending_end(self) -> None:
        for number, truth in self.truths.items():
            if truth.outcome is _H.PROCESSING:
                self.true(number, _H.CAPTURED)
        for key, one in self.refunds.items():
            if one.verdict.outcome is RefundHappening.PENDING:
                self.refunds[key] = replace(one, verdict=replace(one.verdict, outcome=RefundHappening.PROCESSED))


def _is_declined(truth: Truth | None) -> bool:
    return truth is not None and truth.outcome is _H.DECLINED


Life.TestCase.settings = settings(max_examples=800, stateful_step_count=40, deadline=None, derandomize=True)
TestNoMoneyIsMadeOrLost = Life.TestCase
