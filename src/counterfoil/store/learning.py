"""What is known late of payments, in the store. The typed side of ``sql/learning.sql``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.money import Money
from counterfoil.store import queries
from counterfoil.store.payment_rows import columns
from counterfoil.store.pool import Connection

_SQL: Final = queries.load("learning")


@dataclass(frozen=True, slots=True)
class Due:
    """A payment to ask about by its charge, the how-manieth time from 0, and until when it is ours to do."""

    payment_id: UUID
    charge_id: str
    tries: int
    claimed_until: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of asking: the fee if it is known by now, the answer's name, and when to ask again, if ever."""

    due: Due
    fee: Money | None
    reference: str
    next_at: datetime | None


async def ask_soon(connection: Connection, payment_ids: Iterable[UUID], now: datetime) -> None:
    """Have locked payments asked about at once, as far as they succeeded."""
    wanted = list(payment_ids)
    if wanted:
        await connection.execute(_SQL.ask_soon, wanted, now)


async def claim_due(connection: Connection, now: datetime, until: datetime, most: int, credential: str) -> list[Due]:
    """Take up to ``most`` payments whose time to be asked about has come."""
    records = await connection.fetch(_SQL.claim_due, now, most, until, credential)
    return [Due(record["id"], record["charge_id"], record["learn_tries"], until) for record in records]


async def record(connection: Connection, findings: Sequence[Finding], now: datetime) -> None:
    """Write what came of asking about locked payments."""
    rows = [
        (
            one.due.payment_id,
            one.fee.amount if one.fee else None,
            one.fee.currency if one.fee else None,
            one.reference,
            one.next_at,
            one.due.claimed_until,
        )
        for one in findings
    ]
    await connection.execute(_SQL.record, *columns(rows, 6), now)
