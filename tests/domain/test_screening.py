"""A payment is screened: whichever comes first, the hold or the check, it ends the same."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from counterfoil.domain.acting import accept, claim, try_again
from counterfoil.domain.capturing import heard as refused_capture
from counterfoil.domain.explanation import Sends, explain
from counterfoil.domain.hearing import hear
from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Advance, CaptureMethod, FraudDecision, Payment, ScreeningMode
from counterfoil.domain.schedule import HOLD_MARGIN, REVIEW_LIFE, REVIEW_MARGIN, VERDICT_WITHIN
from counterfoil.domain.screening import (
    Check,
    Finding,
    Screening,
    Tried,
    decide,
    hear_check,
    is_under_review,
    over_the_limit,
    time_out,
)
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ID = UUID("01900000-0000-7000-8000-000000000001")
CHECKED = Cause(Source.FRAUD_CHECK, "check-1")
REFUSED = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)

Happening = Callable[[Payment], Advance]


def accepted(mode: ScreeningMode, *, claimed: bool = False, **fields: object) -> Payment:
    """A payment as it is accepted under that mode."""
    asked = Payment(
        id=ID,
        order_id="order-1",
        event_id="event-1",
        money=Money(1999, "EUR"),
        created_at=NOW,
        screening=True,
        screening_mode=mode,
        decide_by=NOW + VERDICT_WITHIN,
    )
    return accept(replace(asked, **fields), claimed=claimed, now=NOW).payment  # type: ignore[arg-type]  # the test names the fields


def found(finding: Finding) -> Happening:
    """A check comes."""
    return lambda payment: hear_check(payment, Check(ID, finding, CHECKED), NOW)


def heard(outcome: AttemptHappening, hold_ends_at: datetime | None = None) -> Happening:
    """The processor says something of the first attempt; of a hold perhaps when we must have let it go."""
    verdict = Verdict(
        outcome,
        Cause(Source.NOTICE, "evt_1"),
        "pi_1",
        "ch_1",
        decline=REFUSED if outcome is AttemptHappening.DECLINED else None,
        action=Action("https://bank.example") if outcome is AttemptHappening.ACTION else None,
        amount_captured=1999 if outcome is AttemptHappening.CAPTURED else None,
        hold_ends_at=None if hold_ends_at is None else hold_ends_at + HOLD_MARGIN,
    )
    return lambda payment: hear(payment, 1, verdict, NOW)


HOLD, CANCELED = heard(AttemptHappening.AUTHORIZED), heard(AttemptHappening.CANCELED)
APPROVED, DECLINED, REVIEW = (found(finding) for finding in Finding)


def told(payment: Payment, happenings: Sequence[Happening]) -> tuple[Payment, list[str]]:
    """Let a payment go through all of it; return it and the facts that were said."""
    said: list[str] = []
    for happening in happenings:
        advance = happening(payment)
        payment = advance.payment
        said += [fact.name.value for fact in advance.facts]
    return payment, said


def test_a_payment_screened_before_its_charge_waits_and_is_not_due() -> None:
    """Nothing is sent before the check; when nobody will have decided is when it is looked at next."""
    payment = accepted(ScreeningMode.BEFORE_CHARGE)
    assert payment.state is PaymentState.SCREENING
    assert payment.next_check_at == NOW + VERDICT_WITHIN


def test_a_payment_screened_before_its_capture_is_sent_at_once() -> None:
    """Only its money waits."""
    assert accepted(ScreeningMode.BEFORE_CAPTURE).state is PaymentState.REQUESTED
    assert accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True).state is PaymentState.PROCESSING


def test_an_approval_makes_it_due() -> None:
    """It stands where it would have without screening, to be sent now; that says nothing new."""
    payment, said = told(accepted(ScreeningMode.BEFORE_CHARGE), [APPROVED])
    assert (payment.state, payment.next_check_at, said) == (PaymentState.REQUESTED, NOW, [])


def test_a_decline_before_the_charge_fails_it_unsent() -> None:
    """PaymentFailed with fraud_suspected; another method would be no better."""
    payment, said = told(accepted(ScreeningMode.BEFORE_CHARGE), [DECLINED])
    (attempt,) = payment.attempts
    assert (payment.state, attempt.state, said) == (PaymentState.FAILED, AttemptState.DECLINED, ["PaymentFailed"])
    assert attempt.decline is not None
    assert (attempt.decline.reason, attempt.decline.can_retry) == (FailureReason.FRAUD_SUSPECTED, False)


FINDINGS = [APPROVED, DECLINED, REVIEW]
NAMES = {id(APPROVED): "approved", id(DECLINED): "declined", id(REVIEW): "review"}


@pytest.mark.parametrize(
    "checks", list(itertools.product(FINDINGS, repeat=3)), ids=lambda c: "-".join(NAMES[id(x)] for x in c)
)
@pytest.mark.parametrize("mode", [ScreeningMode.BEFORE_CHARGE, ScreeningMode.BEFORE_CAPTURE])
def test_the_first_check_that_decides_is_final(checks: tuple[Happening, ...], mode: ScreeningMode) -> None:
    """Whatever comes after it, twice or to the contrary; a review decides nothing, before it or after."""
    payment, _ = told(accepted(mode), checks)
    deciding = next((check for check in checks if check is not REVIEW), None)
    expected = {None: None, APPROVED: FraudDecision.APPROVED, DECLINED: FraudDecision.DECLINED}[deciding]
    assert payment.fraud_decision is expected
    assert is_under_review(payment) is (expected is None)


@pytest.mark.parametrize("doubled", [1, 2])
@pytest.mark.parametrize("others", [(), (REVIEW,), (DECLINED,), (REVIEW, DECLINED)], ids=["", "r", "d", "rd"])
def test_what_is_held_and_approved_is_captured_in_any_order(others: tuple[Happening, ...], doubled: int) -> None:
    """Hold and check, and what contradicts the check after it: the whole amount is to be captured, now."""
    seen = set()
    for order in itertools.permutations([HOLD, APPROVED, *others]):
        if DECLINED in order and order.index(DECLINED) < order.index(APPROVED):
            continue
        payment, said = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), [*order] * doubled)
        seen.add((payment.state, payment.amount_to_capture, payment.next_check_at, payment.screening, *said))
    assert seen == {(PaymentState.AUTHORIZED, 1999, NOW, False, "PaymentAuthorized")}


@pytest.mark.parametrize("others", [(), (REVIEW,), (APPROVED,), (REVIEW, APPROVED)], ids=["", "r", "a", "ra"])
def test_what_is_held_and_declined_is_let_go_in_any_order(others: tuple[Happening, ...]) -> None:
    """It is let go at once, and once Stripe says that it is, the payment failed: it was not canceled."""
    seen = set()
    for order in itertools.permutations([HOLD, DECLINED, *others]):
        if APPROVED in order and order.index(APPROVED) < order.index(DECLINED):
            continue
        held, before = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), order)
        payment, after = told(held, [CANCELED, CANCELED, HOLD])
        seen.add((held.state, held.let_go_at, held.amount_to_capture, payment.state, *before, *after))
        assert payment.attempts[0].decline is not None
        assert payment.attempts[0].decline.reason is FailureReason.FRAUD_SUSPECTED
    assert seen == {(PaymentState.AUTHORIZED, NOW, None, PaymentState.FAILED, "PaymentAuthorized", "PaymentFailed")}


def test_a_customer_who_is_awaited_is_let_go_as_well() -> None:
    """What was declined need not pass 3-D Secure first."""
    payment, _ = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), [heard(AttemptHappening.ACTION), DECLINED])
    assert (payment.state, payment.let_go_at) == (PaymentState.REQUIRES_ACTION, NOW)
    assert told(payment, [CANCELED])[0].state is PaymentState.FAILED


def test_what_waits_to_be_held_is_declined_unsent() -> None:
    """Queued for a worker, or certainly turned away before any work: nothing has to be let go."""
    queued = accepted(ScreeningMode.BEFORE_CAPTURE)
    away = Verdict(AttemptHappening.UNKNOWN, Cause(Source.ANSWER, "no answer"), executed=False)
    turned_away = hear(claim(queued, 1, NOW).payment, 1, away, NOW).payment
    for payment in (queued, turned_away):
        failed, said = told(payment, [DECLINED])
        assert (failed.state, failed.intent_id, said) == (PaymentState.FAILED, None, ["PaymentFailed"])


def test_what_may_have_been_held_is_asked_about_first() -> None:
    """Sent, and its answer lost: whether there is a hold to let go is not known yet."""
    payment, said = told(claim(accepted(ScreeningMode.BEFORE_CAPTURE), 1, NOW).payment, [DECLINED])
    assert (payment.state, said) == (PaymentState.PROCESSING, [])
    assert told(payment, [HOLD])[0].let_go_at == NOW


def test_a_card_that_was_declined_by_its_bank_stays_so() -> None:
    """The check's decline changes no reason, and drops the retry that was scheduled."""
    failed = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), [heard(AttemptHappening.DECLINED)])[0]
    payment, said = told(failed, [DECLINED])
    assert (payment.attempts[0].decline, said) == (REFUSED, [])
    waiting = replace(failed, state=PaymentState.PROCESSING, retry_at=NOW, next_check_at=NOW)
    dropped, said = told(waiting, [DECLINED])
    assert (dropped.state, dropped.retry_at, said) == (PaymentState.FAILED, None, ["PaymentFailed"])


