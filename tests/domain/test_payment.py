"""What a payment becomes, and what is said of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from counterfoil.domain.acting import accept, ask_soon, claim, look_at
from counterfoil.domain.facts import FactName
from counterfoil.domain.hearing import hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, Attempt, Payment
from counterfoil.domain.schedule import CLAIM, DOUBT_AFTER, LOOK_UP_EVERY, LOOK_UPS_AFTER
from counterfoil.domain.states import AttemptHappening, AttemptState, ImpossibleHappening, PaymentState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLINE = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)


def asked_for() -> Payment:
    return Payment(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        order_id="order-1",
        event_id="event-1",
        money=Money(1999, "EUR"),
        created_at=NOW,
    )


def accepted(*, claimed: bool = True) -> Payment:
    return accept(asked_for(), claimed=claimed, now=NOW).payment


def verdict(outcome: AttemptHappening, source: Source = Source.ANSWER, charge_id: str | None = "ch_1") -> Verdict:
    return Verdict(
        outcome,
        Cause(source, "reference"),
        intent_id="pi_1",
        charge_id=charge_id,
        amount_captured=1999 if outcome is AttemptHappening.CAPTURED else None,
        decline=DECLINE if outcome is AttemptHappening.DECLINED else None,
        action=Action("https://bank.example/3ds") if outcome is AttemptHappening.ACTION else None,
    )


def names(advance: Advance) -> list[FactName]:
    return [fact.name for fact in advance.facts]


def test_accepting_makes_the_first_attempt_and_announces_it() -> None:
    """The row of the attempt is the request to the processor; PaymentRequested is its announcement."""
    advance = accept(asked_for(), claimed=False, now=NOW)
    assert names(advance) == [FactName.PAYMENT_REQUESTED]
    assert PaymentState.REQUESTED is advance.payment.state
    assert [attempt.state for attempt in advance.payment.attempts] == [AttemptState.QUEUED]
    assert advance.payment.next_check_at == NOW, "a worker may take it at once"


def test_accepting_for_oneself_sends_at_once() -> None:
    """Claimed at accept, no worker takes the attempt in between, unless the claim runs out."""
    payment = accepted()
    assert PaymentState.PROCESSING is payment.state
    assert [attempt.state for attempt in payment.attempts] == [AttemptState.SENT]
    assert payment.next_check_at == NOW + CLAIM


@pytest.mark.parametrize(
    ("outcome", "state", "fact"),
    [
        (AttemptHappening.CAPTURED, PaymentState.SUCCEEDED, FactName.PAYMENT_SUCCEEDED),
        (AttemptHappening.AUTHORIZED, PaymentState.AUTHORIZED, FactName.PAYMENT_AUTHORIZED),
        (AttemptHappening.ACTION, PaymentState.REQUIRES_ACTION, FactName.PAYMENT_ACTION_REQUIRED),
        (AttemptHappening.PROCESSING, PaymentState.PROCESSING, FactName.PAYMENT_PROCESSING),
        (AttemptHappening.DECLINED, PaymentState.FAILED, FactName.PAYMENT_FAILED),
        (AttemptHappening.CANCELED, PaymentState.CANCELED, FactName.PAYMENT_CANCELED),
    ],
)
def test_a_definite_verdict_moves_the_payment_and_says_so_once(
    outcome: AttemptHappening,
    state: PaymentState,
    fact: FactName,
) -> None:
    """Heard first it moves and says one thing; heard again, from whichever source, it changes and says nothing."""
    first = hear(accepted(), 1, verdict(outcome), NOW)
    second = hear(first.payment, 1, verdict(outcome, Source.NOTICE), NOW)
    assert (state, [fact], 2) == (first.payment.state, names(first), first.payment.version)
    assert (first.payment, []) == (second.payment, names(second))


def test_every_fact_has_a_number_and_a_cause() -> None:
    """The payment's version counts its facts, and each knows why it became true."""
    advance = hear(accepted(), 1, verdict(AttemptHappening.CAPTURED, Source.NOTICE), NOW)
    (fact,) = advance.facts
    assert (2, Cause(Source.NOTICE, "reference")) == (fact.payment.version, fact.cause)


def test_the_processors_names_are_kept() -> None:
    """The intent and the charge are how notices find their payment and their attempt."""
    payment = hear(accepted(), 1, verdict(AttemptHappening.CAPTURED), NOW).payment
    assert (payment.intent_id, payment.attempts[0].charge_id, payment.amount_captured) == ("pi_1", "ch_1", 1999)


def test_an_unknown_outcome_is_asked_about_on_the_schedule() -> None:
    """5 s, 30 s, 2 min, 10 min, 1 h, then every 6 h, each counted from the look before."""
    payment, waits, now = accepted(), [], NOW + DOUBT_AFTER
    for _ in range(len(LOOK_UPS_AFTER) + 2):
        payment = hear(payment, 1, verdict(AttemptHappening.UNKNOWN, charge_id=None), now).payment
        assert payment.next_check_at is not None
        waits.append(payment.next_check_at - now)
    assert [*LOOK_UPS_AFTER, LOOK_UP_EVERY, LOOK_UP_EVERY] == waits


def test_doubt_is_seen_when_it_begins() -> None:
    """A look falls on the quarter of an hour, however far away the schedule's next one is."""
    payment, now = accepted(), NOW
    while payment.state is not PaymentState.IN_DOUBT:
        payment = look_at(payment, now).payment
        assert payment.next_check_at is not None
        now = payment.next_check_at if payment.state is not PaymentState.IN_DOUBT else now
    assert now == NOW + DOUBT_AFTER


