"""What a state machine is told when, and what becomes of a token that was used, or could not be."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.domain.test_retrying import NOW, captured, declined, sent, waiting

from counterfoil.domain.driving import (
    EVERY_ATTEMPT,
    FOLLOWING_STEPS,
    OUTCOME_STEPS,
    Reception,
    TaskStep,
    TokenOutcome,
    Told,
    after_answer,
    after_heartbeat,
    asks_for_another,
    attempt_awaited,
    attempts_answered,
    next_heartbeat,
    retry_now,
)
from counterfoil.domain.effects import MOST_TRIES, WAITS, EffectKind, EffectState, Wherewith, follow
from counterfoil.domain.facts import FactName
from counterfoil.domain.hearing import hear
from counterfoil.domain.order import Item
from counterfoil.domain.retrying import try_once_more
from counterfoil.domain.schedule import MACHINE_GRACE
from counterfoil.domain.states import PaymentState


def test_every_step_waits_for_the_money_or_for_what_follows() -> None:
    """None for both, none for neither; and every effect is some step's."""
    assert set(FOLLOWING_STEPS) | OUTCOME_STEPS == set(TaskStep)
    assert not set(FOLLOWING_STEPS) & OUTCOME_STEPS
    assert {kind for kinds in FOLLOWING_STEPS.values() for kind in kinds} == set(EffectKind)


def test_an_open_payment_keeps_its_machine_waiting() -> None:
    """Nothing is to be told of what was sent and not heard of."""
    assert attempts_answered(sent()) is None
    assert attempts_answered(replace(sent(), state=PaymentState.IN_DOUBT)) is None


def test_an_ended_payment_answers_every_token() -> None:
    """Whichever attempt it waited for."""
    paid = hear(sent(), 1, captured(), NOW).payment
    assert attempts_answered(paid) == EVERY_ATTEMPT
    assert attempt_awaited(paid, TaskStep.RETRY) == 1


def test_a_retry_waits_for_the_attempt_that_it_brings_about() -> None:
    """The decline that it follows upon is not its answer, but that of the token before."""
    payment = waiting()
    assert (attempts_answered(payment), attempt_awaited(payment, TaskStep.PAYMENT)) == (1, 1)
    assert attempt_awaited(payment, TaskStep.RETRY) == 2
    tried = try_once_more(payment, NOW).payment
    assert (attempts_answered(tried), attempt_awaited(tried, TaskStep.RETRY)) == (None, 2)


def test_a_retry_waits_for_what_comes_after_the_decline_that_it_names() -> None:
    """Whatever was tried since; and a decline that is not on record (a restored database) is taken for the last."""
    twice = replace(waiting(), attempts=waiting().attempts * 2)
    assert [attempt_awaited(twice, TaskStep.RETRY, number) for number in (1, 2, 3)] == [2, 3, 3]
    assert [asks_for_another(twice, number) for number in (None, 1, 2, 3)] == [True, False, True, True]
    tried = replace(twice, retry_at=None)
    assert [attempt_awaited(tried, TaskStep.RETRY, number) for number in (None, 1, 2, 3)] == [2, 2, 2, 2]


def test_a_retry_is_due_when_its_machine_says_so() -> None:
    """Before its own time, and nothing is said of that."""
    advance = retry_now(waiting(), NOW)
    assert (advance.payment.retry_at, advance.payment.next_check_at, advance.facts) == (NOW, NOW, ())


def test_what_follows_from_the_end_of_a_driven_payment_waits() -> None:
    """The stock is asked for nothing yet; what there is no need for is skipped as ever."""
    advance = hear(sent(), 1, captured(), NOW)
    driven = Wherewith(has_address=False, items=(Item("mug", 1),), begun=frozenset(), driven=True)
    said, effects = follow(advance, driven)
    assert [fact.name for fact in said.facts] == [FactName.PAYMENT_SUCCEEDED]
    assert [(one.kind, one.state, one.wait) for one in effects] == [
        (EffectKind.RECEIPT, EffectState.SKIPPED, timedelta(0)),
        (EffectKind.STOCK_DECREMENT, EffectState.WAITING, MACHINE_GRACE),
    ]


def test_a_decline_without_a_retry_is_an_end() -> None:
    """It is told to every token."""
    assert attempts_answered(hear(sent(), 1, declined(may_pass=False), NOW).payment) == EVERY_ATTEMPT


@pytest.mark.parametrize(
    ("told", "failure", "outcome"),
    [
        (Told(Reception.TAKEN), False, TokenOutcome.SUCCEEDED),
        (Told(Reception.TAKEN), True, TokenOutcome.FAILED),
        (Told(Reception.DEAD, "gone"), False, TokenOutcome.DEAD),
        (Told(Reception.REFUSED, "no"), True, TokenOutcome.PARKED),
    ],
)
def test_a_token_ends_with_its_answer(told: Told, failure: bool, outcome: TokenOutcome) -> None:  # noqa: FBT001 - a row of the table
    """Taken, or of no use to anybody any more; then there is no next time."""
    standing = after_answer(0, told, NOW, was_failure=failure)
    assert (standing.outcome, standing.next_try_at) == (outcome, None)


def test_an_answer_that_was_not_heard_is_given_again_until_a_person_is_told() -> None:
    """Between tries as long as between those of a letter."""
    failures, waits = 0, []
    while True:
        standing = after_answer(failures, Told(Reception.FAILED, "silence"), NOW, was_failure=False)
        failures = standing.failures
        if standing.next_try_at is None:
            break
        waits.append(standing.next_try_at - NOW)
    assert (standing.outcome, failures, tuple(waits)) == (TokenOutcome.PARKED, MOST_TRIES, WAITS)


def test_a_sign_of_life_is_given_three_times_in_the_time_it_is_wanted_in() -> None:
    """And never where none is wanted; one that is not heard costs nothing but itself, and ends a row of failures."""
    assert next_heartbeat(60, NOW) == NOW + timedelta(seconds=20)
    assert next_heartbeat(None, NOW) is None
    standing = after_heartbeat(3, 60, Told(Reception.FAILED, "silence"), NOW)
    assert (standing.outcome, standing.next_try_at, standing.failures) == (None, NOW + timedelta(seconds=20), 0)
    assert after_heartbeat(0, 60, Told(Reception.DEAD, "gone"), NOW).outcome is TokenOutcome.DEAD
