"""`customer`: who our customers are at the processor."""

from typing import Annotated
from urllib.parse import quote

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.config import load_from_process

customer = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Link customers to those of the processor.")


@customer.callback()
def _customer() -> None:
    """Keep `link` a command of its own: Typer would make a group of one command that command."""


@customer.command()
def link(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="The customer's id in orders.")],
    stripe_customer: Annotated[str, typer.Argument(metavar="CUS", help="The customer at Stripe: cus_…")],
    *,
    method: Annotated[
        str, typer.Option(help="What is charged when an order names no method: pm_…; left out, nothing is.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")] = False,
) -> None:
    """Say which of Stripe's customers a customer is. What was linked before is replaced."""
    body = {"stripe_customer": stripe_customer, "default_payment_method": method or None}
    with Connection(gateway_of(load_from_process(None))) as gateway:
        linked = gateway.put(f"/customers/{quote(customer_id, safe='')}", body)
    if as_json:
        terminal.print_json(linked)
        return
    default = linked["default_payment_method"]
    paying = f"pays with {default} when an order names no method" if default else "has no default method"
    typer.echo(f"{linked['customer_id']} is {linked['stripe_customer']} and {paying}")
