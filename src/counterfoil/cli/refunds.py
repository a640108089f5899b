"""`refund`: giving money back, through the gateway."""

from typing import Annotated

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.payments import AsJson, payment_named
from counterfoil.config import load_from_process
from counterfoil.domain.money import parse_decimal


def refund(
    payment: Annotated[str, typer.Argument(help="The id of a payment or of its order.")],
    amount: Annotated[str, typer.Argument(help="As people write it: 5.00. All that is left when left out.")] = "",
    *,
    reason: Annotated[str, typer.Option(help="Why, in a few words; kept with the refund.")] = "",
    key: Annotated[str, typer.Option(help="The same key never gives back twice; made up when left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Give money back, in part or all that is left."""
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.runtime.ids import TimeOrderedIds

    key = key or str(TimeOrderedIds(SystemClock()).new())
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = payment_named(gateway, payment)
        body = {"amount": parse_decimal(amount, found["currency"]).amount} if amount else {}
        made = gateway.post(
            f"/payments/{found['payment_id']}/refunds",
            body | ({"reason": reason} if reason else {}),
            headers={"Idempotency-Key": key},
            if_lost=f"the same command with --key {key} asks again and never gives back twice",
        )
    if as_json:
        terminal.print_json(made)
        return

    from counterfoil.cli import payment_text

    terminal.console().print(payment_text.refund(made))
