"""`capture` and `cancel`: taking what a payment holds, and letting it go."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import ExitCode
from counterfoil.cli.payments import AsJson, followed, payment_named
from counterfoil.config import load_from_process
from counterfoil.domain.money import parse_decimal

Named = Annotated[str, typer.Argument(help="The id of a payment or of its order.")]
Watch = Annotated[bool, typer.Option("--watch", help="Follow the payment until it is final.")]


def capture(
    payment: Named,
    *,
    amount: Annotated[str, typer.Option(help="As people write it: 9.99; all that is held when left out.")] = "",
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Take the money that a payment holds, or a part of it; the rest is let go."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        held = payment_named(gateway, payment)
        wanted = parse_decimal(amount, held["currency"]).amount if amount else None
        taken = gateway.capture(held["payment_id"], wanted)
        if watch:
            taken = followed(gateway, held["payment_id"], as_json=as_json)
    _end({**held, **taken}, as_json=as_json)


def cancel(payment: Named, *, watch: Watch = False, as_json: AsJson = False) -> None:
    """Cancel a payment: what it holds is let go, and its customer asked no more."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        left = payment_named(gateway, payment)
        ended = gateway.cancel(left["payment_id"])
        if watch:
            ended = followed(gateway, left["payment_id"], as_json=as_json)
    _end({**left, **ended}, as_json=as_json)


def _end(payment: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what became of it; what failed meanwhile is exit 1."""
    if as_json:
        terminal.print_json(payment)
    else:
        from counterfoil.cli import payment_text

        terminal.console().print(payment_text.sentence(payment))
    if payment["status"] == "failed":
        raise typer.Exit(ExitCode.REFUSED)
