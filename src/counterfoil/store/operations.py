"""What else is asked of the processor about a payment it knows. The typed side of ``sql/operations.sql``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Final
from uuid import UUID

from counterfoil.domain.request import Request
from counterfoil.store import queries
from counterfoil.store.payment_rows import Claim
from counterfoil.store.pool import Connection

_SQL: Final = queries.load("operations")


@unique
class Kind(StrEnum):
    """What is asked."""

    CANCEL = "cancel"  # to let the payment go
    CAPTURE = "capture"  # to take what it holds, or a part of that


@dataclass(frozen=True, slots=True)
class Operation:
    """A request about a payment: the how-manieth of its kind, the attempt it is about, and how much is to be taken."""

    payment_id: UUID
    kind: Kind
    number: int
    attempt: int
    request: Request
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """An operation as it was sent before; ``settled`` once a definite answer to it came."""

    number: int
    request: Request
    first_sent_at: datetime
    amount: int | None
    settled: bool


async def latest(connection: Connection, kind: Kind, payment_ids: Iterable[UUID]) -> dict[UUID, Sent]:
    """Return the last operation of that kind of each of these payments that has one."""
    records = await connection.fetch(_SQL.latest, list(payment_ids), kind.value)
    return {
        record["payment_id"]: Sent(
            number=record["number"],
            request=Request(record["idempotency_key"], record["request"]),
            first_sent_at=record["first_sent_at"],
            amount=record["amount"],
            settled=record["settled_at"] is not None,
        )
        for record in records
    }


async def claim(
    connection: Connection,
    operations: Sequence[Operation],
    owner: str,
    now: datetime,
    until: datetime,
) -> dict[UUID, Claim]:
    """Put operations on locked payments on record, one for each, and claim them; return the claims by payment."""
    records = await connection.fetch(
        _SQL.claim,
        [one.payment_id for one in operations],
        [one.kind.value for one in operations],
        [one.number for one in operations],
        [one.attempt for one in operations],
        [one.request.key for one in operations],
        [one.request.body for one in operations],
        [one.request.digest for one in operations],
        [one.amount for one in operations],
        owner,
        until,
        now,
    )
    return {record["payment_id"]: Claim(owner, until, record["fence"]) for record in records}


async def settle(
    connection: Connection,
    answered: Sequence[tuple[Operation, Claim, bool]],
    now: datetime,
) -> set[UUID]:
    """End the claims on operations, each with whether its answer was definite; return the payments still held."""
    records = await connection.fetch(
        _SQL.settle,
        [one.payment_id for one, _, _ in answered],
        [one.kind.value for one, _, _ in answered],
        [one.number for one, _, _ in answered],
        [claim.fence for _, claim, _ in answered],
        [definite for _, _, definite in answered],
        now,
    )
    return {record["payment_id"] for record in records}
