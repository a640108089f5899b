"""Payments in the store: how they come to be, are held, and move. The typed side of ``sql/payments.sql``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.driving import attempts_answered, next_heartbeat
from counterfoil.domain.facts import FactName
from counterfoil.domain.money import Money
from counterfoil.domain.order import Mandate, Order
from counterfoil.domain.payment import Advance, CaptureMethod, Payment, Refund
from counterfoil.domain.refunding import Course
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import KEY_LIFE, LEARN_AFTER
from counterfoil.domain.states import FINAL
from counterfoil.runtime.ids import Ids
from counterfoil.store import effects, queries, refunds, task_tokens
from counterfoil.store.payment_rows import (
    Arrival,
    Claim,
    Held,
    arrival_row,
    attempt_row,
    columns,
    fact_row,
    held,
    payment_row,
)
from counterfoil.store.pool import Connection, Contended, Row
from counterfoil.store.task_tokens import Arriving

_SQL: Final = queries.load("payments")


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: the process by its name, and the digest of the key it sends with (see `pauses`)."""

    name: str
    credential: str


@dataclass(frozen=True, slots=True)
class Further:
    """A payment's last attempt, about to be added: what it is paid with, the request, and who is about to send it."""

    payment: Payment
    payment_method: str
    request: Request
    claim: Claim


@dataclass(frozen=True, slots=True)
class Trace:
    """By what a payment can be found at the processor: its name there, else between when it may have been made.

    ``request`` is what was sent of it last, if anything was.
    """

    payment_id: UUID
    intent_id: str | None
    request: Request | None
    first_sent_at: datetime
    may_be_made_until: datetime


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

    Left out is whose event is known already, and whose order has a live payment. What a machine waits for is put on
    record in the same transaction: nobody may see such a payment, or end it, before it is its machine's.

    Raises:
        Contended: a token was taken in by somebody else in this moment, who may have refused its order; nothing is
            inserted.
    """
    waited_for = [arrival for arrival in arrivals if arrival.task is not None]
    if not waited_for:
        return await _insert(connection, arrivals, ids)
    async with connection.transaction():
        new = await _insert(connection, arrivals, ids)
        now = waited_for[0].payment.created_at
        arriving = [
            Arriving(one.task, one.id, 1, next_heartbeat(one.task.heartbeat_seconds, now))
            for one in waited_for
            if one.id in new and one.task is not None
        ]
        if await task_tokens.take_in(connection, arriving, ids, now) < len(arriving):
            raise Contended("database")
    return new


async def _insert(connection: Connection, arrivals: Sequence[Arrival], ids: Ids) -> set[UUID]:
    rows = [arrival_row(arrival, ids) for arrival in arrivals]
    records = await connection.fetch(_SQL.insert_payments, *columns(rows, 38))
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

    None while ``credential`` is paused, here as in the three below.
    """
    records = await connection.fetch(_SQL.lock_due_to_send, now, most, now - KEY_LIFE, credential)
    return await lock(connection, [record["id"] for record in records])


async def lock_to_let_go(connection: Connection, now: datetime, most: int, credential: str) -> dict[UUID, Held]:
    """Return up to ``most`` locked payments that are to be let go at the processor; those held elsewhere not."""
    records = await connection.fetch(_SQL.lock_to_let_go, now, most, credential)
    return await lock(connection, [record["id"] for record in records])


async def lock_to_capture(connection: Connection, now: datetime, most: int, credential: str) -> dict[UUID, Held]:
    """Return up to ``most`` locked payments whose hold is to be captured; those held elsewhere not."""
    records = await connection.fetch(_SQL.lock_to_capture, now, most, credential)
    return await lock(connection, [record["id"] for record in records])


async def lock_doubtful(connection: Connection, since: datetime, most: int, credential: str) -> dict[UUID, Held]:
    """Return up to ``most`` locked payments, unknown since then, that nobody looks at while a pause lasts."""
    records = await connection.fetch(_SQL.lock_doubtful, since, most, credential)
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
    return [
        Trace(
            record["id"],
            record["intent_id"],
            Request(record["idempotency_key"], record["request"]) if record["request"] else None,
            record["first_sent_at"],
            record["may_be_made_until"],
        )
        for record in records
    ]