def test_a_send_that_was_certainly_not_carried_out_is_no_reason_to_doubt() -> None:
    """Refused before any work: the outcome is open, yet a later refusal is proof again, and nothing is in doubt."""
    refused = replace(verdict(AttemptHappening.UNKNOWN, charge_id=None), executed=False)
    payment = hear(accepted(), 1, refused, NOW).payment
    late = look_at(payment, NOW + DOUBT_AFTER).payment
    assert (payment.attempts[0].exposed, payment.attempts[0].unknown_since) == (False, None)
    assert PaymentState.PROCESSING is late.state


def test_a_success_by_a_charge_nobody_asked_for_is_the_last_attempts() -> None:
    """After a decline the same intent may be paid by another charge: money is never nobody's."""
    failed = hear(accepted(), 1, verdict(AttemptHappening.DECLINED), NOW).payment
    owner = failed.owner_of("ch_2", money=True)
    assert owner is not None
    late = hear(failed, owner.number, verdict(AttemptHappening.CAPTURED, charge_id="ch_2"), NOW).payment
    assert (late.state, late.attempts[0].charge_id) == (PaymentState.SUCCEEDED, "ch_2")


def test_unknown_for_a_quarter_of_an_hour_is_in_doubt_and_said_once() -> None:
    """Doubt is shown, and is never an end: a verdict still settles it."""
    late = NOW + DOUBT_AFTER
    doubted = look_at(accepted(), late)
    again = look_at(doubted.payment, late + timedelta(hours=1))
    settled = hear(again.payment, 1, verdict(AttemptHappening.CAPTURED), late)
    assert (doubted.payment.state, names(doubted)) == (PaymentState.IN_DOUBT, [FactName.PAYMENT_IN_DOUBT])
    assert (again.payment.state, names(again)) == (PaymentState.IN_DOUBT, [])
    assert (settled.payment.state, names(settled)) == (PaymentState.SUCCEEDED, [FactName.PAYMENT_SUCCEEDED])


def test_before_a_quarter_of_an_hour_there_is_no_doubt() -> None:
    """One second less, and the payment is still processing."""
    looked = look_at(accepted(), NOW + DOUBT_AFTER - timedelta(seconds=1))
    assert PaymentState.PROCESSING is looked.payment.state


def test_a_final_payment_is_not_looked_at_again() -> None:
    """Nothing is awaited any more, so nothing is due."""
    assert hear(accepted(), 1, verdict(AttemptHappening.CAPTURED), NOW).payment.next_check_at is None


def test_an_open_payment_always_has_a_next_look() -> None:
    """Whatever was heard, what is not final is looked at again some time."""
    for outcome in (AttemptHappening.ACTION, AttemptHappening.PROCESSING, AttemptHappening.AUTHORIZED):
        assert hear(accepted(), 1, verdict(outcome), NOW).payment.next_check_at is not None


def test_a_decline_may_be_followed_by_its_late_success() -> None:
    """The processor's money wins: the payment succeeds after all, and says so."""
    failed = hear(accepted(), 1, verdict(AttemptHappening.DECLINED), NOW).payment
    late = hear(failed, 1, verdict(AttemptHappening.CAPTURED, Source.NOTICE), NOW)
    assert (late.payment.state, names(late)) == (PaymentState.SUCCEEDED, [FactName.PAYMENT_SUCCEEDED])


def test_a_first_attempts_late_failure_cannot_harm_the_second() -> None:
    """State is derived over all attempts, and a notice belongs to the attempt that owns its charge."""
    first = Attempt(1, AttemptState.DECLINED, charge_id="ch_1", decline=DECLINE)
    second = Attempt(2, AttemptState.CAPTURED, charge_id="ch_2")
    paid = replace(accepted(), attempts=(first, second), state=PaymentState.SUCCEEDED, amount_captured=1999)
    owner = paid.owner_of("ch_1", money=False)
    assert owner == first
    advance = hear(paid, owner.number, verdict(AttemptHappening.DECLINED, Source.NOTICE), NOW)
    assert (advance.payment.state, names(advance)) == (PaymentState.SUCCEEDED, [])


def test_a_charge_that_every_attempt_disowns_is_nobodys() -> None:
    """With all charges known, another one is no news about any attempt."""
    attempt = Attempt(1, AttemptState.CAPTURED, charge_id="ch_1")
    assert replace(accepted(), attempts=(attempt,)).owner_of("ch_9", money=False) is None


def test_an_ended_attempt_is_never_claimed() -> None:
    """To send what has ended would be a second charge; asking for it is a mistake of ours."""
    failed = hear(accepted(), 1, verdict(AttemptHappening.DECLINED), NOW).payment
    with pytest.raises(ImpossibleHappening):
        claim(failed, 1, NOW)


def test_claiming_a_queued_attempt_sends_it() -> None:
    """The worker's way: the attempt is sent, and its outcome unknown from now on."""
    claimed = claim(accepted(claimed=False), 1, NOW).payment
    assert (claimed.attempts[0].state, claimed.attempts[0].unknown_since) == (AttemptState.SENT, NOW)
    assert claimed.next_check_at == NOW + CLAIM


def test_a_hint_makes_even_an_ended_payment_due() -> None:
    """An event we cannot read may be the late success; asking costs one call."""
    failed = hear(accepted(), 1, verdict(AttemptHappening.DECLINED), NOW).payment
    assert ask_soon(failed, "pi_1", NOW).payment.next_check_at == NOW
