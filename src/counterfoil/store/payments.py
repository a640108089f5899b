"""Payments in the store: how they come to be, are held, and move. The typed side of ``sql/payments.sql``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from counterfoil.domain.money import Money
from counterfoil.domain.order import Mandate, Order
from counterfoil.domain.payment import Advance, Attempt, CaptureMethod, Fact, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import KEY_LIFE
from counterfoil.domain.states import AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Decline, FailureReason, Settling
from counterfoil.messages.spoken import message_of
from counterfoil.runtime.ids import Ids
from counterfoil.store import queries
from counterfoil.store.pool import Connection, Row

_SQL: Final = queries.load("payments")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on an attempt until a time. What is recorded under an older fence changes nothing."""

    owner: str
    expires_at: datetime
    fence: int = 1


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: the process by its name, and the digest of the key it sends with (see `pauses`)."""

    name: str
    credential: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A payment about to be: what was asked for, how it stands, the request to send, and who is about to send it."""

    order: Order
    advance: Advance
    request: Request
    livemode: bool
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Further:
    """A payment's last attempt, about to be added: what it is paid with, the request, and who is about to send it."""

    payment: Payment
    payment_method: str
    request: Request
    claim: Claim


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store knows of an attempt beside its state."""

    request: Request
    fence: int
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    claim_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A payment as read, with what is kept of each attempt, in order."""

    payment: Payment
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """By what a payment can be found at the processor: its name there, else when it was first and last sent."""

    payment_id: UUID
    intent_id: str | None
    first_sent_at: datetime
    last_sent_at: datetime


@dataclass(frozen=True, slots=True)
class Open:
    """What is open in one currency: since when the oldest is, and how many payments of how much are in doubt."""

    currency: str
    doubted: int
    amount_in_doubt: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """The payment that already answers for an event."""

    payment_id: UUID
    fingerprint: bytes


async def insert(connection: Connection, arrivals: Sequence[Arrival], ids: Ids) -> set[UUID]:
    """Insert payments with their first attempts and facts, in one statement; return the ids of those that are new.

    Left out is whose event is known already, and whose order has a live payment.
    """
    rows = [_arrival_row(arrival, ids) for arrival in arrivals]
    records = await connection.fetch(_SQL.insert_payments, *_columns(rows, 32))
    return {record["id"] for record in records}


async def known_events(connection: Connection, event_ids: Iterable[str]) -> dict[str, Known]:
    """Return, by event id, the payments that already answer for these events."""
    records = await connection.fetch(_SQL.known_events, list(event_ids))
    return {record["event_id"]: Known(record["id"], record["fingerprint"]) for record in records}


async def live_orders(connection: Connection, order_ids: Iterable[str]) -> dict[str, UUID]:
    """Return, by order id, the live payments of these orders."""
    records = await connection.fetch(_SQL.live_orders, list(order_ids))
    return {record["order_id"]: record["id"] for record in records}


async def read(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, Held]:
    """Return payments by id, as they stand; nothing is locked."""
    return await _held(connection, _SQL.payments_by_id, payment_ids)


async def lock(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, Held]:
    """Return payments by id, each locked until the transaction ends, taken in the order of their ids."""
    return await _held(connection, _SQL.lock_payments, payment_ids)


async def lock_due_to_send(connection: Connection, now: datetime, most: int, credential: str) -> dict[UUID, Held]:
    """Return up to ``most`` locked payments whose attempt is to be sent, or sent again; those held elsewhere not.

    None while ``credential`` is paused, here as in the two below.
    """
    records = await connection.fetch(_SQL.lock_due_to_send, now, most, now - KEY_LIFE, credential)
    return await lock(connection, [record["id"] for record in records])


async def lock_overdue(connection: Connection, now: datetime, most: int, credential: str) -> dict[UUID, Held]:
    """Return up to ``most`` locked payments whose customer's time is over; those held elsewhere not."""
    records = await connection.fetch(_SQL.lock_overdue, now, most, credential)
    return await lock(connection, [record["id"] for record in records])


async def claim_due_to_ask(
    connection: Connection,
    now: datetime,
    until: datetime,
    most: int,
    credential: str,
) -> list[Trace]:
    """Take up to ``most`` due payments of which only the processor can tell more."""
    records = await connection.fetch(_SQL.claim_due_to_ask, now, most, until, now - KEY_LIFE, credential)
    return [Trace(*record.values()) for record in records]


async def order_of(connection: Connection, payment_id: UUID) -> Order | None:
    """Return what the client wished of a payment, as far as it is needed to ask for it again."""
    record = await connection.fetchrow(_SQL.order_of, payment_id)
    if record is None:
        return None
    mandate = json.loads(record["mandate"]) if record["mandate"] else None
    if mandate is not None and mandate["accepted_at"] is not None:
        mandate["accepted_at"] = datetime.fromisoformat(mandate["accepted_at"])
    return Order(
        event_id=record["event_id"],
        order_id=record["order_id"],
        money=Money(record["amount"], record["currency"]),
        payment_method=record["payment_method"],
        customer_id=record["customer_id"],
        off_session=record["off_session"],
        mandate=Mandate(**mandate) if mandate else None,
        return_url=record["return_url"],
        capture_method=CaptureMethod(record["capture_method"]),
        metadata=json.loads(record["metadata"]),
    )


