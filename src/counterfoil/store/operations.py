"""What else is asked of the processor about a payment it knows. The typed side of ``sql/operations.sql``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.request import Request
from counterfoil.store import queries
from counterfoil.store.payment_rows import Claim
from counterfoil.store.pool import Connection

_SQL: Final = queries.load("operations")


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A request to let a payment go: the how-manieth of that payment, and the attempt it is about."""

    payment_id: UUID
    number: int
    attempt: int
    request: Request


@dataclass(frozen=True, slots=True)
class Sent:
    """A cancellation as it was sent before; ``settled`` once a definite answer to it came."""

    number: int
    request: Request
    first_sent_at: datetime
    settled: bool


async def latest(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, Sent]:
    """Return the last cancellation of each of these payments that has one."""
    records = await connection.fetch(_SQL.latest, list(payment_ids))
    return {
        record["payment_id"]: Sent(
            number=record["number"],
            request=Request(record["idempotency_key"], record["request"]),
            first_sent_at=record["first_sent_at"],
            settled=record["settled_at"] is not None,
        )
        for record in records
    }


async def claim(
    connection: Connection,
    cancellations: Sequence[Cancellation],
    owner: str,
    now: datetime,
    until: datetime,
) -> dict[UUID, Claim]:
    """Put cancellations of locked payments on record and claim them; return the claims by payment."""
    records = await connection.fetch(
        _SQL.claim,
        [one.payment_id for one in cancellations],
        [one.number for one in cancellations],
        [one.attempt for one in cancellations],
        [one.request.key for one in cancellations],
        [one.request.body for one in cancellations],
        [one.request.digest for one in cancellations],
        owner,
        until,
        now,
    )
    return {record["payment_id"]: Claim(owner, until, record["fence"]) for record in records}


async def settle(
    connection: Connection,
    answered: Sequence[tuple[Cancellation, Claim, bool]],
    now: datetime,
) -> set[UUID]:
    """End the claims on cancellations, each with whether its answer was definite; return the payments still held."""
    records = await connection.fetch(
        _SQL.settle,
        [one.payment_id for one, _, _ in answered],
        [one.number for one, _, _ in answered],
        [claim.fence for _, claim, _ in answered],
        [definite for _, _, definite in answered],
        now,
    )
    return {record["payment_id"] for record in records}
