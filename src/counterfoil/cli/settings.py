"""`counterfoil config`: what is set, where it came from, and what it is for."""

from typing import Annotated

import typer

from counterfoil.cli import terminal
from counterfoil.config import shown_from_process


def config(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead.")] = False) -> None:
    """Print every setting, where it came from, its purpose."""
    rows = shown_from_process()
    if as_json:
        terminal.print_json(
            [{"name": row.name, "value": row.value, "source": row.source, "purpose": row.purpose} for row in rows]
        )
        return
    terminal.print_table(
        ["setting", "value", "from", "what it is for"],
        [[row.name, "-" if row.value is None else row.value, row.source.value, row.purpose] for row in rows],
    )