def test_what_was_canceled_before_its_check_stays_canceled() -> None:
    """The news of the cancellation once more is no decline."""
    payment, _ = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), [CANCELED, DECLINED, CANCELED])
    assert payment.state is PaymentState.CANCELED


def test_money_taken_before_a_decline_alarms() -> None:
    """Somebody captured it by hand; the record stays, and a person has to see it."""
    taken = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), [heard(AttemptHappening.CAPTURED)])[0]
    advance = DECLINED(taken)
    assert (advance.payment.state, advance.facts) == (PaymentState.SUCCEEDED, ())
    assert advance.alarm is not None


def test_a_capture_that_was_refused_for_good_is_asked_for_once() -> None:
    """Whatever is heard after it: asked for again by itself it would be refused again, for ever."""
    sent = accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True)
    for order in ([HOLD, APPROVED], [APPROVED, HOLD]):
        held, _ = told(sent, order)
        refused = Verdict(AttemptHappening.UNKNOWN, Cause(Source.ANSWER, "req_1"), "pi_1", refused=True)
        payment = refused_capture(held, 1, refused, NOW).payment
        assert told(payment, [HOLD, APPROVED, DECLINED])[0].amount_to_capture is None


def test_what_is_approved_is_not_let_go_for_its_age() -> None:
    """Its capture may come late, and its hold still be there."""
    payment, _ = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), [HOLD])
    assert payment.let_go_at is not None
    assert told(payment, [APPROVED])[0].let_go_at is None


