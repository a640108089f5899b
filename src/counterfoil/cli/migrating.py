"""`counterfoil migrate`: bring the database to the schema of this program."""

from typing import TYPE_CHECKING

import typer

from counterfoil.cli.exits import CommandFailed
from counterfoil.config import Settings, load_from_process
from counterfoil.domain.errors import Misconfigured

if TYPE_CHECKING:
    from counterfoil.store.migrate import Migration


def migrate() -> None:
    """Bring the database to this program's schema.

    Safe to run at any time, and twice at once: the second waits for the first.
    """
    import asyncio

    applied = asyncio.run(_applied(load_from_process(None)))
    for migration in applied:
        typer.echo(f"applied {migration.version:04} {migration.name}")

    from counterfoil.store.migrate import latest

    typer.echo(f"the database is at schema version {latest()}")


async def _applied(settings: Settings) -> "list[Migration]":
    from counterfoil.cli.database import MIGRATION_TIMEOUT_MS, database
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.store import migrate

    async with database(settings, statement_timeout_ms=MIGRATION_TIMEOUT_MS) as connection:
        try:
            return await migrate.migrate(connection, SystemClock().now().date())
        except Misconfigured as refusal:  # the settings were in order: it is the database that is not as it should be
            raise CommandFailed(str(refusal)) from None
