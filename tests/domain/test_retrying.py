"""When a declined stored method is tried again by ourselves, when not, and what ends the plan."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from counterfoil.domain.acting import accept, ask_soon, claim, try_again
from counterfoil.domain.explanation import Ahead, Sends, explain
from counterfoil.domain.facts import FactName
from counterfoil.domain.hearing import answered, hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, FraudDecision, Payment
from counterfoil.domain.retrying import give_up_retrying, try_once_more
from counterfoil.domain.schedule import TRIES_OF_OURS, TRY_ANEW_AFTER
from counterfoil.domain.standing import settle
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Cause, Decline, FailureReason, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLINE = Decline(FailureReason.INSUFFICIENT_FUNDS, "insufficient_funds", "Too little there.", can_retry=True)
CAUSE = Cause(Source.ANSWER, "req_1")
CANCELLED = Cause(Source.ORDER, "cancellation")


def sent(**changes: object) -> Payment:
    """A payment of a stored method without its customer, whose first attempt was sent."""
    asked = Payment(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        order_id="order-1",
        event_id="event-1",
        money=Money(1999, "EUR"),
        created_at=NOW,
        off_session=True,
        stored_method=True,
    )
    return replace(accept(asked, claimed=True, now=NOW).payment, **changes)  # type: ignore[arg-type]  # any field of it


def declined(charge_id: str = "ch_1", *, may_pass: bool = True, source: Source = Source.ANSWER) -> Verdict:
    cause = Cause(source, "reference")
    return Verdict(AttemptHappening.DECLINED, cause, "pi_1", charge_id, decline=DECLINE, may_pass=may_pass)


def captured(charge_id: str = "ch_1") -> Verdict:
    return Verdict(AttemptHappening.CAPTURED, CAUSE, "pi_1", charge_id, amount_captured=1999)


def waiting() -> Payment:
    """The same after its first attempt was declined."""
    return hear(sent(), 1, declined(), NOW).payment


def names(advance: Advance) -> list[FactName]:
    return [fact.name for fact in advance.facts]


def test_a_decline_that_may_pass_is_tried_again_in_ten_minutes() -> None:
    """The payment is still processing, says which attempt failed and when the next is made, and is looked at then."""
    advance = hear(sent(), 1, declined(), NOW)
    due = NOW + TRY_ANEW_AFTER
    assert names(advance) == [FactName.PAYMENT_ATTEMPT_FAILED]
    assert (advance.payment.state, advance.payment.retry_at) == (PaymentState.PROCESSING, due)
    assert (advance.payment.next_check_at, advance.facts[0].payment.retry_at) == (due, due)


def test_the_third_decline_is_the_last() -> None:
    """Three attempts of ours, two of them announced anew, then PaymentFailed and nothing more."""
    payment, now, said = sent(), NOW, []
    for number in range(1, TRIES_OF_OURS + 1):
        heard = hear(payment, number, declined(f"ch_{number}"), now)
        said += names(heard)
        payment = heard.payment
        if payment.retry_at is not None:
            now = payment.retry_at
            more = try_once_more(payment, now)
            said += names(more)
            payment = claim(more.payment, number + 1, now).payment
    failed, again = FactName.PAYMENT_ATTEMPT_FAILED, FactName.PAYMENT_REQUESTED
    assert said == [failed, again, failed, again, FactName.PAYMENT_FAILED]
    assert (payment.state, payment.retry_at, payment.next_check_at) == (PaymentState.FAILED, None, None)


@pytest.mark.parametrize(
    ("payment", "decline"),
    [
        (sent(off_session=False), declined()),
        (sent(stored_method=False), declined()),
        (sent(cancel_requested_at=NOW), declined()),
        (sent(fraud_decision=FraudDecision.DECLINED), declined()),
        (sent(), declined(may_pass=False)),
    ],
    ids=["customer there", "method not stored", "order cancelled", "suspected fraud", "will not pass"],
)
def test_without_any_one_condition_a_decline_is_final(payment: Payment, decline: Verdict) -> None:
    """Each condition by itself keeps us from trying again."""
    advance = hear(payment, 1, decline, NOW)
    assert (advance.payment.state, advance.payment.retry_at) == (PaymentState.FAILED, None)
    assert names(advance) == [FactName.PAYMENT_FAILED]


def test_a_further_attempt_is_queued_and_announced() -> None:
    """It is due at once for whoever sends; nothing of it is exposed yet, so its first refusal is proof."""
    advance = try_once_more(waiting(), NOW + TRY_ANEW_AFTER)
    last = advance.payment.attempts[-1]
    assert (last.number, last.state, last.exposed) == (2, AttemptState.QUEUED, False)
    assert (advance.payment.state, advance.payment.retry_at) == (PaymentState.PROCESSING, None)
    assert advance.payment.next_check_at == NOW + TRY_ANEW_AFTER
    assert names(advance) == [FactName.PAYMENT_REQUESTED]
    assert [fact.payment.version for fact in advance.facts] == [advance.payment.version]


def test_the_late_success_of_the_declined_attempt_ends_the_plan() -> None:
    """The money came after all: nobody charges again."""
    late = hear(waiting(), 1, captured(), NOW)
    assert (late.payment.state, late.payment.retry_at) == (PaymentState.SUCCEEDED, None)
    assert names(late) == [FactName.PAYMENT_SUCCEEDED]


def test_the_late_success_while_the_further_attempt_is_queued_leaves_it_unsent() -> None:
    """A payment that has its money is not due any more, so nobody claims what was queued."""
    queued = try_once_more(waiting(), NOW + TRY_ANEW_AFTER).payment
    late = hear(queued, 1, captured(), NOW).payment
    assert (late.state, late.next_check_at) == (PaymentState.SUCCEEDED, None)


def test_a_further_attempt_that_meets_the_late_success_is_not_a_second_charge() -> None:
    """Stripe refuses to confirm what is paid and shows the first charge: the first attempt has the money."""
    tried = claim(try_once_more(waiting(), NOW + TRY_ANEW_AFTER).payment, 2, NOW + TRY_ANEW_AFTER).payment
    met = answered(tried, 2, captured("ch_1"), NOW + TRY_ANEW_AFTER).payment
    assert [attempt.state for attempt in met.attempts] == [AttemptState.CAPTURED, AttemptState.CANCELED]
    assert (met.state, met.retry_at) == (PaymentState.SUCCEEDED, None)


def test_a_cancelled_order_drops_the_plan() -> None:
    """The decline becomes final at once, and is said so."""
    before = waiting()
    dropped = settle(before, replace(before, cancel_requested_at=NOW), CANCELLED, NOW)
    assert (dropped.payment.state, dropped.payment.retry_at) == (PaymentState.FAILED, None)
    assert names(dropped) == [FactName.PAYMENT_FAILED]


def test_what_was_canceled_at_the_processor_is_not_tried_again() -> None:
    """Nothing can be confirmed there any more, whichever of the two is heard first."""
    canceled = Verdict(AttemptHappening.CANCELED, CAUSE, "pi_1")
    after = hear(waiting(), 1, canceled, NOW)
    before = hear(hear(sent(), 1, canceled, NOW).payment, 1, declined(), NOW)
    assert (after.payment.state, after.payment.retry_at) == (PaymentState.FAILED, None)
    assert (before.payment.state, before.payment.retry_at) == (PaymentState.FAILED, None)


def test_the_same_decline_heard_again_plans_no_second_time() -> None:
    """The answer, its notices and a look-up: one plan, said once, at the time of the first."""
    first, later = waiting(), NOW + timedelta(minutes=3)
    for source in (Source.NOTICE, Source.LOOK_UP):
        again = hear(first, 1, declined(source=source), later)
        assert (again.payment.retry_at, names(again)) == (first.retry_at, [])
        assert again.payment.next_check_at == first.retry_at


def test_a_late_decline_of_an_earlier_attempt_plans_nothing() -> None:
    """Only the last attempt's decline is news of how the payment goes on."""
    queued = try_once_more(waiting(), NOW + TRY_ANEW_AFTER).payment
    heard = hear(queued, 1, declined(source=Source.NOTICE), NOW + TRY_ANEW_AFTER).payment
    assert heard.retry_at is None


