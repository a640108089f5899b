"""A database that was put back to an earlier moment. The typed side of ``sql/restores.sql``."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from counterfoil.domain.errors import LookUpOnly, NotCleared
from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("restores")

MARGIN: Final = timedelta(hours=1)
"""How much farther back than what the database knows it has to be compared: for clocks, and for what was under way."""


SKIPPED: Final = 10_000_000
"""More positions than anybody publishes between two backups; of the 2^53 that every reader can count, next to none."""

SENDERS: Final = ("gateway", "worker")
"""The roles that hold the processor's key, by the names of their sessions."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Why nothing is sent, since when, and until when the database knows what was."""

    id: UUID
    reason: str
    began_at: datetime
    known_until: datetime

    @property
    def since(self) -> datetime:
        """How far back a comparison has to go to clear it."""
        return self.known_until - MARGIN


async def current(connection: Connection | Pool) -> Restore | None:
    """Return the restore that is not finished, if there is one."""
    record = await connection.fetchrow(_SQL.current)
    return None if record is None else Restore(*record.values())


async def refuse_to_send(connection: Connection) -> None:
    """Return if something new may be sent.

    Raises:
        LookUpOnly: the database was put back, and has not caught up yet.
    """
    if await current(connection) is not None:
        raise LookUpOnly


async def begin(
    connection: Connection, new_id: UUID, reason: str, now: datetime, known_until: datetime | None
) -> tuple[Restore, bool]:
    """Let nothing be sent from now on; return the restore, and whether it is a new one.

    What is published from now on stands behind whatever anybody may have read before the database was put back.

    Args:
        connection: to the database that was put back.
        new_id: names it.
        reason: for whoever asks why nothing is sent.
        now: when it begins.
        known_until: what it was put back to; None takes when anything was last put on record in it.
    """
    until = known_until or await connection.fetchval(_SQL.known_until)
    async with connection.transaction():
        began = await connection.fetchval(_SQL.begin, new_id, reason, now, until) is not None
        if began:
            await connection.fetchval(_SQL.skip_positions, SKIPPED)
    found = await current(connection)
    assert found is not None, "there is one, ours or an earlier one"
    return found, began


async def senders(connection: Connection) -> list[str]:
    """Return which roles that send are connected to the database; what they have in hand may still be sent."""
    found = await connection.fetch(_SQL.senders, [f"counterfoil {role}" for role in SENDERS])
    return [record["application_name"].removeprefix("counterfoil ") for record in found]


async def finish(connection: Connection, now: datetime) -> Restore:
    """Let sending go on, once a comparison that goes back far enough has left nothing open; return what is finished.

    Raises:
        NotCleared: there is none, or it left something; nothing is sent yet.
    """
    async with connection.transaction():
        record = await connection.fetchrow(_SQL.hold)
        if record is None:
            raise NotCleared("nothing is to be finished: no restore is under way")
        restore = Restore(*record.values())
        clearing = await connection.fetchrow(_SQL.clearing, restore.began_at, restore.since)
        since = f"{restore.since:%Y-%m-%dT%H:%M:%SZ}"
        if clearing is None:
            raise NotCleared(f"nothing was compared since: run `counterfoil reconcile --since {since}`")
        name = clearing["id"]
        if clearing["finished_at"] is None:
            raise NotCleared(f"the reconciliation {name} is not finished: `counterfoil reconcile --show {name}`")
        if clearing["unsettled"]:
            raise NotCleared(
                f"{clearing['unsettled']} differences are left: `counterfoil reconcile --show {name}` shows them; "
                "acknowledge what you have seen to"
            )
        await connection.fetch(_SQL.give_orders_back)
        await connection.execute(_SQL.finish, restore.id, now, name)
    return restore
