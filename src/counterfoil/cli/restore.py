"""`counterfoil restore`: a database was put back to an earlier moment, and has to catch up before anything is sent.

It speaks to the database and not to the gateway: it is to be told before any role runs on it.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.exits import CommandFailed, WrongUsage
from counterfoil.config import Settings, load_from_process

if TYPE_CHECKING:
    from counterfoil.store.restores import Restore

restore = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="After a backup was restored: look up only, until it has caught up.",
)


@restore.command()
def begin(
    *,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks why nothing is sent.")],
    to: Annotated[
        str, typer.Option(help="The moment it was put back to, in UTC; when it is not told, the last on record in it.")
    ] = "",
) -> None:
    """Let nothing be sent. Call it before any role runs on the restored database."""
    import asyncio

    known_until = _moment(to) if to else None
    found, new, senders = asyncio.run(_begin(load_from_process(None), reason, known_until))
    if senders:
        typer.echo(f"connected already: {', '.join(senders)}. What they have in hand may still be sent.", err=True)
    if not new:
        typer.echo(f"nothing is sent already, since {found.began_at:%Y-%m-%d %H:%M:%S} UTC: {found.reason}")
    typer.echo(
        f"nothing is sent; what happened since {found.known_until:%Y-%m-%dT%H:%M:%SZ} may be forgotten.\n"
        "Start the roles, run `counterfoil reconcile`, see to what is left, then `counterfoil restore finish`."
    )


@restore.command()
def finish() -> None:
    """Let sending go on. Refused until a reconciliation that goes back far enough has left nothing open."""
    import asyncio

    done = asyncio.run(_finish(load_from_process(None)))
    typer.echo(f"sending goes on; nothing was sent since {done.began_at:%Y-%m-%d %H:%M:%S} UTC")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage("--to is a time such as 2026-03-01T12:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


async def _begin(settings: Settings, reason: str, known_until: datetime | None) -> "tuple[Restore, bool, list[str]]":
    from counterfoil.cli.database import database, migrated
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.runtime.ids import TimeOrderedIds
    from counterfoil.store import restores

    clock = SystemClock()
    now = clock.now()
    if known_until is not None and known_until > now:
        raise WrongUsage("--to is still ahead")
    async with database(settings) as connection:
        with migrated():
            found, new = await restores.begin(connection, TimeOrderedIds(clock).new(), reason, now, known_until)
            return found, new, await restores.senders(connection)


async def _finish(settings: Settings) -> "Restore":
    from counterfoil.cli.database import database, migrated
    from counterfoil.domain.errors import NotCleared
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.store import restores

    async with database(settings) as connection:
        with migrated():
            try:
                return await restores.finish(connection, SystemClock().now())
            except NotCleared as refusal:
                raise CommandFailed(str(refusal)) from None
