"""Disputes in the store. The typed side of ``sql/disputes.sql``."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.money import Money
from counterfoil.domain.payment import Dispute, DisputeStatus, Funds
from counterfoil.store import queries
from counterfoil.store.payment_rows import columns
from counterfoil.store.pool import Connection, Pool, Row

_SQL: Final = queries.load("disputes")


async def of_payments(connection: Connection | Pool, payment_ids: Iterable[UUID]) -> dict[UUID, list[Dispute]]:
    """Return the disputes of those of these payments that have any, the oldest first."""
    found: dict[UUID, list[Dispute]] = {}
    for record in await connection.fetch(_SQL.disputes_of, list(payment_ids)):
        found.setdefault(record["payment_id"], []).append(_dispute(record))
    return found


async def put(connection: Connection, disputes: Sequence[tuple[UUID, Dispute]], now: datetime) -> None:
    """Write disputes of locked payments as they stand, each at most once."""
    if not disputes:
        return
    rows = [
        (
            one.id,
            payment_id,
            one.charge_id,
            one.status.value,
            one.reason,
            one.money.amount,
            one.money.currency,
            one.funds.value,
            one.fee.amount if one.fee else None,
            one.fee.currency if one.fee else None,
            one.opened_at,
        )
        for payment_id, one in disputes
    ]
    await connection.execute(_SQL.put, *columns(rows, 11), now)


def _dispute(record: Row) -> Dispute:
    return Dispute(
        id=record["id"],
        status=DisputeStatus(record["status"]),
        money=Money(record["amount"], record["currency"]),
        charge_id=record["charge_id"],
        opened_at=record["opened_at"],
        reason=record["reason"],
        funds=Funds(record["funds"]),
        fee=Money(record["fee"], record["fee_currency"]) if record["fee"] is not None else None,
    )