def test_a_manual_capture_stays_the_merchants() -> None:
    """Approved, and yet nothing is captured that nobody asked for."""
    asked = accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True, capture_method=CaptureMethod.MANUAL)
    assert told(asked, [HOLD, APPROVED])[0].amount_to_capture is None


def test_a_payment_that_is_not_screened_hears_no_check() -> None:
    """Nothing was asked for, so nothing is decided."""
    payment = accepted(ScreeningMode.NONE, screening=False, decide_by=None)
    assert DECLINED(payment) == Advance(payment)


@pytest.mark.parametrize(
    ("finding", "score", "expected"),
    [
        (Finding.APPROVED, 89.9, Finding.APPROVED),
        (Finding.APPROVED, 90, Finding.DECLINED),
        (Finding.MANUAL_REVIEW, 100, Finding.DECLINED),
        (Finding.DECLINED, 0, Finding.DECLINED),
        (Finding.MANUAL_REVIEW, None, Finding.MANUAL_REVIEW),
    ],
)
def test_from_a_risk_score_on_a_check_declines(finding: Finding, score: float | None, expected: Finding) -> None:
    """Whatever else it says; a check without a score is taken at its word."""
    assert Screening().finding(finding, score) is expected


def test_no_check_in_time_is_a_review_and_no_review_in_time_a_decline() -> None:
    """Not a moment earlier; while nothing is held a person has three days."""
    payment = accepted(ScreeningMode.BEFORE_CHARGE)
    early = time_out(payment, NOW + VERDICT_WITHIN - timedelta(seconds=1)).payment
    assert early == payment
    asked = time_out(payment, NOW + VERDICT_WITHIN).payment
    limit = NOW + VERDICT_WITHIN + REVIEW_LIFE
    assert (is_under_review(asked), asked.state, asked.next_check_at) == (True, PaymentState.SCREENING, limit)
    assert time_out(asked, limit - timedelta(seconds=1)).payment == asked
    ended = time_out(asked, limit)
    assert (ended.payment.state, ended.payment.fraud_decision) == (PaymentState.FAILED, FraudDecision.DECLINED)
    assert [(fact.name.value, fact.cause.source) for fact in ended.facts] == [("PaymentFailed", Source.TIMER)]


def test_asking_for_a_review_again_gives_no_more_time() -> None:
    """The limit counts from the first."""
    asked = REVIEW(accepted(ScreeningMode.BEFORE_CHARGE)).payment
    later = hear_check(asked, Check(ID, Finding.MANUAL_REVIEW, CHECKED), NOW + timedelta(hours=1))
    assert later.payment == asked


ENDS = NOW + timedelta(days=6, hours=23)


