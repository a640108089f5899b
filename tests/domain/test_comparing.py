"""Two books of the same payment: in what they differ, whichever way."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from counterfoil.domain.comparing import (
    AGAIN_AFTER,
    DONE,
    TO_DO,
    Difference,
    Disagreement,
    Remedy,
    Resource,
    Standing,
    Subject,
    TheirPayment,
    TheirRefund,
    compare_dispute,
    compare_payment,
    compare_refund,
    judge,
    missing_there,
)
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Attempt, Dispute, DisputeStatus, Funds, Payment, Refund, RefundState
from counterfoil.domain.refunding import RefundHappening
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Cause, Decline, FailureReason, Source, Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = UUID(int=1)
PRICE = Money(1999, "EUR")
CAUSE = Cause(Source.LOOK_UP, "req_1")
REFUSAL = Decline(FailureReason.CARD_DECLINED, "generic_decline", "no", can_retry=True)


def verdict(outcome: AttemptHappening, name: str | None = "pi_1", charge: str | None = "ch_1") -> Verdict:
    captured = 1999 if outcome is AttemptHappening.CAPTURED else None
    decline = REFUSAL if outcome is AttemptHappening.DECLINED else None
    return Verdict(outcome, CAUSE, name, charge, amount_captured=captured, decline=decline)


def intent(outcome: AttemptHappening, **changes: Any) -> TheirPayment:
    return replace(TheirPayment(Resource.INTENT, "pi_1", ID, PRICE, verdict(outcome), NOW), **changes)


def charge(outcome: AttemptHappening = AttemptHappening.CAPTURED, **changes: Any) -> TheirPayment:
    known = TheirPayment(Resource.CHARGE, "ch_1", ID, PRICE, verdict(outcome), NOW, 0, Money(88, "EUR"), disputed=False)
    return replace(known, **changes)


def payment(state: PaymentState, attempt: AttemptState, **changes: Any) -> Payment:
    decline = REFUSAL if attempt is AttemptState.DECLINED else None
    tried = (Attempt(1, attempt, "ch_1", decline),)
    known = Payment(ID, "order-1", "event-1", PRICE, NOW, state=state, attempts=tried, intent_id="pi_1")
    return replace(known, **changes)


PAID = payment(PaymentState.SUCCEEDED, AttemptState.CAPTURED, amount_captured=1999, fee=Money(88, "EUR"))


def said(found: list[Difference]) -> list[tuple[Subject, Disagreement, Remedy]]:
    return [(one.subject, one.verdict, one.remedy) for one in found]


STANDINGS = (
    (AttemptHappening.CAPTURED, PAID),
    (AttemptHappening.AUTHORIZED, payment(PaymentState.AUTHORIZED, AttemptState.AUTHORIZED)),
    (AttemptHappening.ACTION, payment(PaymentState.REQUIRES_ACTION, AttemptState.REQUIRES_ACTION)),
    (AttemptHappening.PROCESSING, payment(PaymentState.PROCESSING, AttemptState.PROCESSING)),
    (AttemptHappening.DECLINED, payment(PaymentState.FAILED, AttemptState.DECLINED)),
    (AttemptHappening.CANCELED, payment(PaymentState.CANCELED, AttemptState.CANCELED)),
)


@pytest.mark.parametrize(("theirs", "ours"), list(product(range(len(STANDINGS)), repeat=2)))
def test_a_payment_agrees_where_it_stands_as_they_say(theirs: int, ours: int) -> None:
    """Only there, but that what failed and what was canceled both brought no money; else it hears what they say."""
    outcome, standing = STANDINGS[theirs][0], STANDINGS[ours][1]
    alike = theirs == ours or {theirs, ours} == {4, 5}
    expected = [] if alike else [(Subject.PAYMENT, Disagreement.STATE, Remedy.HEAR)]
    assert said(compare_payment(standing, intent(outcome))) == expected


def test_an_attempt_under_way_does_not_differ_from_the_refusal_before_it() -> None:
    """The intent says what the last attempt came to until the next is heard of."""
    again = (Attempt(1, AttemptState.DECLINED, "ch_1", REFUSAL), Attempt(2, AttemptState.SENT, exposed=True))
    under_way = payment(PaymentState.PROCESSING, AttemptState.SENT, attempts=again)
    assert compare_payment(under_way, intent(AttemptHappening.DECLINED)) == []
    once = payment(PaymentState.PROCESSING, AttemptState.SENT)
    assert said(compare_payment(once, intent(AttemptHappening.DECLINED))) == [
        (Subject.PAYMENT, Disagreement.STATE, Remedy.HEAR)
    ]


def test_of_a_second_intent_only_money_is_too_much() -> None:
    """One that was let go, or refused, stands beside the one that counts; whatever may bring money is a person's."""
    for outcome in AttemptHappening:
        if outcome is AttemptHappening.CLAIMED:
            continue
        harmless = outcome in {AttemptHappening.DECLINED, AttemptHappening.CANCELED, AttemptHappening.UNKNOWN}
        expected = [] if harmless else [(Subject.PAYMENT, Disagreement.OURS_MISSING, Remedy.PERSON)]
        assert said(compare_payment(PAID, intent(outcome, name="pi_2"))) == expected


def test_a_second_captured_charge_is_a_persons() -> None:
    """More than one captured charge of a payment is what must never be."""
    assert said(compare_payment(PAID, charge(name="ch_2"))) == [
        (Subject.PAYMENT, Disagreement.OURS_MISSING, Remedy.PERSON)
    ]


