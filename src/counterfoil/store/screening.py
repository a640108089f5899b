"""Fraud checks, and who tried how often. The typed side of ``sql/screening.sql``."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.order import Order
from counterfoil.domain.schedule import ATTEMPTS_WITHIN, MOST_ATTEMPTS_WITHIN
from counterfoil.domain.screening import TOO_MANY_ATTEMPTS, Check, Finding, Tried, over_the_limit, seconds_until_free
from counterfoil.domain.verdict import Cause, Source
from counterfoil.store import payments, queries
from counterfoil.store.payment_rows import Held
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("screening")


async def expected(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, Check]:
    """Return what was found of payments about to be inserted in this transaction.

    Until it ends nobody keeps a check of a payment that is not here (`overtake`), so that none is missed in between.
    """
    await connection.execute(_SQL.expect)
    records = await connection.fetch(_SQL.kept, list(payment_ids))
    return {
        record["payment_id"]: Check(
            record["payment_id"],
            Finding(record["decision"]),
            Cause(Source(record["source"]), record["reference"]),
            record["risk_score"],
            record["note"],
        )
        for record in records
    }


async def overtake(connection: Connection) -> None:
    """Return once every payment that is being accepted is there to be seen, and none can be until we end."""
    await connection.execute(_SQL.overtake)


async def keep(connection: Connection, checks: Mapping[UUID, Check], now: datetime) -> None:
    """Keep a check for each payment; one that decided before stays."""
    kept = list(checks.values())
    await connection.execute(
        _SQL.keep,
        [check.payment_id for check in kept],
        [check.finding.value for check in kept],
        [check.risk_score for check in kept],
        [check.cause.source.value for check in kept],
        [check.cause.reference for check in kept],
        [check.note for check in kept],
        [json.dumps(asdict(check.grounds)) if check.grounds is not None else None for check in kept],
        now,
    )


async def lock_undecided(connection: Connection, now: datetime, most: int) -> dict[UUID, Held]:
    """Return up to ``most`` locked payments on which nobody decided in time; those held elsewhere not."""
    records = await connection.fetch(_SQL.lock_undecided, now, most)
    return await payments.lock(connection, [record["id"] for record in records])


async def too_many(connection: Connection, wishes: Sequence[tuple[UUID, Order]], now: datetime) -> dict[UUID, int]:
    """Return which of these payments about to be are an attempt too many, and in how many seconds one is not."""
    customers = {order.customer_id for _, order in wishes if order.customer_id is not None}
    if not customers:
        return {}
    before = await tried(connection, customers, now)
    if not over_the_limit(wishes, before, frozenset(), now):
        return {}
    known = await payments.known_events(connection, [order.event_id for _, order in wishes])
    return over_the_limit(wishes, before, known.keys(), now)


async def seconds_to_wait(connection: Connection, customer_id: str | None, now: datetime) -> int | None:
    """Return in how many seconds a customer may try again; None where they may now, or nobody knows who they are."""
    before = (await tried(connection, [customer_id], now)).get(customer_id) if customer_id is not None else None
    if before is None or before.attempts < MOST_ATTEMPTS_WITHIN:
        return None
    return seconds_until_free(before.first_at, now)


async def tried(connection: Connection, customer_ids: Iterable[str], now: datetime) -> dict[str, Tried]:
    """Return how often these customers tried within the hour; who did not is left out."""
    wanted = list(set(customer_ids))
    records = await connection.fetch(_SQL.tried, wanted, now - ATTEMPTS_WITHIN, TOO_MANY_ATTEMPTS.code)
    return {record["customer_id"]: Tried(record["attempts"], record["first_at"]) for record in records}


async def under_review(connection: Connection | Pool) -> int:
    """Return how many payments wait for a person."""
    count: int = await connection.fetchval(_SQL.under_review)
    return count
