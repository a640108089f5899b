"""`counterfoil mail`: what customers were told, out of the mailbox of `counterfoil up`."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from counterfoil.cli import terminal
from counterfoil.cli.exits import CommandFailed, WrongUsage
from counterfoil.config import load_from_process

if TYPE_CHECKING:
    from counterfoil.roles.mailbox.box import Box, ReadLetter

mail = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List and show letters in the mailbox of `up`.")

LIST_MAX = 1000

_AsJson = Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")]


@mail.command("list")
def list_letters(
    *,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most this many, latest first.")] = 20,
    as_json: _AsJson = False,
) -> None:
    """List letters to customers, the latest first."""
    box = _box()
    letters = [letter for letter in map(box.read, box.ids()[:limit]) if letter is not None]
    if as_json:
        terminal.print_json([_fields(letter) for letter in letters])
        return
    if not letters:
        terminal.console().print(
            "No letters yet: try `counterfoil pay 19.99 EUR --email you@example.com`.", style="dim"
        )
        return
    terminal.print_table(
        ["received", "letter", "to", "subject"],
        [
            [f"{letter.received_at.astimezone():%Y-%m-%d %H:%M:%S}", str(letter.id), letter.to, letter.subject]
            for letter in letters
        ],
        unbroken=("received", "letter"),
    )


@mail.command()
def show(
    letter: Annotated[str, typer.Argument(help="As `mail list` has it; the latest when left out.")] = "",
    *,
    source: Annotated[bool, typer.Option("--source", help="The letter as it came, its HTML among it.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Show a letter as its customer reads it."""
    from counterfoil.roles.mailbox.box import printable

    box = _box()
    wanted = _named(letter) if letter else next(iter(box.ids()), None)
    found = box.read(wanted) if wanted is not None else None
    if found is None:
        raise CommandFailed("there is no such letter" if letter else "there are no letters yet")
    if as_json:
        terminal.print_json({**_fields(found), "text": found.text, "html": found.html})
    elif source:
        typer.echo(printable((box.content(found.id) or b"").decode("utf-8", "replace")))
    else:
        terminal.print_fields([("from", found.sender), ("to", found.to), ("subject", found.subject)])
        terminal.console().print(f"\n{found.text.rstrip()}", soft_wrap=True)


def _box() -> "Box":
    from counterfoil.roles.mailbox.box import FOLDER, Box

    return Box(load_from_process(None).counterfoil_home / FOLDER)


def _named(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise WrongUsage("a letter is named by its id, as `counterfoil mail list` has it") from None


def _fields(letter: "ReadLetter") -> dict[str, str]:
    return {
        "id": str(letter.id),
        "received_at": letter.received_at.isoformat(),
        "from": letter.sender,
        "to": letter.to,
        "subject": letter.subject,
        "language": letter.language,
    }
