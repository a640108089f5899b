"""An order's payment in one of four words."""

import pytest

from counterfoil.domain.states import PaymentState
from counterfoil.messages.payment_status import PaymentStatus, status_of

ENDED = {
    PaymentState.SUCCEEDED: PaymentStatus.COMPLETED,
    PaymentState.FAILED: PaymentStatus.FAILED,
    PaymentState.CANCELED: PaymentStatus.FAILED,
}


@pytest.mark.parametrize("state", PaymentState)
def test_whatever_is_open_is_pending(state: PaymentState) -> None:
    """Only an end is told as one."""
    assert ENDED.get(state, PaymentStatus.PENDING) == status_of(state, 0, 0)


@pytest.mark.parametrize(
    ("captured", "refunded", "status"),
    [
        (1999, 0, PaymentStatus.COMPLETED),
        (1999, 1998, PaymentStatus.COMPLETED),
        (1999, 1999, PaymentStatus.REFUNDED),
        (1500, 1500, PaymentStatus.REFUNDED),
    ],
)
def test_only_what_was_given_back_whole_is_refunded(captured: int, refunded: int, status: PaymentStatus) -> None:
    """Of what was captured, not of what was asked for; a part given back leaves the order paid."""
    assert status is status_of(PaymentState.SUCCEEDED, captured, refunded)
