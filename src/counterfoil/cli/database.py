"""The way to the database, for the few commands that talk to it and not to the gateway."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from counterfoil.cli.exits import CommandFailed, Unreachable
from counterfoil.config import Settings
from counterfoil.runtime.secret import Secret

if TYPE_CHECKING:
    import asyncpg

CONNECT_SECONDS: Final = 10.0
"""A database on the other side of a network answers within a second; a person waits no longer than this."""

MIGRATION_TIMEOUT_MS: Final = 600_000
"""A statement of a migration may have to read a whole table; no other statement of a command does."""


@asynccontextmanager
async def database(
    settings: Settings, *, statement_timeout_ms: int | None = None
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Yield a connection to DATABASE_URL, else to the embedded server of COUNTERFOIL_HOME, started if need be.

    Raises as `connected`.
    """
    async with AsyncExitStack() as running:
        url = settings.database_url
        if url is None:
            from counterfoil.store import embedded

            home = settings.counterfoil_home.absolute()
            url = Secret(await running.enter_async_context(embedded.joined_or_started(home)))
        yield await running.enter_async_context(connected(url, statement_timeout_ms=statement_timeout_ms))


@asynccontextmanager
async def connected(
    url: Secret, *, statement_timeout_ms: int | None = None
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Yield a connection to a database, with the usual limit of a statement unless another is given.

    Raises Unreachable, in the server's words where there are any, when nothing answers, it does not let us in, or it
    goes away meanwhile; CommandFailed when we may not do there what was asked.
    """
    import asyncpg

    from counterfoil.store.pool import STATEMENT_TIMEOUT_MS, UNREACHABLE, open_connection

    async with AsyncExitStack() as open_here:
        try:
            connection = await open_here.enter_async_context(
                open_connection(
                    url.reveal(),
                    name="counterfoil command",
                    connect_seconds=CONNECT_SECONDS,
                    statement_timeout_ms=statement_timeout_ms or STATEMENT_TIMEOUT_MS,
                )
            )
        except TimeoutError:
            raise Unreachable(f"the database did not answer within {CONNECT_SECONDS:.0f} s") from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unreachable(f"the database cannot be reached: {error}") from None
        try:
            yield connection
        except asyncpg.InsufficientPrivilegeError as error:
            raise CommandFailed(f"the database does not allow it: {error}") from None
        except (*UNREACHABLE, asyncpg.LockNotAvailableError) as error:
            raise Unreachable(f"the database did not do it: {str(error) or 'no answer in time'}") from None


@contextmanager
def migrated() -> Iterator[None]:
    """Raise CommandFailed where what is done inside finds that the database was never migrated, or not far enough."""
    from counterfoil.store.pool import NOT_MIGRATED

    try:
        yield
    except NOT_MIGRATED:
        raise CommandFailed("the database does not have our schema: run `counterfoil migrate`") from None