def test_a_method_given_by_the_customer_is_not_tried_again() -> None:
    """Whoever gives another method learns at once how it ends."""
    failed = hear(sent(), 1, declined(may_pass=False), NOW).payment
    renewed = try_again(failed, NOW).payment
    assert hear(renewed, 2, declined("ch_2"), NOW).payment.state is PaymentState.FAILED


def test_a_retry_that_turns_out_to_be_impossible_is_given_up() -> None:
    """The last decline stands, and is said to be final."""
    given_up = give_up_retrying(waiting(), NOW + TRY_ANEW_AFTER)
    assert (given_up.payment.state, given_up.payment.retry_at) == (PaymentState.FAILED, None)
    assert names(given_up) == [FactName.PAYMENT_FAILED]


def test_a_hint_meanwhile_does_not_put_the_retry_off() -> None:
    """It is asked about at once, and the next look is the retry's time again."""
    hinted = ask_soon(waiting(), "pi_1", NOW).payment
    looked = hear(hinted, 1, declined(source=Source.LOOK_UP), NOW).payment
    assert (NOW, waiting().retry_at) == (hinted.next_check_at, looked.next_check_at)


def test_the_plan_is_explained() -> None:
    """A person reads when it is tried again, and which attempt that is."""
    payment = waiting()
    explained = explain(payment, [Sends("event-1", NOW, NOW, None)], NOW)
    sentence = "The same method is charged once more, without its customer: attempt 2 of at most 3."
    assert explained.ahead == (Ahead(payment.retry_at, sentence),)
