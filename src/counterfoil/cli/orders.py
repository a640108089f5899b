"""`cancel-order`: an order is not wanted any more."""

from typing import Annotated
from urllib.parse import quote

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import WrongUsage
from counterfoil.cli.payments import AsJson
from counterfoil.config import load_from_process


def cancel_order(
    order: Annotated[str, typer.Argument(help="The id of the order.")],
    *,
    reason: Annotated[str, typer.Option(help="CUSTOMER_REQUESTED, PAYMENT_FAILED, OUT_OF_STOCK or FRAUD.")] = (
        "CUSTOMER_REQUESTED"
    ),
    as_json: AsJson = False,
) -> None:
    """Cancel an order: its payment ends without the money, or gives it back, and so does one that comes later."""
    from counterfoil.domain.cancelling import CancelReason

    if reason.upper() not in set(CancelReason):
        raise WrongUsage(f"--reason must be one of: {', '.join(CancelReason)}")
    with Connection(gateway_of(load_from_process(None))) as gateway:
        cancelled = gateway.post(
            f"/orders/{quote(order, safe='')}/cancel",
            {"reason": reason.upper()},
            if_lost="the same command again does no more than once",
        )
    if as_json:
        terminal.print_json(cancelled)
        return
    if not cancelled["payments"]:
        terminal.console().print("The order has no payment yet; one that comes will be canceled.")
        return

    from rich.text import Text

    from counterfoil.cli import payment_text

    for payment in cancelled["payments"]:
        terminal.console().print(Text.assemble(payment_text.status(payment), "  ", (payment["payment_id"], "dim")))