async def order_of(connection: Connection, payment_id: UUID) -> Order | None:
    """Return what the client wished of a payment, as far as it is needed to ask for it again."""
    return (await orders_of(connection, [payment_id])).get(payment_id)


async def orders_of(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, Order]:
    """Return, by payment, what the client wished, as far as it is needed to ask for it again."""
    records = await connection.fetch(_SQL.orders_of, list(payment_ids))
    return {record["id"]: _order(record) for record in records}


def _order(record: Row) -> Order:
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


async def owners(
    connection: Connection,
    names: Sequence[tuple[UUID | None, str | None, str | None]],
) -> list[UUID | None]:
    """Return which payment each of these is about, in order: by its own id as claimed, by intent, else by charge."""
    nameless = [(intent_id, charge_id) for payment_id, intent_id, charge_id in names if payment_id is None]
    if not nameless:
        return [payment_id for payment_id, _, _ in names]
    intents = [intent_id for intent_id, _ in nameless if intent_id is not None]
    by_intent = {record["intent_id"]: record["id"] for record in await connection.fetch(_SQL.by_intent, intents)}
    charges = [one for intent_id, one in nameless if one is not None and intent_id not in by_intent]
    by_charge = {
        record["charge_id"]: record["payment_id"] for record in await connection.fetch(_SQL.by_charge, charges)
    }
    return [
        payment_id or by_intent.get(intent_id or "") or by_charge.get(charge_id or "")
        for payment_id, intent_id, charge_id in names
    ]


async def write(
    connection: Connection,
    advances: Sequence[Advance],
    ids: Ids,
    now: datetime,
    *,
    released: frozenset[tuple[UUID, int]] = frozenset(),
) -> None:
    """Write payments that moved, one write for each, in one statement: state, attempts, facts, outbox.

    What follows from a payment's end begins here too, for there is no other way to an end.
    A refund that is announced is made here: its row is the request to the processor, the fact its announcement.

    Args:
        connection: in the transaction that locked the payments.
        advances: at most one for each payment; its facts are all those said since the lock.
        ids: names the facts.
        now: when this is written.
        released: the (payment, attempt number) whose claims end with this.
    """
    if not advances:
        return
    advances = await effects.begin(connection, advances, now)
    payments = [payment_row(advance.payment) for advance in advances]
    attempts = [
        attempt_row(advance.payment.id, attempt, released=(advance.payment.id, attempt.number) in released)
        for advance in advances
        for attempt in advance.payment.attempts
    ]
    facts = [fact_row(fact, ids) for advance in advances for fact in advance.facts]
    await connection.execute(
        _SQL.write_payments,
        *columns(payments, 24),
        *columns(attempts, 17),
        *columns(facts, 9),
        now,
        now + LEARN_AFTER[0],
        *columns(_answered(advances), 3),
    )
    announced = [fact for advance in advances for fact in advance.facts if fact.name is FactName.REFUND_REQUESTED]
    asked = [
        (fact.payment.id, Course(fact.about, next_check_at=now)) for fact in announced if isinstance(fact.about, Refund)
    ]
    if asked:
        await refunds.insert(connection, asked, now)


def _answered(advances: Sequence[Advance]) -> list[tuple[UUID, int, bool]]:
    """Return up to which attempts there is something to tell the machines of payments, and which have ended."""
    found = [(advance.payment, attempts_answered(advance.payment)) for advance in advances]
    return [(payment.id, attempt, payment.state in FINAL) for payment, attempt in found if attempt is not None]


async def _held(connection: Connection, query: str, payment_ids: Iterable[UUID]) -> dict[UUID, Held]:
    wanted = list(payment_ids)
    records = await connection.fetch(query, wanted)
    tried: dict[UUID, list[Row]] = {}
    for record in await connection.fetch(_SQL.attempts_of, wanted):
        tried.setdefault(record["payment_id"], []).append(record)
    return {record["id"]: held(record, tried.get(record["id"], [])) for record in records}
