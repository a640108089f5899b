"""What an operator wants to know of the store. The typed side of ``sql/health.sql``."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.domain.schedule import CLAIM
from counterfoil.store import queries
from counterfoil.store.pool import Connection

_SQL: Final = queries.load("health")


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """What the server is like for a session of ours; ``connections`` is how many clients it takes at most.

    ``direct`` is False where somebody stands between us and the server: the session that answers is not the one that we
    were told we have.
    """

    version: int
    standby: bool
    synchronous_commit: str
    fsync: bool
    full_page_writes: bool
    encoding: str
    connections: int
    connected: int
    direct: bool
    clock: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits, and since when; None where nothing does."""

    count: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Work:
    """What waits to be done, what is open and in doubt, and what waits for a person."""

    notices: Waiting
    facts: Waiting
    payments: Waiting
    refunds: Waiting
    open: int
    in_doubt: int
    parked: int


async def server(connection: Connection) -> ServerHealth:
    """Return what the server says of itself."""
    row = await connection.fetchrow(_SQL.server)
    assert row is not None
    told = {name: value for name, value in row.items() if name != "session"}
    return ServerHealth(**told, direct=row["session"] == connection.get_server_pid())


async def work(connection: Connection, now: datetime) -> Work:
    """Return what waits.

    Raises:
        asyncpg.UndefinedTableError: the database was never migrated.
    """
    row = await connection.fetchrow(_SQL.work, now)
    assert row is not None
    waiting = {name: Waiting(row[name], row[f"{name}_since"]) for name in ("notices", "facts", "payments", "refunds")}
    return Work(**waiting, open=row["open"], in_doubt=row["in_doubt"], parked=row["parked"])


async def received(connection: Connection, event_ids: Collection[str], *, livemode: bool) -> dict[str, datetime]:
    """Return when those of our own account's events were received that were delivered, and not found by catching up."""
    rows = await connection.fetch(_SQL.received, "", livemode, list(event_ids))
    return {row["event_id"]: row["received_at"] for row in rows}


async def oldest_claim(connection: Connection, now: datetime) -> datetime | None:
    """Return since when the oldest claim on an attempt is held, whether or not its end has passed; None for none."""
    since: datetime | None = await connection.fetchval(_SQL.oldest_claim, now + CLAIM)
    return since
