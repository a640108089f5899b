"""What every role that works with the store does beside its own work: make it ready, and say whether it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from counterfoil.domain.errors import Misconfigured, Unavailable
from counterfoil.roles.probes import Check
from counterfoil.roles.world import World
from counterfoil.store import migrate, partitions, restores
from counterfoil.store.pool import NOT_MIGRATED, demand_promises, unavailable_when_down

TEND_SECONDS: Final = 3600.0
"""Partitions are made two weeks ahead and dropped after a month; once an hour is more than often enough for both, and
survives a missed midnight."""

AGAIN_SECONDS: Final = 1.0
"""Between tries while the database is away."""

_log = structlog.get_logger()


def database_check(world: World) -> Check:
    """Return the check that the store is there, has the schema this code needs, and a place for tomorrow's notices."""

    async def run() -> None:
        today = world.clock.now().date()
        async with unavailable_when_down():
            try:
                found = await partitions.readiness(world.pool, today)
            except NOT_MIGRATED:
                raise Misconfigured(
                    "DATABASE_URL", "names a database without our schema; run `counterfoil migrate`"
                ) from None
        if found.schema_version < migrate.latest():
            raise Misconfigured(
                "DATABASE_URL",
                f"names a database at schema version {found.schema_version}, older than {migrate.latest()}; "
                "run `counterfoil migrate`",
            )
        if found.partitions_ahead < partitions.FEWEST_AHEAD:
            raise Misconfigured("DATABASE_URL", "names a database without partitions for tomorrow's notices")

    return Check("database", run)


def restore_check(world: World, *, needed: bool) -> Check:
    """Return the check that no restored database is catching up: while one is, nothing is sent.

    A worker cannot do its work then; a gateway is still asked how far it is, so that it must be reached.
    """

    async def run() -> None:
        async with unavailable_when_down():
            restore = await restores.current(world.pool)
        if restore is not None:
            raise Misconfigured(
                "DATABASE_URL",
                f"names a database that was restored ({restore.reason}); nothing is sent since "
                f"{restore.began_at:%Y-%m-%d %H:%M:%S} UTC, until `counterfoil restore finish`",
            )

    return Check("restore", run, needed)


async def tend(world: World) -> None:
    """Keep partitions made ahead and drop the old, for as long as the role runs; a store that is away is waited for.

    Raises:
        Misconfigured: the server cannot keep our promises; the role must not go on.
    """
    promised, told = False, ""
    while True:
        why = ""
        try:
            async with unavailable_when_down(), world.pool.acquire() as connection:
                if not promised:
                    await demand_promises(connection)
                    promised = True
                today = world.clock.now().date()
                made = await partitions.make_partitions(connection, today)
            async with unavailable_when_down():
                dropped = await partitions.drop_expired(world.pool, today)
            if made or dropped:
                _log.info("store.partitions", made=made, dropped=dropped)
        except Unavailable as error:
            why = str(error)
        except Misconfigured:
            raise
        except Exception as error:  # noqa: BLE001 - the role's edge: recorded, and the role outlives it
            why = type(error).__name__
        why = await _lacking(world) or why
        if why and why != told:
            _log.error("store.not_ready", why=why)
        told = why
        await world.clock.sleep(AGAIN_SECONDS if why else TEND_SECONDS)


async def _lacking(world: World) -> str:
    """Return what the store lacks, in the words of readiness; empty where it lacks nothing."""
    try:
        await database_check(world).run()
    except (Misconfigured, Unavailable) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - the role's edge: recorded, and the role outlives it
        return type(error).__name__
    return ""


@asynccontextmanager
async def tended(world: World) -> AsyncIterator[None]:
    """Tend the store for as long as the context lasts; what `tend` raises ends the context."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(tend(world))
        yield
        task.cancel()
