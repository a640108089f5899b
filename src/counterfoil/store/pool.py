"""Connections to PostgreSQL, and what the server must promise before we trust it with money."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from counterfoil.domain.errors import Misconfigured, Unavailable
from counterfoil.store import queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Row: TypeAlias = asyncpg.Record
else:  # at run time asyncpg's classes take no parameters
    Connection, Pool, Row = asyncpg.Connection, asyncpg.Pool, asyncpg.Record

OLDEST_VERSION: Final = 150000
"""PostgreSQL 15, the oldest whose behaviour the store's tests are run on."""

STATEMENT_TIMEOUT_MS: Final = 5_000
"""Longer than any statement of ours takes; a request waits no longer than this for a database that is stuck."""

LOCK_TIMEOUT_MS: Final = 2_000
"""A row is held for milliseconds. Who waits longer stands behind something broken, and must not queue up."""

IDLE_IN_TRANSACTION_MS: Final = 60_000
"""A transaction left open holds back vacuum for everybody."""

CONNECT_SECONDS: Final = 1.5
"""So that a check of readiness can fail, with the database's name in its answer, within 2 s."""

CLOSE_SECONDS: Final = 1.5
"""A server that answers says goodbye in milliseconds; the end of a process does not wait for one that is silent."""

_SQL: Final = queries.load("server")


async def _nothing_to_reset(connection: Connection) -> None:
    """Leave a connection as it was given back: we set nothing on a session, and a reset would cost a round trip."""


@asynccontextmanager
async def open_pool(url: str, *, name: str, largest: int) -> AsyncIterator["Pool"]:
    """Yield a pool of at most ``largest`` connections; the database need not be up yet.

    Args:
        url: where the database is.
        name: shown in ``pg_stat_activity``.
        largest: the most connections held.
    """
    pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=largest,
        timeout=CONNECT_SECONDS,
        reset=_nothing_to_reset,
        command_timeout=_command_seconds(STATEMENT_TIMEOUT_MS),
        server_settings=_settings(name, STATEMENT_TIMEOUT_MS),
    )
    try:
        yield pool
    finally:
        # What does not close in time is cut off: asyncpg would wait for it, whatever the time.
        with suppress(*UNREACHABLE):
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()


@asynccontextmanager
async def one_moment(pool: "Pool") -> AsyncIterator["Connection"]:
    """Yield a connection that only reads, and to which all that it reads stands as it stood at one moment.

    What is read by several statements would otherwise be half of before and half of after what is recorded meanwhile.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield connection


@asynccontextmanager
async def open_connection(
    url: str,
    *,
    name: str,
    connect_seconds: float = CONNECT_SECONDS,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Yield one connection of one's own, with the limits of the pool's: none waits for ever for a silent database.

    Args:
        url: where the database is.
        name: shown in ``pg_stat_activity``.
        connect_seconds: how long connecting may take.
        statement_timeout_ms: how long a statement may take; more than the usual for who has to rewrite a table.
    """
    connection = await asyncpg.connect(
        url,
        timeout=connect_seconds,
        command_timeout=_command_seconds(statement_timeout_ms),
        server_settings=_settings(name, statement_timeout_ms),
    )
    try:
        yield connection
    finally:
        # asyncpg's own limit of a close begins only when the last statement was cancelled.
        with suppress(*UNREACHABLE):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()


def _command_seconds(statement_timeout_ms: int) -> float:
    """Return how long we wait for a statement: until the server must have ended it, and a second for it to say so."""
    return statement_timeout_ms / 1000 + 1


def _settings(name: str, statement_timeout_ms: int) -> dict[str, str]:
    return {
        "application_name": name,
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
        "timezone": "UTC",
    }


async def demand_promises(connection: "Connection") -> None:
    """Return if the server can keep our promises.

    Raises:
        Misconfigured: it is too old, a standby, or acknowledges commits it could still lose.
    """
    row = await connection.fetchrow(_SQL.promises)
    assert row is not None
    if row["version"] < OLDEST_VERSION:
        raise Misconfigured("DATABASE_URL", f"names PostgreSQL {row['version'] // 10000}; 15 or later is needed")
    if row["synchronous_commit"] == "off":
        raise Misconfigured(
            "DATABASE_URL",
            "names a server with synchronous_commit off, which could lose an acknowledged payment; turn it on",
        )
    if row["standby"]:
        raise Misconfigured("DATABASE_URL", "names a standby, which cannot be written to; name the primary")


UNREACHABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InFailedSQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What the driver raises when the store cannot do its work now and may be able to later."""


NOT_MIGRATED: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.UndefinedColumnError)
"""What the driver raises where our schema is not there, or not all of it."""

NO_PARTITION: Final = (asyncpg.CheckViolationError,)
"""What the driver raises for a notice's body on a day that nobody has made a place for."""

RIVALRY: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What the driver raises when two batches met over the same rows; the loser only has to come again."""

DATA_ERRORS: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""What the driver raises for a row that cannot be stored, whoever asks and however often."""


class Contended(Unavailable):
    """A row is held by somebody else, longer than anything of ours holds one; the other rows of a batch are not."""


SPLITTING: Final = (*DATA_ERRORS, Contended)
"""What concerns some rows of a batch only: it is halved until the culprit stands alone."""


@asynccontextmanager
async def unavailable_when_down() -> AsyncIterator[None]:
    """Turn whatever means "the store cannot now" into Unavailable; a store that waits for its migration is one."""
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise Contended("database") from error
    except (*UNREACHABLE, *NOT_MIGRATED) as error:
        raise Unavailable("database") from error
