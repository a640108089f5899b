"""How many calls the processor takes in this moment. The typed side of ``sql/budget.sql``."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("budget")

_ONE: Final = 1_000_000
"""A token, as it is counted: a microsecond at one a second, so that refilling loses nothing to rounding."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose budget it is. ``account`` is empty for our own."""

    account: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """How fast it fills, in whole tokens a second, and how many it holds."""

    per_second: int
    capacity: float


@dataclass(frozen=True, slots=True)
class Terms:
    """The buckets that tokens are taken from: all from the first, those for a question from that of its kind as well.

    ``leaves`` is what look-ups, reconciliation and catching up each leave in the first, for charges to find.
    """

    total: Bucket
    look_up: Bucket
    reconcile: Bucket
    catch_up: Bucket
    leaves: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many calls of each kind wait; ``to_come`` are charges that do not wait yet and are likely to."""

    charges: int = 0
    to_come: int = 0
    look_ups: int = 0
    reconciliations: int = 0
    catch_ups: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """How many of the wanted calls may be made, and what is left after them for others."""

    granted: Wanted
    left: float


async def lease(
    connection: Connection | Pool, account: Account, terms: Terms, wanted: Wanted, now: datetime | None = None
) -> Lease:
    """Take tokens for as many of the wanted calls as the budget allows, those for charges first.

    Where no time is told, the server's own is taken: it is one clock for all processes, whatever theirs say.
    """
    buckets = (terms.total, terms.look_up, terms.reconcile, terms.catch_up)
    arguments = (
        account.account,
        account.livemode,
        now,
        [bucket.per_second for bucket in buckets],
        [_counted(bucket.capacity) for bucket in buckets],
        [_counted(left) for left in terms.leaves],
        [wanted.charges, wanted.to_come, wanted.look_ups, wanted.reconciliations, wanted.catch_ups],
    )
    record = await connection.fetchrow(_SQL.lease, *arguments)
    if record is None:
        await connection.execute(_SQL.open, account.account, account.livemode, now)
        record = await connection.fetchrow(_SQL.lease, *arguments)
        assert record is not None, "it was opened, and nobody deletes one"
    *granted, left = record
    return Lease(Wanted(*granted), left / _ONE)


async def empty(connection: Connection | Pool, account: Account, pause: timedelta, now: datetime | None = None) -> None:
    """Leave nothing in a budget, and let it fill again only after a pause."""
    await connection.execute(_SQL.empty, account.account, account.livemode, now, pause)


def _counted(tokens: float) -> int:
    return round(tokens * _ONE)
