"""`review`: a person decides on a payment."""

from enum import StrEnum
from typing import Annotated

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.payments import AsJson, payment_named
from counterfoil.config import load_from_process


class Decision(StrEnum):
    """What a person may decide."""

    APPROVE = "approve"
    DECLINE = "decline"


_WORDS = {Decision.APPROVE: "APPROVED", Decision.DECLINE: "DECLINED"}


def review(
    payment: Annotated[str, typer.Argument(help="The id of a payment under review, or of its order.")],
    decision: Annotated[Decision, typer.Argument(help="approve: it goes on; decline: it fails, for good.")],
    *,
    note: Annotated[str, typer.Option(help="Why; kept with the payment.")] = "",
    as_json: AsJson = False,
) -> None:
    """Decide on a payment that waits for a person (`list --under-review`)."""
    body = {"decision": _WORDS[decision], **({"note": note} if note else {})}
    with Connection(gateway_of(load_from_process(None))) as gateway:
        before = payment_named(gateway, payment)
        after = gateway.review(before["payment_id"], body)
    if as_json:
        terminal.print_json(after)
        return

    from counterfoil.cli import payment_text

    terminal.console().print(payment_text.sentence({**before, **after}))
