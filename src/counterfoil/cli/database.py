"""The way to the database, for the few commands that talk to it and not to the gateway."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from counterfoil.cli.exits import Unreachable
from counterfoil.config import Settings

if TYPE_CHECKING:
    import asyncpg

CONNECT_SECONDS: Final = 10.0
"""A database on the other side of a network answers within a second; a person waits no longer than this."""


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Yield a connection to DATABASE_URL, else to the embedded server of COUNTERFOIL_HOME, started if need be.

    Raises Unreachable, in the server's words where there are any, when nothing answers or it does not let us in.
    """
    import asyncpg

    async with AsyncExitStack() as running:
        url = settings.database_url.reveal() if settings.database_url is not None else None
        if url is None:
            from counterfoil.store import embedded

            url = await running.enter_async_context(embedded.joined_or_started(settings.counterfoil_home.absolute()))
        try:
            connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise Unreachable(f"the database did not answer within {CONNECT_SECONDS:.0f} s") from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unreachable(f"the database cannot be reached: {error}") from None
        try:
            yield connection
        finally:
            await connection.close()
