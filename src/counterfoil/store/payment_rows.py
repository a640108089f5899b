"""How a payment becomes rows, and comes back."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import (
    Advance,
    Attempt,
    CaptureMethod,
    DisputeStatus,
    Fact,
    FraudDecision,
    Payment,
    ScreeningMode,
)
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Decline, FailureReason, Settling
from counterfoil.messages.spoken import message_of
from counterfoil.messages.task import Task
from counterfoil.runtime.ids import Ids
from counterfoil.store.pool import Row


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on an attempt until a time. What is recorded under an older fence changes nothing."""

    owner: str
    expires_at: datetime
    fence: int = 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """A payment about to be: what was asked for, how it stands, the request to send, and who is about to send it.

    One with ``adopted_at`` was asked for before, is forgotten, and is brought back then. A state machine waits for one
    with a ``task``.
    """

    order: Order
    advance: Advance
    request: Request
    livemode: bool
    claim: Claim | None
    owns_order: bool = True
    adopted_at: datetime | None = None
    task: Task | None = None

    @property
    def id(self) -> UUID:
        """The payment's id."""
        return self.advance.payment.id

    @property
    def payment(self) -> Payment:
        """The payment as it is inserted."""
        return self.advance.payment


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store knows of an attempt beside its state."""

    request: Request
    fence: int
    created_at: datetime
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    claim_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A payment as read, with what is kept of each attempt, in order, and whether real money is asked for."""

    payment: Payment
    kept: tuple[Kept, ...]
    livemode: bool


def held(record: Row, attempts: Sequence[Row]) -> Held:
    """Return a payment as read, with its attempts in order."""
    payment = Payment(
        id=record["id"],
        order_id=record["order_id"],
        event_id=record["event_id"],
        money=Money(record["amount"], record["currency"]),
        created_at=record["created_at"],
        customer_id=record["customer_id"],
        capture_method=CaptureMethod(record["capture_method"]),
        off_session=record["off_session"],
        stored_method=record["stored_method"],
        state=PaymentState(record["state"]),
        version=record["version"],
        attempts=tuple(_attempt(attempt) for attempt in attempts),
        intent_id=record["intent_id"],
        amount_captured=record["amount_captured"],
        amount_refunded=record["amount_refunded"],
        amount_refund_reserved=record["amount_refund_reserved"],
        screening=record["screening"],
        screening_mode=ScreeningMode(record["screening_mode"]),
        fraud_decision=FraudDecision(record["fraud_decision"]) if record["fraud_decision"] else None,
        reviewing=record["reviewing"],
        decide_by=record["decide_by"],
        hold_ends_at=record["hold_ends_at"],
        let_go_at=record["let_go_at"],
        amount_to_capture=record["amount_to_capture"],
        retry_at=record["retry_at"],
        cancel_requested_at=record["cancel_requested_at"],
        cancel_reason=record["cancel_reason"],
        cancel_refund_id=record["cancel_refund_id"],
        disputed=record["disputed"],
        dispute_status=DisputeStatus(record["dispute_status"]) if record["dispute_status"] else None,
        fee=Money(record["fee"], record["fee_currency"]) if record["fee"] is not None else None,
        next_check_at=record["next_check_at"],
        checks=record["checks"],
    )
    kept = tuple(
        Kept(
            Request(attempt["idempotency_key"], attempt["request"]),
            attempt["fence"],
            attempt["created_at"],
            attempt["first_sent_at"],
            attempt["last_sent_at"],
            attempt["claim_expires_at"],
        )
        for attempt in attempts
    )
    return Held(payment, kept, record["livemode"])


