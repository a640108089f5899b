"""`counterfoil parked`: what could not be carried out after a payment's end, and what a person decides on it."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import WrongUsage
from counterfoil.config import load_from_process

parked = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, replay and drop what customers could not be told."
)

_PAGE = 100

_Id = Annotated[str, typer.Argument(help="As `parked list` has it: PAYMENT/KIND.")]
_AsJson = Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")]


@parked.command("list")
def list_parked(*, as_json: _AsJson = False) -> None:
    """List what waits for a person, the oldest payment first."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = _all(gateway)
    if as_json:
        terminal.print_json(found)
        return

    from counterfoil.cli import payment_text

    if not found:
        terminal.console().print("Nothing is parked.", style="dim")
        return
    terminal.print_table(
        ["parked", "id", "tries", "why"],
        [[payment_text.moment(one["ended_at"]), one["id"], str(one["tries"]), one["reason"]] for one in found],
        unbroken=("id",),
    )


@parked.command()
def replay(name: _Id, *, as_json: _AsJson = False) -> None:
    """Let it be tried anew, at once and up to eight times."""
    _decide(name, "replay", "is tried anew", as_json=as_json)


@parked.command()
def drop(name: _Id, *, as_json: _AsJson = False) -> None:
    """Let it be: nobody is told any more."""
    _decide(name, "drop", "is dropped", as_json=as_json)


def _decide(name: str, what: str, done: str, *, as_json: bool) -> None:
    payment_id, slash, kind = name.partition("/")
    if not (payment_id and slash and kind):
        raise WrongUsage("an id is PAYMENT/KIND, as `counterfoil parked list` has it")
    path = f"/effects/{quote(payment_id, safe='')}/{quote(kind, safe='')}/{what}"
    with Connection(gateway_of(load_from_process(None))) as gateway:
        effect = gateway.post(path, if_lost="`counterfoil parked list` tells")
    if as_json:
        terminal.print_json(effect)
    else:
        terminal.console().print(f"{effect['id']} {done}")


def _all(gateway: Connection) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        asked: dict[str, str | int] = {"state": "parked", "limit": _PAGE, **({"cursor": cursor} if cursor else {})}
        page = gateway.get("/effects", asked)
        found += page["effects"]
        cursor = page["next_cursor"]
    return found
