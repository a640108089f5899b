"""Several attempts at one payment, outcomes that stay unknown, and how each of them ends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from counterfoil.domain.acting import accept, claim, expire, look_at, try_again
from counterfoil.domain.facts import FactName
from counterfoil.domain.hearing import answered, hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, CaptureMethod, Payment
from counterfoil.domain.schedule import (
    ABSENCE_PROOF,
    ACTION_LIFE,
    CLAIM,
    DOUBT_AFTER,
    LATE_EFFECT,
    LOOK_UPS_AFTER,
)
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Settling, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLINE = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)
REFUSED = Decline(FailureReason.AUTHENTICATION_REQUIRED, "authentication_failed", "Not identified.", can_retry=True)

H, S = AttemptHappening, AttemptState


def accepted(capture_method: CaptureMethod = CaptureMethod.AUTOMATIC) -> Payment:
    wish = Payment(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        order_id="order-1",
        event_id="event-1",
        money=Money(1999, "EUR"),
        created_at=NOW,
        capture_method=capture_method,
    )
    return accept(wish, claimed=True, now=NOW).payment


def said(
    outcome: AttemptHappening,
    charge_id: str | None = None,
    source: Source = Source.ANSWER,
    decline: Decline = DECLINE,
    captured: int = 1999,
    **more: object,
) -> Verdict:
    verdict = Verdict(
        outcome,
        Cause(source, "reference"),
        intent_id="pi_1",
        charge_id=charge_id,
        amount_captured=captured if outcome is H.CAPTURED else None,
        decline=decline if outcome is H.DECLINED else None,
        action=Action("https://bank.example/3ds") if outcome is H.ACTION else None,
    )
    return replace(verdict, **more)  # type: ignore[arg-type]  # whatever a test wants to be so


def failed(charge_id: str | None = "ch_1", decline: Decline = DECLINE) -> Payment:
    return hear(accepted(), 1, said(H.DECLINED, charge_id, decline=decline), NOW).payment


def names(advance: Advance) -> list[FactName]:
    return [fact.name for fact in advance.facts]


def states(payment: Payment) -> list[AttemptState]:
    return [attempt.state for attempt in payment.attempts]


def test_trying_again_adds_an_attempt_and_announces_it() -> None:
    """Sent by whoever adds it, with its outcome unknown from now on; the payment is open again."""
    advance = try_again(failed(), NOW)
    assert (advance.payment.state, states(advance.payment)) == (PaymentState.PROCESSING, [S.DECLINED, S.SENT])
    assert (names(advance), advance.payment.version) == ([FactName.PAYMENT_REQUESTED], 3)
    assert (advance.payment.next_check_at, advance.payment.attempts[1].unknown_since) == (NOW + CLAIM, NOW)


@pytest.mark.parametrize("outcome", [H.CAPTURED, H.ACTION, H.PROCESSING, H.AUTHORIZED, H.CANCELED, H.UNKNOWN])
def test_nothing_but_a_failed_payment_is_tried_again(outcome: AttemptHappening) -> None:
    """To ask for it in any other state is a mistake of ours."""
    payment = hear(accepted(), 1, said(outcome), NOW).payment
    with pytest.raises(AssertionError):
        try_again(payment, NOW)


def test_each_failure_of_an_attempt_is_told() -> None:
    """The second attempt fails as the first one did: the payment failed once more, and says so."""
    renewed = try_again(failed(), NOW).payment
    again = hear(renewed, 2, said(H.DECLINED, "ch_2"), NOW)
    assert (again.payment.state, names(again)) == (PaymentState.FAILED, [FactName.PAYMENT_FAILED])


def test_an_earlier_attempts_refusal_is_not_the_later_ones() -> None:
    """Without a charge only its words tell them apart: while the later one is unheard it is the earlier's."""
    renewed = try_again(failed(charge_id=None, decline=REFUSED), NOW).payment
    late = renewed.about(said(H.DECLINED, source=Source.NOTICE, decline=REFUSED))
    other = renewed.about(said(H.DECLINED, source=Source.NOTICE, decline=DECLINE))
    assert (late, other) == (renewed.attempts[0], renewed.attempts[1])


def test_money_without_a_known_charge_is_the_later_attempts() -> None:
    """An earlier attempt that ended without a charge gets none any more."""
    renewed = try_again(failed(charge_id=None, decline=REFUSED), NOW).payment
    assert renewed.about(said(H.CAPTURED, "ch_2", Source.NOTICE)) == renewed.attempts[1]


