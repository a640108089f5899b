"""What becomes of an order: pure rules, without a database, a clock or a network.

An order goes two ways at once. Its *status* is what the shop told its customer; its *stock* is what the warehouse was
asked for. Both only ever go forward, so that a fact heard twice, or late, or before one that was true earlier, does no
harm: Counterfoil's topics are read side by side, and only what is on one topic comes in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID


@unique
class Status(StrEnum):
    """What the customer was told. All but `PLACED` are ends, but that a paid order can still be cancelled."""

    PLACED = "placed"
    PAID = "paid"
    CANCELLED = "cancelled"
    REFUSED = "refused"


@unique
class Stock(StrEnum):
    """What became of the goods that an order reserved."""

    RESERVED = "reserved"
    LET_GO = "let_go"
    TAKEN = "taken"


CUSTOMER_REQUESTED: Final = "CUSTOMER_REQUESTED"
PAYMENT_FAILED: Final = "PAYMENT_FAILED"
"""Two of the reasons that OrderCancelled knows; the shop has no others."""

UNWANTED: Final = frozenset({Status.CANCELLED, Status.REFUSED})
"""Orders for which the shop wants no money. What still comes goes back, because OrderCancelled was said of them."""


@dataclass(frozen=True, slots=True)
class Refund:
    """How a refund ended, as last heard: of two sequences the higher was true later."""

    sequence: int
    amount_cents: int
    processed: bool


@dataclass(frozen=True, slots=True)
class Order:
    """An order as facts change it. ``lines`` is how many of which sku; ``reason`` why it is not wanted any more."""

    order_id: str
    lines: Mapping[str, int]
    status: Status = Status.PLACED
    stock: Stock = Stock.RESERVED
    paid_cents: int = 0
    payment_id: UUID | None = None
    reason: str | None = None
    refunds: Mapping[UUID, Refund] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def refunded_cents(self) -> int:
        """What went back to the customer."""
        return sum(refund.amount_cents for refund in self.refunds.values() if refund.processed)


@dataclass(frozen=True, slots=True)
class Paid:
    """PaymentSucceeded: the money is there."""

    payment_id: UUID
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Unpaid:
    """PaymentFailed or PaymentCanceled: there will be no money, for all that is known."""

    payment_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """OrderRefused: the order will have no payment, as it was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """RefundProcessed or RefundFailed."""

    refund_id: UUID
    refund: Refund


@dataclass(frozen=True, slots=True)
class Adjusted:
    """InventoryAdjustmentRequested: DECREMENT takes the goods, RELEASE lets them go."""

    stock: Stock


Fact: TypeAlias = Paid | Unpaid | Refused | Refunded | Adjusted


def hear(order: Order, fact: Fact) -> Order:
    """Return the order after a fact about it."""
    match fact:
        case Paid(payment_id, amount_cents):
            # Of an order that is not wanted the money is noted, and no more: Counterfoil gives it back by itself.
            status = Status.PAID if order.status is Status.PLACED else order.status
            return replace(order, status=status, paid_cents=amount_cents, payment_id=payment_id)
        case Unpaid(payment_id, reason):
            known = replace(order, payment_id=order.payment_id or payment_id)
            return _ended(known, Status.CANCELLED, reason)
        case Refused(reason):
            # No payment was made, so none will end, and no adjustment will ever come for what is reserved: this is the
            # one other thing that lets a reservation go.
            return _moved(_ended(order, Status.REFUSED, reason), Stock.LET_GO)
        case Refunded(refund_id, refund):
            known_refund = order.refunds.get(refund_id)
            if known_refund is not None and known_refund.sequence >= refund.sequence:
                return order
            return replace(order, refunds=MappingProxyType({**order.refunds, refund_id: refund}))
        case Adjusted(stock):
            return _moved(order, stock)


def cancel(order: Order) -> Order:
    """Return the order after its customer does not want it any more; one that is not wanted already stays as it is.

    What is reserved stays reserved. Counterfoil hears of the order before it hears of its cancellation, so there is, or
    will be, a payment, and its end says what the stock is asked for: RELEASE, or DECREMENT where it was paid first.
    """
    if order.status in UNWANTED:
        return order
    return replace(order, status=Status.CANCELLED, reason=CUSTOMER_REQUESTED)


def cancel_reason(before: Order, after: Order) -> str | None:
    """Return why OrderCancelled is to be said of this change; None where it is not: it is said once of an order.

    It is also said of a refused order. Its message lies with Counterfoil's dead letters, and should somebody put it
    back there, it must charge nobody who was told that there is no order.
    """
    if before.status in UNWANTED or after.status not in UNWANTED:
        return None
    return CUSTOMER_REQUESTED if after.reason == CUSTOMER_REQUESTED else PAYMENT_FAILED


@dataclass(frozen=True, slots=True)
class Move:
    """By how much stock changes for each piece of an order."""

    on_hand: int
    reserved: int


MOVES: Final[Mapping[tuple[Stock, Stock], Move]] = MappingProxyType(
    {
        (Stock.RESERVED, Stock.LET_GO): Move(on_hand=0, reserved=-1),
        (Stock.RESERVED, Stock.TAKEN): Move(on_hand=-1, reserved=-1),
        # Money that came late: the reservation has ended already, and ends only once. `reserved` is what others hold.
        (Stock.LET_GO, Stock.TAKEN): Move(on_hand=-1, reserved=0),
    }
)
"""What an order's way does to the stock. Nothing leads back: goods are put back by whoever has them in their hands."""


def moved_stock(before: Order, after: Order) -> Mapping[str, Move]:
    """Return by how much the stock of each sku changes with an order.

    It is counted by the order's own lines, which are what was reserved, and not by the items of the adjustment.
    """
    move = MOVES.get((before.stock, after.stock))
    if move is None:
        return {}
    return {sku: Move(move.on_hand * count, move.reserved * count) for sku, count in after.lines.items()}


def _ended(order: Order, status: Status, reason: str) -> Order:
    # A paid order stays paid: money outranks a failure, and this one was true before the money came.
    return replace(order, status=status, reason=reason) if order.status is Status.PLACED else order


def _moved(order: Order, stock: Stock) -> Order:
    return replace(order, stock=stock) if (order.stock, stock) in MOVES else order
