"""What becomes of an order, whatever is heard of it, in which order and how often."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from examples.shop import orders
from examples.shop.orders import (
    Adjusted,
    Fact,
    Order,
    Paid,
    Refund,
    Refunded,
    Refused,
    Status,
    Stock,
    Unpaid,
    cancel,
    cancel_reason,
    hear,
    moved_stock,
)

PAYMENT = UUID(int=1)
REFUNDS = (UUID(int=2), UUID(int=3))
NEW = Order("order-1", {"tea": 2, "cup": 1})
PAID = Paid(PAYMENT, 2670)
FAILED = Unpaid(PAYMENT, "CARD_DECLINED")
TAKEN, LET_GO = Adjusted(Stock.TAKEN), Adjusted(Stock.LET_GO)

STORIES: dict[str, tuple[Fact, ...]] = {
    "paid": (PAID, TAKEN),
    "failed": (FAILED, LET_GO),
    "canceled": (Unpaid(PAYMENT, "EXPIRED"), LET_GO),
    "refused": (Refused("amount-refused"),),
    "paid late": (FAILED, LET_GO, PAID, TAKEN, Refunded(REFUNDS[0], Refund(7, 2670, processed=True))),
    "given back twice": (
        PAID,
        TAKEN,
        Refunded(REFUNDS[0], Refund(4, 1000, processed=True)),
        Refunded(REFUNDS[0], Refund(6, 1000, processed=False)),
        Refunded(REFUNDS[1], Refund(8, 1670, processed=True)),
    ),
    "refused, put back by a person, and canceled": (
        Refused("method-refused"),
        Unpaid(PAYMENT, "ORDER_CANCELLED"),
        LET_GO,
    ),
}
"""All that Counterfoil may say of an order, in the order in which it becomes true."""


def told(facts: tuple[Fact, ...] | list[Fact], order: Order = NEW) -> Order:
    for fact in facts:
        order = hear(order, fact)
    return order


def moves(facts: list[Fact]) -> tuple[Counter[str], Counter[str]]:
    on_hand, reserved, order = Counter[str](), Counter[str](NEW.lines), NEW
    for fact in facts:
        after = hear(order, fact)
        for sku, move in moved_stock(order, after).items():
            on_hand[sku] += move.on_hand
            reserved[sku] += move.reserved
        assert all(count >= 0 for count in reserved.values())
        order = after
    return on_hand, reserved


def _hear(fact: Fact, order: Order) -> Order:
    return hear(order, fact)


@st.composite
def heard(draw: st.DrawFn) -> tuple[str, list[Fact]]:
    """A story, its facts in any order, each once or more often."""
    name = draw(st.sampled_from(sorted(STORIES)))
    facts = list(STORIES[name])
    again = draw(st.lists(st.sampled_from(facts), max_size=4))
    return name, draw(st.permutations(facts + again))


@given(heard())
def test_the_books_are_the_same_in_whatever_order_facts_are_heard(case: tuple[str, list[Fact]]) -> None:
    """Money, refunds, the payment and the stock are those of the story as it happened."""
    name, facts = case
    happened, found = told(STORIES[name]), told(facts)
    assert (found.paid_cents, found.refunded_cents, found.payment_id, found.stock) == (
        happened.paid_cents,
        happened.refunded_cents,
        happened.payment_id,
        happened.stock,
    )
    assert found.status is not Status.PLACED


@given(heard())
def test_every_reservation_ends_once_and_goods_go_out_once(case: tuple[str, list[Fact]]) -> None:
    """What is reserved falls to nothing and never below, and what was paid for is taken out once."""
    name, facts = case
    on_hand, reserved = moves(facts)
    taken = 1 if TAKEN in STORIES[name] else 0
    assert {sku: -on_hand[sku] for sku in NEW.lines} == {sku: count * taken for sku, count in NEW.lines.items()}
    assert set(reserved.values()) == {0}


@given(heard(), st.integers(0, 12))
def test_order_cancelled_is_said_once_of_what_is_not_wanted(case: tuple[str, list[Fact]], moment: int) -> None:
    """Whenever its customer cancels too: once where the order ends unwanted, never where it ends paid."""
    said, order = [], NEW
    steps: list[Callable[[Order], Order]] = [partial(_hear, fact) for fact in case[1]]
    steps.insert(moment, cancel)
    for step in steps:
        after = step(order)
        said += [reason for reason in [cancel_reason(order, after)] if reason]
        order = after
    assert order.status in {Status.CANCELLED, Status.REFUSED}
    assert said == [orders.CUSTOMER_REQUESTED if order.reason == orders.CUSTOMER_REQUESTED else orders.PAYMENT_FAILED]


def test_money_for_a_paid_order_is_not_undone_by_a_failure_that_was_true_before() -> None:
    """The failure is heard late, because it is on another topic: the order stays paid, and nothing is cancelled."""
    order = told((PAID, FAILED, LET_GO, TAKEN))
    assert (order.status, order.reason, order.stock) == (Status.PAID, None, Stock.TAKEN)


def test_money_for_an_order_that_is_not_wanted_is_noted_and_no_more() -> None:
    """It stays cancelled or refused: Counterfoil gives the money back, and says so."""
    for end in (FAILED, Refused("amount-refused")):
        order = told((end, PAID))
        assert (order.status, order.paid_cents) == (told((end,)).status, 2670)


def test_a_refund_that_comes_back_does_not_count() -> None:
    """A bank may send back what was processed; of two words about a refund the one with the higher sequence counts."""
    back = Refunded(REFUNDS[0], Refund(6, 1000, processed=False))
    processed = Refunded(REFUNDS[0], Refund(4, 1000, processed=True))
    assert told((processed,)).refunded_cents == 1000
    assert told((processed, back)).refunded_cents == told((back, processed)).refunded_cents == 0


def test_goods_of_a_cancelled_order_stay_reserved_until_its_payment_ends() -> None:
    """Only then is it known whether they are let go, or were paid for in the meantime."""
    order = cancel(NEW)
    assert (order.status, order.stock) == (Status.CANCELLED, Stock.RESERVED)
    assert hear(order, LET_GO).stock is Stock.LET_GO
    assert hear(order, TAKEN).stock is Stock.TAKEN