@pytest.mark.parametrize(
    ("so_far", "outcome", "charge_id", "old"),
    [
        (H.UNKNOWN, H.ACTION, None, True),
        (H.UNKNOWN, H.DECLINED, None, False),
        (H.ACTION, H.DECLINED, None, True),
        (H.ACTION, H.DECLINED, "ch_2", False),
        (H.ACTION, H.ACTION, None, False),
        (H.PROCESSING, H.DECLINED, None, True),
        (H.AUTHORIZED, H.DECLINED, None, True),
        (H.ACTION, H.CANCELED, None, False),
        (H.DECLINED, H.DECLINED, None, False),
        (H.CAPTURED, H.DECLINED, None, False),
    ],
)
def test_what_may_be_news_of_an_earlier_attempt(
    so_far: AttemptHappening,
    outcome: AttemptHappening,
    charge_id: str | None,
    old: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """What has no charge, and would move an attempt that is open, may be old; of a first attempt nothing is."""
    news = said(outcome, charge_id, Source.NOTICE)
    second = hear(try_again(failed(), NOW).payment, 2, said(so_far), NOW).payment
    first = hear(accepted(), 1, said(so_far), NOW).payment
    assert (second.may_be_old(news), first.may_be_old(news)) == (old, False)


def test_late_money_of_the_first_attempt_answers_the_second() -> None:
    """The processor refuses the second because the first was paid after all: the first has it, the second none."""
    renewed = try_again(failed("ch_1"), NOW).payment
    advance = answered(renewed, 2, said(H.CAPTURED, "ch_1"), NOW)
    assert (advance.payment.state, states(advance.payment)) == (PaymentState.SUCCEEDED, [S.CAPTURED, S.CANCELED])
    assert (names(advance), advance.payment.amount_captured) == ([FactName.PAYMENT_SUCCEEDED], 1999)


def test_an_answer_with_its_own_charge_is_its_own() -> None:
    """Nothing of the first attempt moves."""
    renewed = try_again(failed("ch_1"), NOW).payment
    paid = answered(renewed, 2, said(H.CAPTURED, "ch_2"), NOW).payment
    assert states(paid) == [S.DECLINED, S.CAPTURED]


def test_a_customer_has_the_time_the_processor_gave_or_else_ours() -> None:
    """Overdue from that moment on, and not before."""
    ours = hear(accepted(), 1, said(H.ACTION), NOW).payment
    until = NOW + timedelta(days=3)
    theirs = hear(accepted(), 1, said(H.ACTION, action=Action("https://bank.example", until)), NOW).payment
    for payment, ends in ((ours, NOW + ACTION_LIFE), (theirs, until)):
        assert payment.to_let_go(ends - timedelta(seconds=1)) is None
        assert payment.to_let_go(ends) == payment.attempts[0]


def test_who_has_acted_is_not_overdue() -> None:
    """Whatever the customer's doing came to, there is nothing left to let go."""
    asked = hear(accepted(), 1, said(H.ACTION), NOW).payment
    for outcome in (H.PROCESSING, H.AUTHORIZED, H.CAPTURED, H.DECLINED, H.CANCELED):
        assert hear(asked, 1, said(outcome, "ch_1"), NOW).payment.to_let_go(NOW + 2 * ACTION_LIFE) is None


def test_a_look_falls_on_the_end_of_the_customers_time() -> None:
    """However far away the schedule's next one is, it is let go in time."""
    payment, now = hear(accepted(), 1, said(H.ACTION), NOW).payment, NOW
    while payment.to_let_go(now) is None:
        payment = look_at(payment, now).payment
        assert payment.next_check_at is not None
        now = payment.next_check_at
    assert now == NOW + ACTION_LIFE


def test_expiring_marks_when_it_began_and_holds_the_claim() -> None:
    """Nothing is said yet: the customer may still be faster. Marked once, counted from then on."""
    asked = hear(accepted(), 1, said(H.ACTION), NOW).payment
    late = NOW + ACTION_LIFE
    once = expire(asked, 1, late)
    again = expire(look_at(once.payment, late).payment, 1, late + LOOK_UPS_AFTER[0])
    assert (once.facts, once.payment.state, once.payment.checks) == ((), PaymentState.REQUIRES_ACTION, 0)
    assert once.payment.next_check_at == late + CLAIM
    assert (again.payment.attempts[0].expired_at, again.payment.checks) == (late, 1)


def test_another_amount_is_recorded_and_alarms() -> None:
    """The processor's money is what there is; that it is not what was asked for, a person sees."""
    for amount in (1998, 2000):
        advance = hear(accepted(), 1, said(H.CAPTURED, "ch_1", captured=amount, currency="EUR"), NOW)
        assert (advance.payment.state, advance.payment.amount_captured) == (PaymentState.SUCCEEDED, amount)
        assert advance.alarm is not None


def test_less_than_was_held_is_no_contradiction() -> None:
    """Manual capture may take a part, and no more than all."""
    held = accepted(CaptureMethod.MANUAL)
    part = hear(held, 1, said(H.CAPTURED, "ch_1", captured=500, currency="EUR"), NOW)
    more = hear(held, 1, said(H.CAPTURED, "ch_1", captured=2000, currency="EUR"), NOW)
    assert (part.alarm, more.alarm is not None) == (None, True)


@pytest.mark.parametrize("outcome", [H.CAPTURED, H.AUTHORIZED, H.DECLINED, H.ACTION])
def test_another_currency_moves_nothing_and_alarms(outcome: AttemptHappening) -> None:
    """It cannot be recorded in the payment's own; it is looked at again."""
    advance = hear(accepted(), 1, said(outcome, "ch_1", currency="USD"), NOW)
    assert (states(advance.payment), advance.facts, advance.payment.intent_id) == ([S.SENT], (), None)
    assert (advance.alarm is not None, advance.payment.next_check_at) == (True, NOW + LOOK_UPS_AFTER[0])


@pytest.mark.parametrize("settling", [Settling.ASK, Settling.STOP])
def test_what_sending_cannot_tell_is_asked_at_once(settling: Settling) -> None:
    """Then on the schedule from its beginning; heard again, it changes nothing."""
    waited = hear(hear(accepted(), 1, said(H.UNKNOWN), NOW).payment, 1, said(H.UNKNOWN), NOW).payment
    payment = hear(waited, 1, said(H.UNKNOWN, settling=settling), NOW).payment
    assert (payment.next_check_at, payment.checks, payment.attempts[0].settling) == (NOW, 0, settling)
    asked = hear(payment, 1, said(H.UNKNOWN, source=Source.LOOK_UP), NOW).payment
    assert (asked.next_check_at, asked.attempts[0].settling) == (NOW + LOOK_UPS_AFTER[0], settling)


def test_a_key_used_for_another_request_is_in_doubt_at_once() -> None:
    """Something is wrong that a person must see: said at once, and once, also when a quarter of an hour has passed."""
    stopped = hear(accepted(), 1, said(H.UNKNOWN, settling=Settling.STOP, alarm="used before"), NOW)
    later = look_at(stopped.payment, NOW + DOUBT_AFTER)
    assert (stopped.payment.state, names(stopped)) == (PaymentState.IN_DOUBT, [FactName.PAYMENT_IN_DOUBT])
    assert (stopped.alarm, names(later)) == ("used before", [])
    settled = hear(later.payment, 1, said(H.CAPTURED, "ch_1", Source.LOOK_UP), NOW)
    assert (settled.payment.state, settled.payment.attempts[0].settling) == (PaymentState.SUCCEEDED, Settling.RESEND)


def absent(payment: Payment, at: datetime) -> Payment:
    """The payment after a complete listing at that time showed nothing of it."""
    return hear(payment, 1, said(H.UNKNOWN, source=Source.LOOK_UP, absent=True), at).payment


def test_two_listings_an_hour_apart_are_a_proof() -> None:
    """One second less than an hour, and it is none."""
    once = absent(accepted(), NOW)
    early = absent(once, NOW + ABSENCE_PROOF - timedelta(seconds=1))
    proven = absent(once, NOW + ABSENCE_PROOF)
    assert (states(early), states(proven)) == ([S.SENT], [S.DECLINED])
    decline = proven.attempts[0].decline
    assert decline is not None
    assert (decline.code, decline.can_retry) == ("never_arrived", True)


def test_what_may_still_be_carried_out_is_not_called_absent_for_48_hours() -> None:
    """After an error of the processor's own absence counts only once the late effect can no longer come."""
    payment = hear(accepted(), 1, said(H.UNKNOWN, lingers=True, settling=Settling.ASK), NOW).payment
    for hours in (1, 3, 47):
        payment = absent(payment, NOW + timedelta(hours=hours))
    assert (states(payment), payment.attempts[0].absent_since) == ([S.SENT], None)
    counted = absent(payment, NOW + LATE_EFFECT)
    proven = absent(counted, NOW + LATE_EFFECT + ABSENCE_PROOF)
    assert (states(counted), states(proven)) == ([S.SENT], [S.DECLINED])


def test_an_error_after_an_absence_undoes_it() -> None:
    """An answer that comes very late says that there may still be an effect: not to have seen it proves nothing."""
    once = absent(accepted(), NOW)
    lingering = hear(once, 1, said(H.UNKNOWN, lingers=True, settling=Settling.ASK), NOW).payment
    assert states(absent(lingering, NOW + ABSENCE_PROOF)) == [S.SENT]


def test_looks_fall_on_the_moments_that_matter() -> None:
    """When a late effect can no longer come, and when absence is proven, it is looked at whatever the schedule says."""
    payment = hear(accepted(), 1, said(H.UNKNOWN, lingers=True, settling=Settling.ASK), NOW).payment
    now, looks = NOW, []
    while payment.state is not PaymentState.FAILED:
        payment = absent(payment, now)
        now = payment.next_check_at or now
        looks.append(now)
    assert NOW + LATE_EFFECT in looks
    assert NOW + LATE_EFFECT + ABSENCE_PROOF in looks
    assert len(looks) < 30


def test_a_send_again_that_was_turned_away_keeps_the_doubt_about_the_first() -> None:
    """Not carried out is said of one send: where an earlier one may have been, the outcome stays unknown since then."""
    again = claim(accepted(), 1, NOW + CLAIM).payment
    heard = hear(again, 1, said(H.UNKNOWN, settling=Settling.RETRY), NOW + CLAIM).payment
    assert (heard.attempts[0].exposed, heard.attempts[0].unknown_since) == (True, NOW)
