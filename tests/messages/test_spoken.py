"""Facts on the wire: names, fields and versions as published, held against golden samples."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.payment import (
    Adjustment,
    Attempt,
    Direction,
    Dispute,
    DisputeStatus,
    Fact,
    Payment,
    Refund,
    RefundState,
)
from counterfoil.domain.states import AttemptState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Source
from counterfoil.messages.payment_failed import REASONS
from counterfoil.messages.spoken import message_of

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
DECLINE = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)

PAYMENT = Payment(
    id=UUID("01900000-0000-7000-8000-000000000001"),
    order_id="order-1",
    event_id="event-1",
    money=Money(1999, "EUR"),
    created_at=AT,
    customer_id="customer-1",
    version=2,
    next_check_at=AT,
    retry_at=AT,
    amount_captured=1999,
    attempts=(Attempt(1, AttemptState.CAPTURED, "ch_1", DECLINE, Action("https://bank.example/3ds", AT)),),
)


REFUND = Refund(
    UUID("01900000-0000-7000-8000-000000000002"),
    Money(500, "EUR"),
    RefundState.REQUESTED,
    reason="requested_by_customer",
    failure_reason="lost_or_stolen_card",
)
ABOUT: dict[FactName, Refund | Dispute | Adjustment] = {
    FactName.PAYMENT_DISPUTED: Dispute("dp_1", DisputeStatus.OPENED, Money(1999, "EUR"), "ch_1", AT),
    FactName.REFUND_REQUESTED: REFUND,
    FactName.REFUND_PROCESSED: REFUND,
    FactName.REFUND_FAILED: REFUND,
    FactName.INVENTORY_ADJUSTMENT_REQUESTED: Adjustment(Direction.DECREMENT, (("sku-1", 2),)),
}


def fact(name: FactName) -> Fact:
    waiting = replace(PAYMENT, attempts=(replace(PAYMENT.attempts[0], state=AttemptState.REQUIRES_ACTION),))
    payment = waiting if name is FactName.PAYMENT_ACTION_REQUIRED else PAYMENT
    return Fact(name, payment, AT, Cause(Source.NOTICE, "evt_1"), ABOUT.get(name))


@pytest.mark.parametrize("name", list(FactName))
def test_every_message_is_as_it_was_published(name: FactName) -> None:
    """The golden sample of a version never changes: a field that is renamed or dropped breaks those who listen."""
    message = message_of(fact(name))
    sample = GOLDEN / f"{name.value}-{message.schema_version}.json"
    assert json.loads(sample.read_text()) == json.loads(message.wire())


def test_success_tells_what_was_captured_not_what_was_asked() -> None:
    """Shops ship for what they got."""
    captured = replace(PAYMENT, amount_captured=1500)
    message = message_of(replace(fact(FactName.PAYMENT_SUCCEEDED), payment=captured))
    assert json.loads(message.wire())["amount"] == 1500


def test_every_failure_reason_has_its_word_for_order_services() -> None:
    """Four words on the outside, whatever Stripe said."""
    assert set(FailureReason) == set(REASONS)


def test_what_is_not_known_is_left_out() -> None:
    """No field is null: it is there, or it is not."""
    message = message_of(replace(fact(FactName.PAYMENT_REQUESTED), payment=replace(PAYMENT, customer_id=None)))
    assert "customerId" not in json.loads(message.wire())
