"""What a person sees: tables and colours on a terminal, plain text where the output goes elsewhere."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_WIDE_COLUMNS = 10_000
"""Nothing is cut or wrapped where no person's window has to hold it: a script reads whole lines."""


def console(*, err: bool = False) -> "Console":
    """Return where Rich writes to: the terminal, or plain unwrapped text when the stream is none."""
    from rich.console import Console

    here = Console(stderr=err, highlight=False, markup=False, emoji=False)
    if not here.is_terminal:
        here = Console(stderr=err, highlight=False, markup=False, emoji=False, width=_WIDE_COLUMNS)
    return here


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence["str | Text"]], *, unbroken: Collection[str] = ()
) -> None:
    """Print rows under their column names; each cell is text, or Rich's Text for colour.

    Where the terminal is too narrow, the columns `unbroken` keep their lines whole and the others make room.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    here = console()
    table = Table(box=SIMPLE_HEAD if here.is_terminal else None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in unbroken)
    for row in rows:
        table.add_row(*row)
    here.print(table)


def print_fields(fields: Sequence[tuple[str, "str | Text"]]) -> None:
    """Print names and values, one pair a line."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(name, value)
    console().print(table)


def print_hanging(label: "Text", what: "str | Text") -> None:
    """Print a label and what stands beside it; where that takes more than a line, the others begin below its first."""
    from rich.table import Table

    row = Table.grid()
    row.add_column(no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(label, what)
    console().print(row)


def print_json(value: object) -> None:
    """Print one JSON value on one line, for another program to read."""
    import json

    typer.echo(json.dumps(value, ensure_ascii=False))
