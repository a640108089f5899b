"""Bring a database to the schema this code needs."""

import re
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from counterfoil.domain.errors import Misconfigured
from counterfoil.store import queries
from counterfoil.store.partitions import make_partitions
from counterfoil.store.pool import demand_promises

if TYPE_CHECKING:
    from counterfoil.store.pool import Connection

_SQL: Final = queries.load("migrations")
_FILE: Final = re.compile(r"^(\d{4})_([a-z_]+)\.sql$")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. Expand first, contract a release later: version N−1 of the code runs on it too."""

    version: int
    name: str
    text: str = field(repr=False)


def migrations() -> tuple[Migration, ...]:
    """Return every migration, lowest version first; versions have no gaps."""
    found = []
    for file in (files("counterfoil.store") / "migrations").iterdir():
        match = _FILE.match(file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    found.sort(key=lambda migration: migration.version)
    assert [migration.version for migration in found] == list(range(1, len(found) + 1)), "a migration is missing"
    return tuple(found)


def latest() -> int:
    """Return the schema version this code was written for."""
    return len(migrations())


async def migrate(connection: "Connection", today: date) -> list[Migration]:
    """Apply what is missing and make the partitions ahead; return what was applied.

    All of it is one transaction, so a failure leaves the database as it was. A second call at the same time waits for
    the first and finds nothing left to do.

    Raises:
        Misconfigured: the server cannot keep our promises, or its schema is newer than this code knows.
    """
    await demand_promises(connection)
    known = migrations()
    async with connection.transaction():
        await connection.execute(_SQL.wait_for_turn)
        await connection.execute(_SQL.make_history)
        applied = {row["version"] for row in await connection.fetch(_SQL.applied)}
        newest = max(applied, default=0)
        if newest > known[-1].version:
            raise Misconfigured(
                "DATABASE_URL",
                f"names a database at schema version {newest}, and this program knows only {known[-1].version}; "
                "migrate it with the newer program",
            )
        missing = [migration for migration in known if migration.version not in applied]
        for migration in missing:
            await connection.execute(migration.text)
            await connection.execute(_SQL.note_applied, migration.version, migration.name)
        await make_partitions(connection, today)
    return missing
