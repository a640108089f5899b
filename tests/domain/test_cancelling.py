"""A cancelled order's payment, whichever state it is found in, and whatever is heard of it afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from counterfoil.domain.acting import accept
from counterfoil.domain.cancelling import Cancellation, CancelReason, cancel
from counterfoil.domain.facts import FactName
from counterfoil.domain.hearing import hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, DisputeStatus, Payment, Refund
from counterfoil.domain.schedule import RETRY_EVERY
from counterfoil.domain.states import AttemptHappening, PaymentState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
REFUND = UUID("01900000-0000-7000-8000-000000000002")
CANCELLATION = Cancellation("order-1", CancelReason.OUT_OF_STOCK)
DECLINE = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)


def accepted(*, claimed: bool = True) -> Payment:
    payment_id = UUID("01900000-0000-7000-8000-000000000001")
    asked_for = Payment(payment_id, "order-1", "event-1", Money(1999, "EUR"), NOW)
    return accept(asked_for, claimed=claimed, now=NOW).payment


def heard(payment: Payment, outcome: AttemptHappening, *, executed: bool = True) -> Advance:
    verdict = Verdict(
        outcome,
        Cause(Source.NOTICE, "evt_1"),
        intent_id="pi_1",
        charge_id="ch_1",
        amount_captured=1999 if outcome is AttemptHappening.CAPTURED else None,
        decline=DECLINE if outcome is AttemptHappening.DECLINED else None,
        action=Action("https://bank.example/3ds") if outcome is AttemptHappening.ACTION else None,
        executed=executed,
    )
    return hear(payment, 1, verdict, NOW)


def cancelled(payment: Payment, now: datetime = LATER) -> Advance:
    return cancel(payment, CANCELLATION, REFUND, now)


def names(advance: Advance) -> list[FactName]:
    return [fact.name for fact in advance.facts]


HEARD = {
    None: (PaymentState.PROCESSING, []),
    AttemptHappening.UNKNOWN: (PaymentState.PROCESSING, []),
    AttemptHappening.PROCESSING: (PaymentState.PROCESSING, []),
    AttemptHappening.ACTION: (PaymentState.REQUIRES_ACTION, []),
    AttemptHappening.AUTHORIZED: (PaymentState.AUTHORIZED, []),
    AttemptHappening.DECLINED: (PaymentState.FAILED, []),
    AttemptHappening.CANCELED: (PaymentState.CANCELED, []),
    AttemptHappening.CAPTURED: (PaymentState.SUCCEEDED, [FactName.REFUND_REQUESTED]),
}


@pytest.mark.parametrize("before", HEARD)
def test_a_cancellation_finds_a_payment_in_any_state(before: AttemptHappening | None) -> None:
    """What can be undone only at the processor stays as it is until that is done; what was taken goes back at once."""
    payment = accepted() if before is None else heard(accepted(), before).payment

    advance = cancelled(payment)

    assert (advance.payment.state, names(advance)) == HEARD[before]
    waits = advance.payment.state in (PaymentState.REQUIRES_ACTION, PaymentState.AUTHORIZED)
    assert (advance.payment.let_go_at == LATER) is waits
    assert (advance.payment.cancel_requested_at, advance.payment.cancel_reason) == (LATER, "OUT_OF_STOCK")


@pytest.mark.parametrize("before", HEARD)
def test_the_same_cancellation_again_changes_nothing(before: AttemptHappening | None) -> None:
    """Whatever it found the first time."""
    once = cancelled(accepted() if before is None else heard(accepted(), before).payment).payment

    assert cancelled(once, LATER + RETRY_EVERY) == Advance(once)


@pytest.mark.parametrize("before", [one for one in HEARD if one is not AttemptHappening.CAPTURED])
def test_money_that_comes_afterwards_goes_back_once(before: AttemptHappening | None) -> None:
    """All of it, as the one refund that was named for it, said after the success; heard again it is said no more."""
    payment = cancelled(accepted() if before is None else heard(accepted(), before).payment).payment

    late = heard(payment, AttemptHappening.CAPTURED)

    assert names(late) == [FactName.PAYMENT_SUCCEEDED, FactName.REFUND_REQUESTED]
    about = late.facts[-1].about
    assert isinstance(about, Refund)
    assert (about.id, about.money, about.reason) == (REFUND, Money(1999, "EUR"), "OUT_OF_STOCK")
    assert [fact.payment.version for fact in late.facts] == [late.payment.version - 1, late.payment.version]
    assert (late.payment.amount_captured, late.payment.amount_refund_reserved) == (1999, 1999)
    assert names(heard(late.payment, AttemptHappening.CAPTURED)) == []


def test_what_was_never_sent_ends_there() -> None:
    """So does what was sent and certainly not carried out, found so or heard afterwards."""
    queued = accepted(claimed=False)
    turned_away = heard(accepted(), AttemptHappening.UNKNOWN, executed=False).payment
    for payment in (queued, turned_away):
        advance = cancelled(payment)
        assert (advance.payment.state, names(advance)) == (PaymentState.CANCELED, [FactName.PAYMENT_CANCELED])
        assert advance.payment.next_check_at is None
    afterwards = heard(cancelled(accepted()).payment, AttemptHappening.UNKNOWN, executed=False)
    assert (afterwards.payment.state, names(afterwards)) == (PaymentState.CANCELED, [FactName.PAYMENT_CANCELED])


def test_a_scheduled_retry_is_dropped() -> None:
    """Then the payment has failed, and that is final."""
    declined = heard(accepted(), AttemptHappening.DECLINED).payment
    waiting = replace(declined, state=PaymentState.PROCESSING, retry_at=LATER, next_check_at=LATER)

    advance = cancelled(waiting)

    assert (advance.payment.state, advance.payment.retry_at) == (PaymentState.FAILED, None)
    assert names(advance) == [FactName.PAYMENT_FAILED]


@pytest.mark.parametrize(
    ("dispute", "given_back"), [(DisputeStatus.OPENED, 0), (DisputeStatus.LOST, 0), (DisputeStatus.WON, 1)]
)
def test_what_a_bank_takes_back_is_not_given_back_too(dispute: DisputeStatus, given_back: int) -> None:
    """It would be paid twice; once the dispute is won it is refunded as soon as the payment moves."""
    paid = replace(heard(accepted(), AttemptHappening.CAPTURED).payment, dispute_status=dispute, disputed=True)
    assert len(cancelled(paid).facts) == given_back
