"""The tables are complete, and say what the ranks say."""

import itertools
from collections.abc import Iterator

import pytest

from counterfoil.domain.states import (
    ATTEMPT_MOVES,
    RANK,
    AttemptHappening,
    AttemptState,
    Ignored,
    ImpossibleHappening,
    PaymentState,
    move,
)

LEADS_TO = {
    AttemptHappening.CLAIMED: AttemptState.SENT,
    AttemptHappening.UNKNOWN: AttemptState.SENT,
    AttemptHappening.ACTION: AttemptState.REQUIRES_ACTION,
    AttemptHappening.PROCESSING: AttemptState.PROCESSING,
    AttemptHappening.AUTHORIZED: AttemptState.AUTHORIZED,
    AttemptHappening.DECLINED: AttemptState.DECLINED,
    AttemptHappening.CANCELED: AttemptState.CANCELED,
    AttemptHappening.CAPTURED: AttemptState.CAPTURED,
}
"""What each happening would make of an attempt about which nothing is known; written down apart from the table."""

NEVER_CLAIMED = set(AttemptState) - {AttemptState.QUEUED, AttemptState.SENT}
"""Only what is queued, or sent and unanswered, is ever sent (again)."""


def every_pair() -> Iterator[tuple[AttemptState, AttemptHappening]]:
    return itertools.product(AttemptState, AttemptHappening)


def test_every_state_has_a_rank() -> None:
    """The rank decides between two reports of one attempt, so no state may be without one."""
    assert set(AttemptState) == set(RANK)


@pytest.mark.parametrize(("state", "happening"), list(every_pair()))
def test_a_happening_only_ever_raises_the_rank(state: AttemptState, happening: AttemptHappening) -> None:
    """For each pair: it raises the rank and moves, or it does not and changes nothing, or it cannot happen at all."""
    if happening is AttemptHappening.CLAIMED and state in NEVER_CLAIMED:
        with pytest.raises(ImpossibleHappening):
            move(state, happening)
        return
    target = LEADS_TO[happening]

    after = move(state, happening)

    expected = target if RANK[target] > RANK[state] else state
    assert expected == after


def test_the_table_holds_exactly_the_pairs_that_can_happen() -> None:
    """A pair that is missing was left out on purpose; one too many would hide a mistake of ours."""
    expected = {
        (state, happening)
        for state, happening in every_pair()
        if happening is not AttemptHappening.CLAIMED or state not in NEVER_CLAIMED
    }
    assert expected == set(ATTEMPT_MOVES)


def test_whatever_is_ignored_says_which_events_bring_it_about() -> None:
    """To ignore is a claim about the world; it names the sequence that produces it."""
    silent = [pair for pair, after in ATTEMPT_MOVES.items() if isinstance(after, Ignored) and "," not in after.because]
    assert silent == []


def test_late_money_outranks_every_ending() -> None:
    """A charge that succeeds after its decline or cancellation is captured: that is where the money is."""
    for ended in (AttemptState.DECLINED, AttemptState.CANCELED):
        assert move(ended, AttemptHappening.CAPTURED) == AttemptState.CAPTURED


def test_nothing_takes_captured_money_back() -> None:
    """Once captured, no report of an earlier time changes the attempt; refunds and disputes are amounts, not ranks."""
    heard = [happening for happening in AttemptHappening if happening is not AttemptHappening.CLAIMED]
    assert {AttemptState.CAPTURED} == {move(AttemptState.CAPTURED, happening) for happening in heard}


def test_the_api_statuses_are_the_contract() -> None:
    """The words of the contract, in no other spelling."""
    expected = "requested screening processing requires_action authorized succeeded failed canceled in_doubt"
    assert set(expected.split()) == {state.value for state in PaymentState}