def test_a_refused_charge_beside_the_one_that_counts_is_none() -> None:
    """Each attempt makes a charge of its own."""
    assert compare_payment(PAID, charge(AttemptHappening.DECLINED, name="ch_0")) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"given_back": 500}, (Subject.REFUND, Disagreement.AMOUNT, Remedy.RECOUNT)),
        ({"fee": Money(89, "EUR")}, (Subject.FEE, Disagreement.AMOUNT, Remedy.PERSON)),
        ({"fee": None}, (Subject.FEE, Disagreement.THEIRS_MISSING, Remedy.PERSON)),
        (
            {"verdict": replace(verdict(AttemptHappening.CAPTURED), amount_captured=1500)},
            (Subject.PAYMENT, Disagreement.AMOUNT, Remedy.PERSON),
        ),
    ],
)
def test_the_money_of_a_charge_is_compared(changes: dict[str, Any], expected: object) -> None:
    """What was taken, given back and kept; equal books say nothing."""
    assert compare_payment(PAID, charge()) == []
    assert said(compare_payment(PAID, charge(**changes))) == [expected]


def test_a_refund_under_way_may_be_counted_already_or_not_yet() -> None:
    """Between what is given back and what is asked back there is no difference; beyond it there is."""
    under_way = replace(PAID, amount_refunded=200, amount_refund_reserved=300)
    found = [bool(compare_payment(under_way, charge(given_back=amount))) for amount in (199, 200, 500, 501)]
    assert found == [True, False, False, True]


def test_what_they_have_and_we_do_not() -> None:
    """A payment is a person's; a refund is counted again, a dispute asked for, a fee taken down."""
    refund = TheirRefund("re_1", PRICE, RefundHappening.PROCESSED, "pi_1", "ch_1", NOW)
    dispute = Dispute("dp_1", DisputeStatus.OPENED, PRICE, "ch_1", NOW)
    missing = Disagreement.OURS_MISSING
    assert said(compare_payment(None, intent(AttemptHappening.CAPTURED))) == [(Subject.PAYMENT, missing, Remedy.PERSON)]
    assert said(compare_refund(None, refund, ID)) == [(Subject.REFUND, missing, Remedy.RECOUNT)]
    assert compare_refund(None, replace(refund, outcome=RefundHappening.FAILED), ID) == []
    assert said(compare_dispute(None, dispute, ID)) == [(Subject.DISPUTE, missing, Remedy.ASK)]
    assert said(compare_payment(replace(PAID, fee=None), charge())) == [(Subject.FEE, missing, Remedy.LEARN)]


def test_what_we_have_and_they_do_not() -> None:
    """By the name that we have for it; a dispute that their charge knows nothing of."""
    assert missing_there(PAID, Resource.INTENT, "pi_1").verdict is Disagreement.THEIRS_MISSING
    disputed = replace(PAID, disputed=True, dispute_status=DisputeStatus.OPENED)
    assert said(compare_payment(disputed, charge())) == [(Subject.DISPUTE, Disagreement.THEIRS_MISSING, Remedy.PERSON)]


@pytest.mark.parametrize(("ours", "theirs"), list(product(RefundState, RefundHappening)))
def test_refunds_agree_where_both_say_the_same(ours: RefundState, theirs: RefundHappening) -> None:
    """What is not said for certain agrees with whatever is open."""
    refund = TheirRefund("re_1", PRICE, theirs, "pi_1", "ch_1", NOW)
    open_still = theirs is RefundHappening.UNKNOWN and ours in {RefundState.REQUESTED, RefundState.PENDING}
    alike = open_still or ours.value == theirs.value
    found = compare_refund(Refund(UUID(int=2), PRICE, ours, "re_1"), refund, ID)
    assert said(found) == ([] if alike else [(Subject.REFUND, Disagreement.STATE, Remedy.RECOUNT)])


def test_a_dispute_is_compared_with_its_money() -> None:
    """Its status, its amount, and where the money is."""
    dispute = Dispute("dp_1", DisputeStatus.OPENED, PRICE, "ch_1", NOW)
    assert compare_dispute(dispute, dispute, ID) == []
    for changed, expected in (
        (replace(dispute, funds=Funds.WITHDRAWN), Disagreement.STATE),
        (replace(dispute, status=DisputeStatus.LOST), Disagreement.STATE),
        (replace(dispute, money=Money(1, "EUR")), Disagreement.AMOUNT),
    ):
        assert said(compare_dispute(dispute, changed, ID)) == [(Subject.DISPUTE, expected, Remedy.ASK)]


def test_a_difference_is_compared_again_until_it_is_left() -> None:
    """Settled as soon as it is none; what only a person can settle is compared once more, the rest four times."""
    waits = judge(compare_payment(replace(PAID, fee=None), charge())[0], 1)
    assert waits == (Standing.SUSPECTED, AGAIN_AFTER[1])
    assert judge(None, 1) == (Standing.SETTLED, None)
    assert judge(missing_there(PAID, Resource.INTENT, "pi_1"), 1) == (Standing.LEFT, None)
    assert judge(compare_payment(replace(PAID, fee=None), charge())[0], len(AGAIN_AFTER)) == (Standing.LEFT, None)


def test_every_difference_that_is_left_says_what_to_do() -> None:
    """Each pair of subject and verdict that a comparison can bring has its sentence, and so has each remedy."""
    pairs = set(product(Subject, Disagreement))
    impossible = {(Subject.REFUND, Disagreement.THEIRS_MISSING), (Subject.FEE, Disagreement.STATE)}
    assert set(TO_DO) == pairs - impossible
    assert set(DONE) == set(Remedy)
