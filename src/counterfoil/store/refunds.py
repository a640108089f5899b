"""Refunds in the store: asked for, sent, heard of, counted again. The typed side of ``sql/refunds.sql``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from counterfoil.domain.money import Money
from counterfoil.domain.payment import Refund, RefundState
from counterfoil.domain.refunding import Course, Repayment, Wish
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import KEY_LIFE
from counterfoil.domain.verdict import Settling
from counterfoil.store import queries
from counterfoil.store.payment_rows import Claim, columns
from counterfoil.store.pool import Connection, Pool, Row

_SQL: Final = queries.load("refunds")


@dataclass(frozen=True, slots=True)
class Known:
    """The refund that already answers for a request's key; no ``fingerprint`` where it is not known what was wished."""

    refund_id: UUID
    fingerprint: bytes | None


@dataclass(frozen=True, slots=True)
class Due:
    """A refund that is to be sent; ``request`` is None before the first time, ``again`` says that there was one."""

    repayment: Repayment
    request: Request | None
    again: bool


@dataclass(frozen=True, slots=True)
class HeldRefund:
    """A refund as read under the lock of its payment; what was sent under an older fence can't be recorded."""

    payment_id: UUID
    course: Course
    fence: int


@dataclass(frozen=True, slots=True)
class Trace:
    """A paid payment whose refunds are to be asked for, by the processor's names for it, under a claim until then."""

    payment_id: UUID
    intent_id: str | None
    charge_id: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund as the API shows it; the amount in minor units."""

    id: UUID
    payment_id: UUID
    amount: int
    currency: str
    state: str
    reason: str | None
    failure_reason: str | None
    processor_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OpenRefunds:
    """How many refunds of a state are not given back yet, and since when the oldest waits."""

    state: str
    waiting: int
    oldest: datetime


async def insert(connection: Connection, courses: Sequence[tuple[UUID, Course]], now: datetime) -> None:
    """Insert refunds, each with the payment it is of; the payments are locked."""
    rows = [_row(payment_id, course) for payment_id, course in courses]
    await connection.execute(_SQL.insert, *columns(rows, 12), now)


async def put_key(connection: Connection, refund_id: UUID, wish: Wish) -> None:
    """Put on record which wish a refund fulfils.

    Raises:
        asyncpg.UniqueViolationError: another refund of the payment fulfils it; not while the payment is locked.
    """
    await connection.execute(_SQL.key, refund_id, wish.key, wish.fingerprint())


async def by_request(connection: Connection, wish: Wish) -> Known | None:
    """Return the refund that was made for the wish's key, if there is one."""
    record = await connection.fetchrow(_SQL.by_request, wish.payment_id, wish.key)
    return None if record is None else Known(record["id"], record["fingerprint"])


async def take_due(connection: Connection, now: datetime, most: int, credential: str) -> list[Due]:
    """Return up to ``most`` locked refunds that are to be sent; none while ``credential`` is paused."""
    records = await connection.fetch(_SQL.take_due, now, most, now - KEY_LIFE, credential)
    return [_due(record) for record in records]


async def claim(
    connection: Connection, wanted: Sequence[tuple[UUID, Request]], owner: str, now: datetime, until: datetime
) -> dict[UUID, Claim]:
    """Claim refunds taken in this transaction and put their sending on record; return the claims by refund."""
    records = await connection.fetch(
        _SQL.claim,
        [refund_id for refund_id, _ in wanted],
        [request.key for _, request in wanted],
        [request.body for _, request in wanted],
        [request.digest for _, request in wanted],
        owner,
        until,
        now,
    )
    return {record["id"]: Claim(owner, until, record["fence"]) for record in records}


async def by_id(connection: Connection, refund_ids: Iterable[UUID]) -> dict[UUID, HeldRefund]:
    """Return refunds by id; their payments are locked."""
    return {record["id"]: _held(record) for record in await connection.fetch(_SQL.by_id, list(refund_ids))}


async def of_payments(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, list[Course]]:
    """Return all refunds of locked payments, by payment."""
    found: dict[UUID, list[Course]] = {}
    for record in await connection.fetch(_SQL.of_payments, list(payment_ids)):
        found.setdefault(record["payment_id"], []).append(_held(record).course)
    return found