def _attempt(record: Row) -> Attempt:
    decline = action = None
    if record["decline_reason"] is not None:
        reason = FailureReason(record["decline_reason"])
        decline = Decline(reason, record["decline_code"], record["decline_message"], record["decline_can_retry"])
    if record["action_url"] is not None:
        action = Action(record["action_url"], record["action_expires_at"])
    return Attempt(
        number=record["number"],
        state=AttemptState(record["state"]),
        charge_id=record["charge_id"],
        decline=decline,
        action=action,
        exposed=record["exposed"],
        unknown_since=record["unknown_since"],
        absent_since=record["absent_since"],
        settling=Settling(record["settling"]),
        may_appear_until=record["may_appear_until"],
        expired_at=record["expired_at"],
    )


def arrival_row(arrival: Arrival, ids: Ids) -> tuple[Any, ...]:
    """Return what `insert_payments` takes of an arrival."""
    order, payment, request = arrival.order, arrival.advance.payment, arrival.request
    (fact,) = arrival.advance.facts
    mandate = json.dumps(asdict(order.mandate), default=datetime.isoformat) if order.mandate else None
    return (
        payment.id,
        order.event_id,
        order.order_id,
        order.customer_id,
        order.customer_email,
        order.money.amount,
        order.money.currency,
        order.capture_method.value,
        order.method,
        order.off_session,
        mandate,
        order.return_url,
        order.locale,
        json.dumps([asdict(item) for item in order.items]),
        json.dumps(dict(order.metadata)),
        order.fingerprint() if arrival.adopted_at is None else b"",  # no more is known of it than what there is
        arrival.livemode,
        payment.created_at,
        payment.state.value,
        payment.next_check_at,
        payment.attempts[0].state.value,
        request.key,
        request.body,
        request.digest,
        arrival.claim.owner if arrival.claim else None,
        arrival.claim.expires_at if arrival.claim else None,
        *fact_row(fact, ids)[2:8],
        payment.stored_method,
        payment.screening_mode.value,
        payment.decide_by,
        arrival.owns_order,
        arrival.adopted_at,
        order.traceparent,
    )


def payment_row(payment: Payment) -> tuple[Any, ...]:
    """Return what `write_payments` takes of a payment."""
    return (
        payment.id,
        payment.state.value,
        payment.version,
        payment.intent_id,
        payment.amount_captured,
        payment.amount_refunded,
        payment.amount_refund_reserved,
        payment.screening,
        payment.fraud_decision.value if payment.fraud_decision else None,
        payment.reviewing,
        payment.decide_by,
        payment.hold_ends_at,
        payment.let_go_at,
        payment.amount_to_capture,
        payment.retry_at,
        payment.cancel_requested_at,
        payment.cancel_reason,
        payment.disputed,
        payment.dispute_status.value if payment.dispute_status else None,
        payment.fee.amount if payment.fee else None,
        payment.fee.currency if payment.fee else None,
        payment.checks,
        payment.next_check_at,
        payment.cancel_refund_id,
    )


def attempt_row(payment_id: UUID, attempt: Attempt, *, released: bool) -> tuple[Any, ...]:
    """Return what `write_payments` takes of an attempt; ``released`` ends the claim on it."""
    decline, action = attempt.decline, attempt.action
    return (
        payment_id,
        attempt.number,
        attempt.state.value,
        attempt.charge_id,
        decline.reason.value if decline else None,
        decline.code if decline else None,
        decline.message if decline else None,
        decline.can_retry if decline else None,
        action.url if action else None,
        action.expires_at if action else None,
        attempt.exposed,
        attempt.unknown_since,
        attempt.absent_since,
        attempt.settling.value,
        attempt.may_appear_until,
        attempt.expired_at,
        released,
    )


def fact_row(fact: Fact, ids: Ids) -> tuple[Any, ...]:
    """Return what `write_payments` takes of a fact, named now."""
    message = message_of(fact)
    return (
        fact.payment.id,
        fact.payment.version,
        ids.new(),
        fact.name.value,
        message.schema_version,
        message.wire(),
        fact.cause.source.value,
        fact.cause.reference,
        fact.at,
    )


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Return rows turned into columns: one array for each parameter of an ``unnest``."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
