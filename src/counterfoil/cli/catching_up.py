"""`catch-up`: events that were never delivered are looked for in Stripe's list."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import CommandFailed
from counterfoil.config import load_from_process

POLL_SECONDS = 0.5

MOST_POLLS = 600
"""Five minutes: no person waits longer, and a worker goes on without them."""


def catch_up(
    *,
    since: Annotated[
        str | None, typer.Option(help="How far back, as 2026-03-01T12:00:00Z; the last run's beginning if left out.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Ask for nothing: only show what the last run found.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")] = False,
) -> None:
    """Have a worker look for events that were never delivered, and say what was missing."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        if show:
            last = gateway.get("/catch-up")["last"]
            if last is None:
                raise CommandFailed("nothing was looked through yet")
        else:
            last = _ended(gateway, {"since": since} if since else {})
    if as_json:
        terminal.print_json(last)
        return

    from counterfoil.cli import payment_text

    typer.echo(
        f"Stripe lists {last['expected']} events about your payments since {payment_text.moment(last['since'])}: "
        f"{last['found']} were here, {last['missing']} missing"
        + (" and are kept now; a worker reads them." if last["missing"] else ".")
    )
    if last["missing"]:
        rows = [[kind, str(count)] for kind, count in sorted(last["missing_by_type"].items())]
        terminal.print_table(["type", "missing"], rows)


def _ended(gateway: Connection, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask for a run and return its report once a worker has ended it."""
    asked = gateway.post("/catch-up", wanted, if_lost="`counterfoil catch-up --show` tells")["asked_at"]
    for _ in range(MOST_POLLS):
        last = gateway.get("/catch-up")["last"]
        if last is not None and datetime.fromisoformat(last["started_at"]) >= datetime.fromisoformat(asked):
            found: Mapping[str, Any] = last
            return found
        time.sleep(POLL_SECONDS)
    raise CommandFailed("no worker has ended it yet; `counterfoil catch-up --show` tells when one has")