def held_until(payment: Payment) -> Payment:
    """The payment, with its hold ending at ENDS, as it next hears of it."""
    return heard(AttemptHappening.AUTHORIZED, ENDS)(payment).payment


def test_a_review_ends_an_hour_before_the_hold_would() -> None:
    """Whichever is first, the hold or the review."""
    sent = accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True)
    for payment in (held_until(REVIEW(sent).payment), REVIEW(held_until(sent)).payment):
        assert payment.decide_by == ENDS - REVIEW_MARGIN
        assert time_out(payment, ENDS - REVIEW_MARGIN).payment.let_go_at == ENDS - REVIEW_MARGIN


def test_a_check_is_not_waited_for_beyond_the_hold() -> None:
    """A hold shorter than a check's time leaves it less; a longer one changes nothing."""
    sent = accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True)
    assert held_until(sent).decide_by == NOW + VERDICT_WITHIN
    short = heard(AttemptHappening.AUTHORIZED, NOW + REVIEW_MARGIN)(sent).payment
    assert short.decide_by == NOW


def test_what_ended_by_something_else_waits_for_nobody() -> None:
    """The card was declined meanwhile: no person is bothered; tried again, it waits for its check again."""
    failed = told(accepted(ScreeningMode.BEFORE_CAPTURE, claimed=True), [heard(AttemptHappening.DECLINED)])[0]
    over = time_out(failed, NOW + VERDICT_WITHIN).payment
    assert (over.screening, over.reviewing) == (False, False)
    later = NOW + timedelta(days=1)
    again = try_again(over, later).payment
    assert (again.screening, again.decide_by) == (True, later + VERDICT_WITHIN)
    assert try_again(failed, NOW).payment.decide_by == failed.decide_by
    approved = APPROVED(over).payment
    assert not try_again(approved, later).payment.screening


def test_a_persons_decision_is_as_final_as_a_checks() -> None:
    """Nothing that comes after changes it."""
    asked = REVIEW(accepted(ScreeningMode.BEFORE_CHARGE)).payment
    payment = decide(asked, FraudDecision.APPROVED, Cause(Source.REVIEW, "ada"), NOW).payment
    assert told(payment, [DECLINED])[0] == payment


def wishes(*customers: str | None, events: Sequence[str] = ()) -> list[tuple[UUID, Order]]:
    named = events or [f"event-{number}" for number, _ in enumerate(customers)]
    return [
        (UUID(int=number), Order(event, "order", Money(1, "EUR"), "pm", customer_id=customer))
        for number, (customer, event) in enumerate(zip(customers, named, strict=True))
    ]


def test_the_eleventh_attempt_within_the_hour_is_one_too_many() -> None:
    """Those before and those of the same batch count alike; others' do not, nor those of nobody we know."""
    asked = wishes("ada", "bob", "ada", None, "ada")
    tried = {"ada": Tried(8, NOW - timedelta(minutes=59, seconds=30))}
    assert over_the_limit(asked, tried, (), NOW) == {UUID(int=4): 30}
    assert over_the_limit(wishes(*[None] * 20), {}, (), NOW) == {}
    assert list(over_the_limit(wishes(*["eve"] * 11), {}, (), NOW).values()) == [3600]


def test_an_event_counts_once() -> None:
    """What repeats another is no further attempt, in the same batch or after it."""
    asked = wishes(*["ada"] * 4, events=["e-1", "e-1", "e-2", "e-3"])
    assert over_the_limit(asked, {"ada": Tried(9, NOW)}, ["e-2"], NOW) == {UUID(int=3): 3600}


def test_a_screened_payment_is_explained() -> None:
    """What is awaited, until when, and what comes then; once it is decided, how."""
    sends = [Sends("event-1", None, None, None)]
    waiting = explain(accepted(ScreeningMode.BEFORE_CHARGE), sends, NOW)
    assert waiting.unknown == ("Whether the fraud check approves it.",)
    assert [(one.at, "a person is asked" in one.what) for one in waiting.ahead] == [
        (None, False),
        (NOW + VERDICT_WITHIN, True),
    ]
    reviewed = explain(REVIEW(accepted(ScreeningMode.BEFORE_CHARGE)).payment, sends, NOW)
    assert reviewed.unknown == ("Whether the person who reviews it approves it.",)
    assert reviewed.ahead[-1].at == NOW + REVIEW_LIFE
    approved = explain(APPROVED(accepted(ScreeningMode.BEFORE_CHARGE)).payment, sends, NOW)
    assert "Its fraud screening approved it." in approved.known
    assert [one.what for one in approved.ahead] == ["A worker sends it."]
