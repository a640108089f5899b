"""What may be captured and canceled, and what is asked for by it; no store, no processor."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from counterfoil.domain.acting import accept
from counterfoil.domain.capturing import CANCELED_ON_REQUEST, ask_to_cancel, ask_to_capture, heard
from counterfoil.domain.errors import AmountRefused, WrongState
from counterfoil.domain.facts import FactName
from counterfoil.domain.hearing import hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import CaptureMethod, Payment, ScreeningMode
from counterfoil.domain.schedule import HOLD_LIFE, HOLD_MARGIN
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Cause, Decline, FailureReason, Settling, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLINE = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)


def accepted(capture_method: CaptureMethod = CaptureMethod.MANUAL, *, claimed: bool = True) -> Payment:
    asked = Payment(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        order_id="order-1",
        event_id="event-1",
        money=Money(1999, "EUR"),
        created_at=NOW,
        capture_method=capture_method,
    )
    return accept(asked, claimed=claimed, now=NOW).payment


def said(outcome: AttemptHappening, source: Source = Source.ANSWER, **more: object) -> Verdict:
    decline = DECLINE if outcome is AttemptHappening.DECLINED else None
    fields = {"intent_id": "pi_1", "charge_id": "ch_1", "decline": decline} | more
    return Verdict(outcome, Cause(source, "reference"), **fields)  # type: ignore[arg-type]  # each test names its own


def held(capture_method: CaptureMethod = CaptureMethod.MANUAL, ends_at: datetime | None = None) -> Payment:
    verdict = said(AttemptHappening.AUTHORIZED, hold_ends_at=ends_at)
    return hear(accepted(capture_method), 1, verdict, NOW).payment


def test_asking_for_all_of_it_asks_for_the_payments_amount() -> None:
    """It is due at once, and until it is heard of the payment stays what it is: a hold."""
    advance = ask_to_capture(held(), None, NOW)
    payment = advance.payment
    assert (payment.state, payment.amount_to_capture, payment.next_check_at) == (PaymentState.AUTHORIZED, 1999, NOW)
    assert advance.facts == ()


def test_asking_again_changes_nothing() -> None:
    """The same amount is the same capture."""
    once = ask_to_capture(held(), 500, NOW).payment
    assert once == ask_to_capture(once, 500, NOW + timedelta(seconds=5)).payment


def test_an_order_that_wants_all_of_its_money_is_not_captured_in_part() -> None:
    """Held only to be judged first, it is paid whole or not at all."""
    automatic = held(CaptureMethod.AUTOMATIC)
    with pytest.raises(WrongState):
        ask_to_capture(automatic, 500, NOW)
    assert ask_to_capture(automatic, 1999, NOW).payment.amount_to_capture == 1999


@pytest.mark.parametrize("waiting", ["screening", "reviewing"])
def test_nothing_is_captured_before_it_is_judged(waiting: str) -> None:
    """Neither while a verdict nor while a person is waited for."""
    with pytest.raises(WrongState, match="fraud"):
        ask_to_capture(replace(held(), **{waiting: True}), None, NOW)  # type: ignore[arg-type]  # both are flags


@pytest.mark.parametrize("amount", [0, 2000])
def test_an_amount_that_is_not_held_is_refused(amount: int) -> None:
    """Nothing, and more than there is."""
    with pytest.raises(AmountRefused):
        ask_to_capture(held(), amount, NOW)


@pytest.mark.parametrize(
    ("ends_at", "expected"),
    [
        (None, NOW + HOLD_LIFE),
        (NOW + timedelta(days=30), NOW + HOLD_LIFE),
        (NOW + timedelta(days=2), NOW + timedelta(days=2) - HOLD_MARGIN),
    ],
)
def test_a_hold_ends_after_seven_days_or_an_hour_before_the_processors_end(
    ends_at: datetime | None, expected: datetime
) -> None:
    """Whichever is earlier; then it is let go, and looked at no later than that."""
    payment = held(ends_at=ends_at)
    assert payment.hold_ends_at == payment.let_go_at == expected
    assert payment.next_check_at is not None
    assert payment.next_check_at <= expected


def test_what_is_heard_again_of_a_hold_never_lengthens_it() -> None:
    """A later look counts seven days from later, and the first hearing stands."""
    payment = held(ends_at=NOW + timedelta(days=2))
    later = NOW + timedelta(days=1)
    again = hear(payment, 1, said(AttemptHappening.AUTHORIZED, Source.LOOK_UP), later).payment
    assert payment.hold_ends_at == again.hold_ends_at == again.let_go_at


def test_a_capture_that_is_asked_for_holds_off_the_end_of_the_hold() -> None:
    """Until it is refused for good: then the hold is let go in its time again."""
    payment = held()
    asked = ask_to_capture(payment, 500, NOW).payment
    refused = heard(asked, 1, said(AttemptHappening.AUTHORIZED, Source.LOOK_UP, refused=True, alarm="why"), NOW)
    assert (asked.let_go_at, refused.payment.amount_to_capture) == (None, None)
    assert refused.payment.let_go_at == payment.let_go_at is not None
    assert refused.alarm == "why"


@pytest.mark.parametrize("settling", [Settling.RESEND, Settling.RETRY, Settling.ASK])
def test_an_unknown_outcome_keeps_the_capture_asked_for(settling: Settling) -> None:
    """It is looked at again, and the payment is neither paid nor in doubt: its money is held."""
    asked = ask_to_capture(held(), 500, NOW).payment
    after = heard(asked, 1, said(AttemptHappening.UNKNOWN, settling=settling, charge_id=None), NOW).payment
    assert (after.state, after.amount_to_capture) == (PaymentState.AUTHORIZED, 500)
    assert after.next_check_at is not None
    assert after.next_check_at > NOW


def test_another_amount_than_was_asked_for_raises_an_alarm() -> None:
    """It is money, and on record; a person must see that it is not what was asked for."""
    asked = ask_to_capture(held(), 500, NOW).payment
    for amount, alarms in ((500, False), (700, True), (1999, True)):
        advance = heard(asked, 1, said(AttemptHappening.CAPTURED, amount_captured=amount), NOW)
        assert (advance.payment.amount_captured, advance.alarm is not None) == (amount, alarms)


def test_what_was_asked_to_be_captured_cannot_be_canceled_nor_the_other_way_round() -> None:
    """Whoever asks first is served."""
    with pytest.raises(WrongState, match="captured"):
        ask_to_cancel(ask_to_capture(held(), 500, NOW).payment, CANCELED_ON_REQUEST, NOW)
    with pytest.raises(WrongState, match="let go"):
        ask_to_capture(ask_to_cancel(held(), CANCELED_ON_REQUEST, NOW).payment, 500, NOW)


def test_a_canceled_hold_is_let_go_at_once() -> None:
    """It is due now, whatever its own end is."""
    payment = ask_to_cancel(held(), CANCELED_ON_REQUEST, NOW).payment
    assert (payment.let_go_at, payment.next_check_at, payment.cancel_requested_at) == (NOW, NOW, NOW)


def test_what_was_never_sent_ends_by_being_asked_to() -> None:
    """Its queued attempt is canceled with it, and nobody waits for a verdict on it any more."""
    waiting = replace(accepted(claimed=False), screening=True)
    advance = ask_to_cancel(waiting, CANCELED_ON_REQUEST, NOW)
    assert [fact.name for fact in advance.facts] == [FactName.PAYMENT_CANCELED]
    assert (advance.payment.state, advance.payment.screening) == (PaymentState.CANCELED, False)
    assert [attempt.state for attempt in advance.payment.attempts] == [AttemptState.CANCELED]


def test_a_retry_that_was_to_come_is_dropped() -> None:
    """Then nothing of the payment is left but its decline: it has failed."""
    declined = hear(accepted(CaptureMethod.AUTOMATIC), 1, said(AttemptHappening.DECLINED), NOW).payment
    retrying = replace(declined, retry_at=NOW, state=PaymentState.PROCESSING, next_check_at=NOW)
    advance = ask_to_cancel(retrying, CANCELED_ON_REQUEST, NOW)
    assert (advance.payment.state, advance.payment.retry_at) == (PaymentState.FAILED, None)
    assert [fact.name for fact in advance.facts] == [FactName.PAYMENT_FAILED]


@pytest.mark.parametrize("mode", list(ScreeningMode))
def test_what_is_held_first_may_be_canceled_while_it_is_under_way(mode: ScreeningMode) -> None:
    """A hold takes no money yet; what is taken at once may be taken already."""
    under_way = replace(accepted(CaptureMethod.AUTOMATIC), screening_mode=mode)
    if mode is ScreeningMode.BEFORE_CAPTURE:
        assert ask_to_cancel(under_way, CANCELED_ON_REQUEST, NOW).payment.cancel_requested_at == NOW
    else:
        with pytest.raises(WrongState):
            ask_to_cancel(under_way, CANCELED_ON_REQUEST, NOW)
