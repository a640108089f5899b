"""`status`: how an order's payment stands, in one word."""

from typing import Annotated
from urllib.parse import quote

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import CommandFailed
from counterfoil.config import load_from_process


def status(
    order: Annotated[str, typer.Argument(help="The id of an order.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")] = False,
) -> None:
    """Say how an order's payment stands: pending, completed, failed or refunded."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = gateway.find(f"/orders/{quote(order, safe='')}/status")
    if found is None:
        raise CommandFailed("no order of that id has a payment")
    if as_json:
        terminal.print_json(found)
        return

    from counterfoil.cli import payment_text

    captured = f"  captured {payment_text.money(found, 'amount_captured')}" if found["amount_captured"] else ""
    refunded = f"  refunded {payment_text.money(found, 'amount_refunded')}" if found["amount_refunded"] else ""
    typer.echo(f"{found['status']}  {payment_text.money(found)}{captured}{refunded}  {found['payment_id']}")