async def write(connection: Connection, courses: Sequence[Course], now: datetime) -> None:
    """Write refunds that were heard of; the claims on them end. Their payments are locked."""
    rows = [
        (
            course.refund.id,
            course.refund.state.value,
            course.refund.processor_id,
            course.refund.failure_reason,
            course.first_sent_at,
            course.settling.value,
            course.absent_since,
            course.may_appear_until,
            course.checks,
            course.next_check_at,
        )
        for course in courses
    ]
    await connection.execute(_SQL.write, *columns(rows, 10), now)


async def look_soon(connection: Connection, payment_ids: Iterable[UUID], now: datetime) -> None:
    """Let the refunds of payments be asked for now: something hinted at news of them."""
    wanted = sorted(payment_ids)
    if wanted:
        await connection.execute(_SQL.look_soon, wanted, now)


async def claim_to_look(
    connection: Connection, now: datetime, until: datetime, most: int, credential: str
) -> list[Trace]:
    """Take up to ``most`` paid payments whose refunds are to be asked for; none while ``credential`` is paused."""
    records = await connection.fetch(_SQL.claim_to_look, now, most, until, now - KEY_LIFE, credential)
    return [Trace(record["id"], record["intent_id"], record["charge_id"], until) for record in records]


async def looked(connection: Connection, traces: Sequence[Trace]) -> None:
    """End the claims on payments whose refunds were asked for; what hinted at news meanwhile waits on."""
    await connection.execute(_SQL.looked, [trace.payment_id for trace in traces], [trace.until for trace in traces])


async def views_of_payments(connection: Connection | Pool, payment_ids: Iterable[UUID]) -> list[RefundView]:
    """Return the refunds of payments as the API shows them, in the order in which they were asked for."""
    records = await connection.fetch(_SQL.views_of_payments, list(payment_ids))
    return [RefundView(**dict(record)) for record in records]


async def view(connection: Connection | Pool, refund_id: UUID) -> RefundView | None:
    """Return the refund of that id, if there is one."""
    records = await connection.fetch(_SQL.views, [refund_id])
    return RefundView(**dict(records[0])) if records else None


async def open_refunds(connection: Connection) -> list[OpenRefunds]:
    """Return what is not given back yet, by state."""
    return [OpenRefunds(*record.values()) for record in await connection.fetch(_SQL.open_refunds)]


def _row(payment_id: UUID, course: Course) -> tuple[Any, ...]:
    refund = course.refund
    return (
        refund.id,
        payment_id,
        refund.money.amount,
        refund.money.currency,
        refund.reason,
        refund.state.value,
        refund.processor_id,
        refund.failure_reason,
        course.settling.value,
        course.checks,
        course.next_check_at,
        course.request_key,
    )


def _due(record: Row) -> Due:
    repayment = Repayment(
        refund_id=record["id"],
        payment_id=record["payment_id"],
        order_id=record["order_id"],
        event_id=record["event_id"],
        intent_id=record["intent_id"],
        charge_id=record["charge_id"],
        amount=record["amount"],
        reason=record["reason"],
        request_key=record["request_key"],
    )
    known = record["request"] is not None
    request = Request(record["idempotency_key"], record["request"]) if known else None
    return Due(repayment, request, again=record["first_sent_at"] is not None)


def _held(record: Row) -> HeldRefund:
    refund = Refund(
        id=record["id"],
        money=Money(record["amount"], record["currency"]),
        state=RefundState(record["state"]),
        processor_id=record["processor_id"],
        reason=record["reason"],
        failure_reason=record["failure_reason"],
    )
    course = Course(
        refund,
        first_sent_at=record["first_sent_at"],
        last_sent_at=record["last_sent_at"],
        settling=Settling(record["settling"]),
        absent_since=record["absent_since"],
        may_appear_until=record["may_appear_until"],
        checks=record["checks"],
        next_check_at=record["next_check_at"],
    )
    return HeldRefund(record["payment_id"], course, record["fence"])
