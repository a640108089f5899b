"""`counterfoil doctor`: what is wrong with this installation, and what to do about it."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli import sandbox_settings, terminal
from counterfoil.cli.exits import ExitCode
from counterfoil.config import load_from_process

if TYPE_CHECKING:
    from counterfoil.cli.findings import Finding

Receiver = Annotated[
    str, typer.Option(help="Where the receiver is. [default: PUBLIC_URL, else the one that Stripe delivers to]")
]
_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def doctor(
    *,
    receiver: Receiver = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead.")] = False,
) -> None:
    """Examine this installation: Stripe, the receiver, the database, Kafka, what waits.

    Each check is a line, with a remedy where something is to be mended. Exit code 1 where one has failed; a warning
    alone is 0. It changes nothing: each signing secret is tried with an event that is kept and read as nothing.
    """
    import asyncio

    from counterfoil.cli.examining import examine
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.runtime.log import without_secrets

    settings = sandbox_settings.completed(load_from_process(None))
    found = [
        dataclasses.replace(one, line=without_secrets(one.line))
        for one in asyncio.run(examine(settings, receiver or None, SystemClock()))
    ]
    _show(found, as_json=as_json)
    if any(one.level == "failure" for one in found):
        raise typer.Exit(ExitCode.REFUSED)


def _show(found: "list[Finding]", *, as_json: bool) -> None:
    if as_json:
        terminal.print_json([dataclasses.asdict(one) for one in found])
        return
    from rich.text import Text

    terminal.print_table(
        ["check", "", "found", "what to do"],
        [[one.check, Text(one.level.value, _STYLES[one.level]), one.line, one.remedy or ""] for one in found],
        unbroken=["check", ""],
    )
