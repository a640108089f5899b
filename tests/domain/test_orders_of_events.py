"""Whatever order a payment's news comes in, and however often, the payment ends the same.

Each scenario is told in every order of every part of it, as it is and with each piece of news doubled in turn. Compared
with the order in which things happened, only this may differ, and why:

- which steps on the way were said, for one that was overtaken before it was heard is never said afterwards; what is
  said keeps its order, and the last word is the same;
- the payment's version, which counts what was said;
- when an open payment is looked at next, which depends on how often it was looked at.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from counterfoil.domain.acting import accept, look_at
from counterfoil.domain.facts import FactName
from counterfoil.domain.hearing import hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, Attempt, CaptureMethod, Payment
from counterfoil.domain.states import FINAL, AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLINE = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)

_H, _S = AttemptHappening, Source


@dataclass(frozen=True, slots=True)
class News:
    """One thing heard. An answer belongs to the ``attempt`` it answers, anything else to whoever owns its charge."""

    verdict: Verdict
    attempt: int

    def told_to(self, payment: Payment) -> Advance:
        """Let the payment hear it, as the steps do."""
        said = self.verdict
        if said.cause.source is Source.ANSWER:
            return hear(payment, self.attempt, said, NOW)
        owner = payment.about(said)
        if owner is not None:
            return hear(payment, owner.number, said, NOW)
        return look_at(payment, NOW) if said.cause.source is Source.LOOK_UP else Advance(payment)


def news(
    outcome: AttemptHappening,
    source: Source,
    charge_id: str | None = None,
    *,
    attempt: int = 1,
    captured: int = 1999,
) -> News:
    verdict = Verdict(
        outcome,
        Cause(source, "reference"),
        intent_id="pi_1",
        charge_id=charge_id,
        amount_captured=captured if outcome is _H.CAPTURED else None,
        decline=DECLINE if outcome is _H.DECLINED else None,
        action=Action("https://bank.example/3ds") if outcome is _H.ACTION else None,
        may_pass=outcome is _H.DECLINED,
    )
    return News(verdict, attempt)


@dataclass(frozen=True, slots=True)
class Told:
    """A payment after some news, and what was said of it from the start."""

    payment: Payment
    said: tuple[FactName, ...]

    def after(self, one: News) -> "Told":
        """Return what comes of one more piece of news; every fact must bear the next number."""
        advance = one.told_to(self.payment)
        numbers = [fact.payment.version for fact in advance.facts]
        assert numbers == list(range(self.payment.version + 1, self.payment.version + 1 + len(numbers)))
        assert self.payment.version + len(numbers) == advance.payment.version
        return Told(advance.payment, self.said + tuple(fact.name for fact in advance.facts))

    def end(self) -> Payment:
        """Return the payment without what the order of its news may change."""
        return replace(self.payment, version=0, checks=0, next_check_at=None)


def sent(capture_method: CaptureMethod = CaptureMethod.AUTOMATIC) -> Payment:
    """A payment whose first attempt was sent."""
    asked = Payment(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        order_id="order-1",
        event_id="event-1",
        money=Money(1999, "EUR"),
        created_at=NOW,
        capture_method=capture_method,
    )
    return accept(asked, claimed=True, now=NOW).payment


def sent_again(charge_id: str | None = "ch_1") -> Payment:
    """A payment whose first attempt was declined, with or without a charge, and whose second was sent."""
    declined = hear(sent(), 1, news(_H.DECLINED, _S.ANSWER, charge_id).verdict, NOW).payment
    second = Attempt(2, AttemptState.SENT, exposed=True, unknown_since=NOW)
    return replace(declined, attempts=(*declined.attempts, second), state=PaymentState.PROCESSING, next_check_at=NOW)


def sent_alone() -> Payment:
    """A payment of a stored method, whose customer is not there, and whose first attempt was sent."""
    return replace(sent(), off_session=True, stored_method=True)


CAPTURED_AT_ONCE = [
    news(_H.UNKNOWN, _S.ANSWER),
    news(_H.CAPTURED, _S.ANSWER, "ch_1"),
    news(_H.CAPTURED, _S.NOTICE, "ch_1"),
    news(_H.CAPTURED, _S.LOOK_UP, "ch_1"),
    news(_H.UNKNOWN, _S.LOOK_UP),
]
THREE_D_SECURE = [
    news(_H.ACTION, _S.ANSWER),
    news(_H.ACTION, _S.NOTICE),
    news(_H.PROCESSING, _S.LOOK_UP, "ch_1"),
    news(_H.PROCESSING, _S.NOTICE, "ch_1"),
    news(_H.CAPTURED, _S.NOTICE, "ch_1"),
]
CHALLENGE_FAILED = [
    news(_H.UNKNOWN, _S.ANSWER),
    news(_H.ACTION, _S.ANSWER),
    news(_H.ACTION, _S.LOOK_UP),
    news(_H.DECLINED, _S.NOTICE),
    news(_H.DECLINED, _S.LOOK_UP),
]
HOLD = [
    news(_H.ACTION, _S.ANSWER),
    news(_H.AUTHORIZED, _S.NOTICE, "ch_1"),
    news(_H.AUTHORIZED, _S.LOOK_UP, "ch_1"),
    news(_H.CAPTURED, _S.NOTICE, "ch_1", captured=1500),
    news(_H.CAPTURED, _S.LOOK_UP, "ch_1", captured=1500),
]
EVERY_STEP = [
    news(_H.UNKNOWN, _S.ANSWER),
    news(_H.ACTION, _S.ANSWER),
    news(_H.PROCESSING, _S.NOTICE, "ch_1"),
    news(_H.AUTHORIZED, _S.LOOK_UP, "ch_1"),
    news(_H.CAPTURED, _S.NOTICE, "ch_1"),
]
LATE_SUCCESS = [
    news(_H.UNKNOWN, _S.ANSWER),
    news(_H.DECLINED, _S.ANSWER, "ch_1"),
    news(_H.DECLINED, _S.NOTICE, "ch_1"),
    news(_H.CAPTURED, _S.NOTICE, "ch_1"),
    news(_H.CAPTURED, _S.LOOK_UP, "ch_1"),
]
TO_BE_TRIED_AGAIN = [
    news(_H.UNKNOWN, _S.ANSWER),
    news(_H.DECLINED, _S.ANSWER, "ch_1"),
    news(_H.DECLINED, _S.NOTICE, "ch_1"),
    news(_H.DECLINED, _S.LOOK_UP, "ch_1"),
]
LATE_SUCCESS_BEFORE_THE_RETRY = [
    news(_H.DECLINED, _S.ANSWER, "ch_1"),
    news(_H.DECLINED, _S.NOTICE, "ch_1"),
    news(_H.CAPTURED, _S.NOTICE, "ch_1"),
    news(_H.CAPTURED, _S.LOOK_UP, "ch_1"),
]
PAID_BY_ANOTHER_CHARGE = [
    news(_H.DECLINED, _S.ANSWER, "ch_1"),
    news(_H.DECLINED, _S.NOTICE, "ch_1"),
    news(_H.CAPTURED, _S.NOTICE, "ch_2"),
    news(_H.CAPTURED, _S.LOOK_UP, "ch_2"),
    news(_H.UNKNOWN, _S.LOOK_UP),
]
DEBIT_SETTLED = [
    news(_H.PROCESSING, _S.ANSWER, "py_1"),
    news(_H.PROCESSING, _S.NOTICE, "py_1"),
    news(_H.PROCESSING, _S.LOOK_UP, "py_1"),
    news(_H.CAPTURED, _S.NOTICE, "py_1"),
    news(_H.CAPTURED, _S.LOOK_UP, "py_1"),
]
DEBIT_FAILED = [
    news(_H.PROCESSING, _S.ANSWER, "py_1"),
    news(_H.PROCESSING, _S.NOTICE, "py_1"),
    news(_H.PROCESSING, _S.LOOK_UP, "py_1"),
    news(_H.DECLINED, _S.NOTICE, "py_1"),
    news(_H.DECLINED, _S.LOOK_UP, "py_1"),
]
CANCELED_AFTER_ACTION = [
    news(_H.ACTION, _S.ANSWER),
    news(_H.ACTION, _S.NOTICE),
    news(_H.UNKNOWN, _S.LOOK_UP),
    news(_H.CANCELED, _S.NOTICE),
    news(_H.CANCELED, _S.LOOK_UP),
]
HOLD_LET_GO = [
    news(_H.AUTHORIZED, _S.ANSWER, "ch_1"),
    news(_H.AUTHORIZED, _S.NOTICE, "ch_1"),
    news(_H.AUTHORIZED, _S.LOOK_UP, "ch_1"),
    news(_H.CANCELED, _S.NOTICE, "ch_1"),
    news(_H.CANCELED, _S.LOOK_UP, "ch_1"),
]
SECOND_ATTEMPT_PAID = [
    news(_H.DECLINED, _S.NOTICE, "ch_1"),
    news(_H.DECLINED, _S.LOOK_UP, "ch_1"),
    news(_H.CAPTURED, _S.ANSWER, "ch_2", attempt=2),
    news(_H.CAPTURED, _S.NOTICE, "ch_2"),
    news(_H.CAPTURED, _S.LOOK_UP, "ch_2"),
]
SECOND_ATTEMPT_DECLINED_TOO = [
    news(_H.DECLINED, _S.NOTICE, "ch_1"),
    news(_H.UNKNOWN, _S.ANSWER, attempt=2),
    news(_H.DECLINED, _S.ANSWER, "ch_2", attempt=2),
    news(_H.DECLINED, _S.NOTICE, "ch_2"),
    news(_H.DECLINED, _S.LOOK_UP, "ch_2"),
]

FIRST_ATTEMPT_HAD_NO_CHARGE = [
    news(_H.DECLINED, _S.NOTICE),
    news(_H.CAPTURED, _S.ANSWER, "ch_2", attempt=2),
    news(_H.CAPTURED, _S.NOTICE, "ch_2"),
    news(_H.CAPTURED, _S.LOOK_UP, "ch_2"),
]
DECLINED_THEN_CANCELED = [
    news(_H.ACTION, _S.ANSWER),
    news(_H.DECLINED, _S.NOTICE),
    news(_H.CANCELED, _S.NOTICE),
]


def parts(scenario: Sequence[News]) -> Iterator[tuple[News, ...]]:
    """Every part of a scenario that is not empty, in the order in which things happened."""
    for size in range(1, len(scenario) + 1):
        yield from itertools.combinations(scenario, size)


def in_every_order(so_far: Told, left: tuple[News, ...]) -> Iterator[Told]:
    """What comes of the news that is left, for each order of it. Equal news makes no second order."""
    if not left:
        yield so_far
    for number, one in enumerate(left):
        if one not in left[:number]:
            yield from in_every_order(so_far.after(one), left[:number] + left[number + 1 :])


def is_told_by(story: Sequence[FactName], whole: Sequence[FactName]) -> bool:
    """Whether a story leaves out something of the whole at most, and keeps its order."""
    rest = iter(whole)
    return all(name in rest for name in story)


@pytest.mark.parametrize(
    ("begins", "scenario", "ends"),
    [
        pytest.param(sent(), CAPTURED_AT_ONCE, PaymentState.SUCCEEDED, id="captured at once"),
        pytest.param(sent(), THREE_D_SECURE, PaymentState.SUCCEEDED, id="3-D Secure passed"),
        pytest.param(sent(), CHALLENGE_FAILED, PaymentState.FAILED, id="3-D Secure failed"),
        pytest.param(sent(CaptureMethod.MANUAL), HOLD, PaymentState.SUCCEEDED, id="hold, captured"),
        pytest.param(sent(CaptureMethod.MANUAL), HOLD_LET_GO, PaymentState.CANCELED, id="hold, let go"),
        pytest.param(sent(), EVERY_STEP, PaymentState.SUCCEEDED, id="every step there is"),
        pytest.param(sent(), LATE_SUCCESS, PaymentState.SUCCEEDED, id="late success"),
        pytest.param(sent_alone(), TO_BE_TRIED_AGAIN, PaymentState.PROCESSING, id="to be tried again"),
        pytest.param(
            sent_alone(), LATE_SUCCESS_BEFORE_THE_RETRY, PaymentState.SUCCEEDED, id="late success before the retry"
        ),
        pytest.param(sent(), PAID_BY_ANOTHER_CHARGE, PaymentState.SUCCEEDED, id="late success by another charge"),
        pytest.param(sent(), DEBIT_SETTLED, PaymentState.SUCCEEDED, id="debit settled"),
        pytest.param(sent(), DEBIT_FAILED, PaymentState.FAILED, id="debit failed"),
        pytest.param(sent(), CANCELED_AFTER_ACTION, PaymentState.CANCELED, id="canceled after action"),
        pytest.param(sent_again(), SECOND_ATTEMPT_PAID, PaymentState.SUCCEEDED, id="second attempt paid"),
        pytest.param(sent_again(), SECOND_ATTEMPT_DECLINED_TOO, PaymentState.FAILED, id="second attempt declined"),
        pytest.param(
            sent_again(charge_id=None),
            FIRST_ATTEMPT_HAD_NO_CHARGE,
            PaymentState.SUCCEEDED,
            id="second attempt paid, the first had no charge",
        ),
    ],
)
def test_every_order_of_the_news_ends_the_same(begins: Payment, scenario: list[News], ends: PaymentState) -> None:
    """All orders of up to five pieces, each doubled in turn: one end, its fact once and last, numbers without a gap."""
    start = Told(begins, ())
    whole = start
    for part in parts(scenario):
        whole = start
        for one in part:
            whole = whole.after(one)
        for doubled in ((), *((one,) for one in part)):
            for told in in_every_order(start, part + doubled):
                assert whole.end() == told.end()
                assert is_told_by(told.said, whole.said)
                assert whole.said[-1:] == told.said[-1:]
                assert (told.payment.next_check_at is None) == (told.payment.state in FINAL)
    assert (ends, whole.said.count(whole.said[-1])) == (whole.payment.state, 1)


def test_a_decline_and_the_cancellation_after_it_end_as_a_decline() -> None:
    """Which of them is heard first decides only whether a cancellation was said before; the last word is the same."""
    start = Told(sent(), ())
    ends = {
        (told.end(), told.said[-1], told.said.count(FactName.PAYMENT_FAILED))
        for told in in_every_order(start, tuple(DECLINED_THEN_CANCELED))
    }
    expected = [(PaymentState.FAILED, FactName.PAYMENT_FAILED, 1)]
    assert expected == [(end.state, last, count) for end, last, count in ends]
