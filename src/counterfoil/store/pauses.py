"""While the processor refuses our key. The typed side of ``sql/pauses.sql``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("pauses")


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when nothing is sent with a credential, and why."""

    since: datetime
    reason: str


async def begin(connection: Connection, credential: str, reason: str, now: datetime, probe_at: datetime) -> bool:
    """Pause a credential; return whether it was not paused before."""
    return await connection.fetchval(_SQL.begin, credential, now, reason, probe_at) is not None


async def take_probe(connection: Connection, credential: str, now: datetime, next_at: datetime) -> bool:
    """Return whether the credential is paused and it is our turn to try it; the next turn is at ``next_at``."""
    return await connection.fetchval(_SQL.take_probe, credential, now, next_at) is not None


async def finish(connection: Connection, credential: str) -> datetime | None:
    """Resume with a credential; return since when it was paused, if it was."""
    since: datetime | None = await connection.fetchval(_SQL.finish, credential)
    return since


async def oldest(connection: Connection, left_since: datetime) -> Pause | None:
    """Return the pause that has lasted longest, whichever key it is of, if anything is paused.

    Left out are those whose turn to be probed came before ``left_since`` and was never taken: nobody has that key.
    """
    record = await connection.fetchrow(_SQL.oldest, left_since)
    return None if record is None else Pause(record["since"], record["reason"])


async def current(connection: Connection | Pool, credential: str) -> Pause | None:
    """Return the pause of a credential, if it is paused."""
    record = await connection.fetchrow(_SQL.current, credential)
    return None if record is None else Pause(record["since"], record["reason"])