async def add_attempt(connection: Connection, further: Further, now: datetime) -> None:
    """Insert the payment's last attempt, claimed; the payment's row is locked, and is written apart (`write`).

    Raises:
        asyncpg.UniqueViolationError: another payment owns the order by now.
    """
    attempt, request = further.payment.attempts[-1], further.request
    await connection.execute(
        _SQL.add_attempt,
        further.payment.id,
        attempt.number,
        attempt.state.value,
        further.payment_method,
        request.key,
        request.body,
        request.digest,
        now,
        further.claim.owner,
        further.claim.expires_at,
    )


async def open_payments(connection: Connection) -> list[Open]:
    """Return what is open and what is in doubt, by currency."""
    return [Open(*record.values()) for record in await connection.fetch(_SQL.open_payments)]


async def claim_attempts(
    connection: Connection,
    attempts: Sequence[tuple[UUID, int]],
    owner: str,
    now: datetime,
    until: datetime,
) -> dict[UUID, Claim]:
    """Claim attempts of locked payments and put their sending on record; return the claims by payment."""
    records = await connection.fetch(
        _SQL.claim_attempts,
        [payment_id for payment_id, _ in attempts],
        [number for _, number in attempts],
        owner,
        until,
        now,
    )
    return {record["payment_id"]: Claim(owner, until, record["fence"]) for record in records}


async def by_intent(connection: Connection, intent_ids: Iterable[str]) -> dict[str, UUID]:
    """Return which payment carries which of these names of the processor's."""
    records = await connection.fetch(_SQL.payments_by_intent, list(intent_ids))
    return {record["intent_id"]: record["id"] for record in records}


async def write(
    connection: Connection,
    advances: Sequence[Advance],
    ids: Ids,
    now: datetime,
    *,
    released: frozenset[tuple[UUID, int]] = frozenset(),
) -> None:
    """Write payments that moved, one write for each, in one statement: state, attempts, facts, outbox.

    Args:
        connection: in the transaction that locked the payments.
        advances: at most one for each payment; its facts are all those said since the lock.
        ids: names the facts.
        now: when this is written.
        released: the (payment, attempt number) whose claims end with this.
    """
    if not advances:
        return
    payments = [_payment_row(advance.payment) for advance in advances]
    attempts = [
        _attempt_row(advance.payment.id, attempt, released=(advance.payment.id, attempt.number) in released)
        for advance in advances
        for attempt in advance.payment.attempts
    ]
    facts = [_fact_row(fact, ids) for advance in advances for fact in advance.facts]
    await connection.execute(
        _SQL.write_payments,
        *_columns(payments, 10),
        *_columns(attempts, 17),
        *_columns(facts, 9),
        now,
    )


async def _held(connection: Connection, query: str, payment_ids: Iterable[UUID]) -> dict[UUID, Held]:
    wanted = list(payment_ids)
    records = await connection.fetch(query, wanted)
    tried: dict[UUID, list[Row]] = {}
    for record in await connection.fetch(_SQL.attempts_of, wanted):
        tried.setdefault(record["payment_id"], []).append(record)
    return {record["id"]: _payment(record, tried.get(record["id"], [])) for record in records}


def _payment(record: Row, attempts: Sequence[Row]) -> Held:
    payment = Payment(
        id=record["id"],
        order_id=record["order_id"],
        event_id=record["event_id"],
        money=Money(record["amount"], record["currency"]),
        created_at=record["created_at"],
        customer_id=record["customer_id"],
        capture_method=CaptureMethod(record["capture_method"]),
        state=PaymentState(record["state"]),
        version=record["version"],
        attempts=tuple(_attempt(attempt) for attempt in attempts),
        intent_id=record["intent_id"],
        amount_captured=record["amount_captured"],
        screening=record["screening"],
        retry_at=record["retry_at"],
        cancel_requested_at=record["cancel_requested_at"],
        next_check_at=record["next_check_at"],
        checks=record["checks"],
    )
    kept = tuple(
        Kept(
            Request(attempt["idempotency_key"], attempt["request"]),
            attempt["fence"],
            attempt["first_sent_at"],
            attempt["last_sent_at"],
            attempt["claim_expires_at"],
        )
        for attempt in attempts
    )
    return Held(payment, kept)


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


def _arrival_row(arrival: Arrival, ids: Ids) -> tuple[Any, ...]:
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
        order.payment_method,
        order.off_session,
        mandate,
        order.return_url,
        order.locale,
        json.dumps([asdict(item) for item in order.items]),
        json.dumps(dict(order.metadata)),
        order.fingerprint(),
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
        *_fact_row(fact, ids)[2:8],
    )


def _payment_row(payment: Payment) -> tuple[Any, ...]:
    return (
        payment.id,
        payment.state.value,
        payment.version,
        payment.intent_id,
        payment.amount_captured,
        payment.screening,
        payment.retry_at,
        payment.cancel_requested_at,
        payment.checks,
        payment.next_check_at,
    )


def _attempt_row(payment_id: UUID, attempt: Attempt, *, released: bool) -> tuple[Any, ...]:
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


def _fact_row(fact: Fact, ids: Ids) -> tuple[Any, ...]:
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


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Return rows turned into columns: one array for each parameter of an ``unnest``."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
