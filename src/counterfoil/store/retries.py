"""Payments that are tried again after a decline. The typed side of ``sql/retries.sql``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.payment import Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import MACHINE_GRACE
from counterfoil.store import queries
from counterfoil.store.pool import Connection

_SQL: Final = queries.load("retries")


async def take_due(connection: Connection, now: datetime, until: datetime, most: int, credential: str) -> list[UUID]:
    """Take up to ``most`` payments whose retry is due, for as long; none while ``credential`` is paused."""
    records = await connection.fetch(_SQL.take_due, now, most, until, credential, now - MACHINE_GRACE)
    return [record["id"] for record in records]


async def queue(connection: Connection, further: Sequence[tuple[Payment, Request]], now: datetime) -> None:
    """Insert the last attempt of each of these locked payments, with its request; the rest is written apart."""
    await connection.execute(
        _SQL.queue,
        [payment.id for payment, _ in further],
        [len(payment.attempts) for payment, _ in further],
        [request.key for _, request in further],
        [request.body for _, request in further],
        [request.digest for _, request in further],
        now,
    )
