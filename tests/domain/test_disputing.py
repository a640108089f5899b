"""A dispute ends the same whatever order its news comes in, and its money is counted as it stands."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from counterfoil.domain.disputing import Docket, net, withdrawn
from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, Dispute, DisputeStatus, Fact, Funds, Payment
from counterfoil.domain.states import PaymentState
from counterfoil.domain.verdict import Cause, Source

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CAUSE = Cause(Source.NOTICE, "evt_1")
PAID = Payment(
    id=UUID("01900000-0000-7000-8000-000000000001"),
    order_id="order-1",
    event_id="event-1",
    money=Money(1999, "EUR"),
    created_at=NOW,
    state=PaymentState.SUCCEEDED,
    amount_captured=1999,
    version=2,
)
OPENED = Dispute("dp_1", DisputeStatus.OPENED, Money(1999, "EUR"), "ch_1", NOW, "fraudulent")
TAKEN = replace(OPENED, funds=Funds.WITHDRAWN, fee=Money(1500, "EUR"))
LOST = replace(TAKEN, status=DisputeStatus.LOST)
WON = replace(TAKEN, status=DisputeStatus.WON)
BACK = replace(WON, funds=Funds.REINSTATED, fee=Money(0, "EUR"))
OTHER = replace(TAKEN, id="dp_2", money=Money(500, "EUR"))


def told(news: Sequence[Dispute], payment: Payment = PAID) -> tuple[Payment, list[Fact], list[Dispute]]:
    """The payment after all of the news, what was said, and the disputes as they would be written."""
    docket, advance = Docket({}), Advance(payment)
    said: list[Fact] = []
    for one in news:
        advance = docket.hear(advance.payment, one, CAUSE, NOW)
        said += advance.facts
    return advance.payment, said, sorted((dispute for _, dispute in docket.changed), key=lambda dispute: dispute.id)


def statuses(said: Sequence[Fact]) -> list[DisputeStatus]:
    return [fact.about.status for fact in said if isinstance(fact.about, Dispute)]


@pytest.mark.parametrize(
    ("news", "ends"),
    [
        ((OPENED, TAKEN, LOST), [LOST]),
        ((OPENED, TAKEN, WON, BACK), [BACK]),
        ((OPENED, TAKEN, LOST, BACK), [BACK]),
        ((TAKEN, OTHER, LOST, replace(OTHER, status=DisputeStatus.LOST)), None),
    ],
)
def test_every_order_of_its_news_ends_the_same(news: tuple[Dispute, ...], ends: list[Dispute] | None) -> None:
    """Each piece once, and each doubled in turn: one end, each status said at most once, the last word the same."""
    whole, said, disputes = told(news)
    assert ends in (None, disputes)
    for doubled in ((), *((one,) for one in news)):
        for order in itertools.permutations(news + doubled):
            payment, told_of, written = told(order)
            assert (replace(payment, version=0), written) == (replace(whole, version=0), disputes)
            assert payment.version == PAID.version + len(told_of)
            assert len({(fact.about.id, fact.about.status) for fact in told_of if fact.about}) == len(told_of)  # type: ignore[union-attr]  # disputes all
            if len(disputes) == 1:
                assert statuses(told_of)[-1] == statuses(said)[-1]


def test_a_status_is_said_once_with_its_number() -> None:
    """Opened, then lost: two facts, whatever else is heard between, numbered on from the payment's last."""
    payment, said, _ = told([OPENED, TAKEN, TAKEN, LOST, LOST])
    assert {fact.name for fact in said} == {FactName.PAYMENT_DISPUTED}
    assert [fact.payment.version for fact in said] == [3, 4]
    assert statuses(said) == [DisputeStatus.OPENED, DisputeStatus.LOST]
    assert (payment.state, payment.disputed, payment.amount_captured) == (PaymentState.SUCCEEDED, True, 1999)


def test_of_several_disputes_the_one_that_can_be_answered_is_shown() -> None:
    """One lost, another open: somebody has to act, so the payment shows as opened, and as lost once that is over."""
    payment, _, _ = told([LOST, OTHER])
    assert payment.dispute_status is DisputeStatus.OPENED
    payment, _, _ = told([LOST, OTHER, replace(OTHER, status=DisputeStatus.WON)])
    assert payment.dispute_status is DisputeStatus.LOST


def test_what_is_disputed_must_have_succeeded() -> None:
    """News of a dispute overtook the success: the payment stays as it is, and is asked about at once."""
    open_one = replace(PAID, state=PaymentState.PROCESSING, amount_captured=0, next_check_at=None)
    payment, said, _ = told([OPENED], open_one)
    assert (payment.state, payment.next_check_at) == (PaymentState.PROCESSING, NOW)
    assert statuses(said) == [DisputeStatus.OPENED]


def test_another_currency_is_a_persons_business() -> None:
    """Nothing is taken down of it: what would it be subtracted from?"""
    docket = Docket({})
    advance = docket.hear(PAID, replace(OPENED, money=Money(1999, "USD")), CAUSE, NOW)
    assert (advance.payment, advance.facts, docket.changed) == (PAID, (), [])
    assert advance.alarm is not None


def test_only_what_is_gone_counts_as_disputed() -> None:
    """Money that was never taken, or came back, is ours."""
    assert [withdrawn([one]) for one in (OPENED, TAKEN, LOST, BACK)] == [0, 1999, 1999, 0]


def test_net_is_known_when_every_fee_is() -> None:
    """An unknown fee, or one in another currency, leaves it open; a dispute's fee may take it below nothing."""
    assert net(1999, "EUR", [Money(88, "EUR")]) == 1911
    assert net(0, "EUR", [Money(88, "EUR"), Money(1500, "EUR")]) == -1588
    assert [net(1999, "EUR", [None]), net(1999, "EUR", [Money(88, "USD")])] == [None, None]
