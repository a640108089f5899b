"""When a payment is looked at again: soon at first, ever more slowly, and not all of them at once."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.schedule import LOOK_UP_EVERY, RETRY_EVERY, RETRY_SPREAD, wait_before
from counterfoil.domain.verdict import Settling

PAYMENT = UUID(int=1000 * 7)
"""The first in its thousand: it is not spread."""


def test_what_was_turned_away_is_sent_again_after_twice_as_long_each_time() -> None:
    """1, 2, 4 s and so on, until five minutes are reached; from then on every five minutes."""
    waits = [wait_before(Settling.RETRY, looks, PAYMENT).total_seconds() for looks in range(11)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize("settling", [Settling.RESEND, Settling.ASK, Settling.STOP])
def test_whatever_else_is_open_is_looked_at_on_the_schedule(settling: Settling) -> None:
    """5 s, 30 s, 2 min, 10 min, 1 h, then every 6 h, the same for all."""
    waits = [wait_before(settling, looks, PAYMENT) for looks in range(7)]
    seconds = [5, 30, 120, 600, 3600]
    assert waits == [*(timedelta(seconds=one) for one in seconds), LOOK_UP_EVERY, LOOK_UP_EVERY]


@given(st.uuids(), st.integers(min_value=0, max_value=10**9))
def test_retries_are_spread_by_a_quarter_at_most(payment_id: UUID, looks: int) -> None:
    """Never sooner than for the first payment, never later by more than a quarter, however often it was tried."""
    first, wait = wait_before(Settling.RETRY, looks, PAYMENT), wait_before(Settling.RETRY, looks, payment_id)
    assert first <= wait <= first * (1 + RETRY_SPREAD)
    assert wait <= RETRY_EVERY * (1 + RETRY_SPREAD)


def test_payments_of_one_moment_come_back_in_different_ones() -> None:
    """Ids that follow one another are spread over the whole quarter."""
    waits = {wait_before(Settling.RETRY, 9, UUID(int=number)) for number in range(1000)}
    assert len(waits) == 1000
    assert max(waits) - min(waits) > RETRY_EVERY * RETRY_SPREAD * 0.99
