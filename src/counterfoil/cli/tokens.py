"""`counterfoil token`: who may call the gateway."""

from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli import terminal
from counterfoil.cli.exits import WrongUsage
from counterfoil.config import Settings, load_from_process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from counterfoil.runtime.secret import Secret
    from counterfoil.store.tokens import Token

token = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, list and revoke tokens of the gateway.")

_Name = Annotated[str, typer.Argument(help="The service that will use it.")]


@token.command()
def create(
    name: _Name,
    *,
    scope: Annotated[list[str], typer.Option(help="charge, refund, read or admin; repeat it for several.")],
) -> None:
    """Make a token and print it. Only its hash is kept: it cannot be shown again."""
    import asyncio

    made = asyncio.run(_create(load_from_process(None), name, scope))
    typer.echo(made.reveal())
    typer.echo("This is the only time it is shown.", err=True)


@token.command("list")
def list_tokens(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead.")] = False,
) -> None:
    """List every token there ever was, without the tokens themselves."""
    import asyncio

    tokens = asyncio.run(_listed(load_from_process(None)))
    if as_json:
        terminal.print_json(
            [
                {
                    "name": token.name,
                    "scopes": sorted(token.scopes),
                    "created_at": token.created_at.isoformat(),
                    "revoked_at": token.revoked_at.isoformat() if token.revoked_at else None,
                }
                for token in tokens
            ]
        )
        return
    terminal.print_table(
        ["name", "scopes", "created", "state"],
        [
            [
                token.name,
                ", ".join(sorted(token.scopes)),
                f"{token.created_at:%Y-%m-%d %H:%M}",
                f"revoked {token.revoked_at:%Y-%m-%d %H:%M}" if token.revoked_at else "good",
            ]
            for token in tokens
        ],
    )


@token.command()
def revoke(name: _Name) -> None:
    """End a token: within a minute no gateway takes it any more."""
    import asyncio

    asyncio.run(_revoke(load_from_process(None), name))
    typer.echo(f"{name} is revoked", err=True)


async def _create(settings: Settings, name: str, scopes: "Iterable[str]") -> "Secret":
    from counterfoil.cli.database import database, migrated
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.store import tokens

    try:
        granted = [tokens.Scope(scope) for scope in scopes]
    except ValueError:
        raise WrongUsage(f"--scope must be one of: {', '.join(tokens.Scope)}") from None
    async with database(settings) as connection:
        with migrated():
            return await tokens.create(connection, name, granted, SystemClock().now())


async def _listed(settings: Settings) -> "list[Token]":
    from counterfoil.cli.database import database, migrated
    from counterfoil.store import tokens

    async with database(settings) as connection:
        with migrated():
            return await tokens.listed(connection)


async def _revoke(settings: Settings, name: str) -> None:
    from counterfoil.cli.database import database, migrated
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.store import tokens

    async with database(settings) as connection:
        with migrated():
            await tokens.revoke(connection, name, SystemClock().now())
