"""`pay`, `show` and `list`: taking a payment and looking at payments, through the gateway."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from counterfoil.cli import terminal
from counterfoil.cli.cards import TEST_CARDS, payment_method_of
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import CommandFailed, ExitCode, WrongUsage
from counterfoil.config import load_from_process
from counterfoil.domain.money import Money, parse_decimal

if TYPE_CHECKING:
    from rich.console import Console

LIST_MAX = 1000
"""What a person can look through; a script that wants everything reads `/payments` by its cursor."""

_PAGE = 100
_WATCH_SECONDS = 0.3
_NOT_PAID = frozenset({"failed", "canceled"})

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")]


def pay(  # noqa: PLR0913  each is an argument or option of the command
    amount: Annotated[str, typer.Argument(help="As people write it: 19.99")],
    currency: Annotated[str, typer.Argument(help="Three letters: EUR")],
    *,
    card: Annotated[
        str, typer.Option(help=f"A test card ({', '.join(TEST_CARDS)}) or a payment method's id (pm_…).")
    ] = "",
    order: Annotated[str, typer.Option(help="The order's id; made up when left out.")] = "",
    customer: Annotated[str, typer.Option(help="The customer's id.")] = "",
    email: Annotated[str, typer.Option(help="Where the customer is told; without it nobody is.")] = "",
    locale: Annotated[str, typer.Option(help="The customer's language: de, fr-CA.")] = "",
    event_id: Annotated[str, typer.Option(help="The same id never charges twice; made up when left out.")] = "",
    hold: Annotated[bool, typer.Option("--hold", help="Hold the money only; `capture` takes it.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the payment until it is final.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a payment and say what became of it."""
    body = _order(
        parse_decimal(amount, currency),
        event_id=event_id,
        order_id=order,
        customer_id=customer,
        customer_email=email,
        locale=locale,
        payment_method=payment_method_of(card) if card else "",
        capture_method="manual" if hold else "",
    )
    with Connection(gateway_of(load_from_process(None))) as gateway:
        payment = gateway.charge(body)
        if watch:
            payment = followed(gateway, payment["payment_id"], as_json=as_json)
    _end({"amount": body["amount_cents"], **body, **payment}, payment, as_json=as_json)


def try_again(
    payment: Annotated[str, typer.Argument(help="The id of a payment that failed, or of its order.")],
    *,
    card: Annotated[str, typer.Option(help=f"A test card ({', '.join(TEST_CARDS)}) or a payment method's id (pm_…).")],
    watch: Annotated[bool, typer.Option("--watch", help="Follow the payment until it is final.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try a failed payment again with another method."""
    method = {"payment_method": payment_method_of(card)}
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = payment_named(gateway, payment)
        tried = gateway.charge_anew(found["payment_id"], method)
        if watch:
            tried = followed(gateway, found["payment_id"], as_json=as_json)
    _end(tried, tried, as_json=as_json)


def show(
    payment: Annotated[str, typer.Argument(help="The id of a payment or of its order.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a payment and everything that happened to it."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = payment_named(gateway, payment)
        entries = gateway.get(f"/payments/{found['payment_id']}/timeline")["entries"]
        followed = (gateway.find(f"/payments/{found['payment_id']}/effects") or {"effects": []})["effects"]
    if as_json:
        terminal.print_json({**found, "timeline": entries, "effects": followed})
        return

    from counterfoil.cli import payment_text

    screen = terminal.console()
    terminal.print_fields(payment_text.fields(found))
    screen.print()
    terminal.print_table(["at", "kind", "what", "details"], [payment_text.timeline_row(entry) for entry in entries])
    if followed:
        screen.print()
        terminal.print_table(["since", "effect", "state", "why"], [payment_text.effect_row(one) for one in followed])


def explain(
    payment: Annotated[str, typer.Argument(help="The id of a payment or of its order.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Say in words what is known of a payment, what is not, and what happens next and when."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = payment_named(gateway, payment)
        explained = gateway.get(f"/payments/{found['payment_id']}/explanation")
    if as_json:
        terminal.print_json(explained)
        return

    from counterfoil.cli import payment_text

    for line in payment_text.explanation(found, explained):
        terminal.console().print(line)


def list_payments(
    *,
    status: Annotated[str, typer.Option(help="Only payments that stand there: succeeded, failed, …")] = "",
    under_review: Annotated[bool, typer.Option("--under-review", help="Only those that wait for a person.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most this many, latest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List payments, the latest first."""
    from counterfoil.domain.states import PaymentState

    if status and status not in set(PaymentState):
        raise WrongUsage(f"--status must be one of: {', '.join(PaymentState)}")
    if status and under_review:
        raise WrongUsage("--under-review stands without --status: it lists them in whatever state")
    with Connection(gateway_of(load_from_process(None))) as gateway:
        filters = {"status": status, "under_review": "true" if under_review else ""}
        payments = list(_listed(gateway, filters, limit))
    if as_json:
        terminal.print_json(payments)
        return

    from counterfoil.cli import payment_text

    if not payments:
        terminal.console().print("No payments yet: try `counterfoil pay 19.99 EUR --card visa`.", style="dim")
        return
    terminal.print_table(
        ["created", "payment", "order", "amount", "status", "reason"],
        [
            [
                payment_text.moment(payment["created_at"]),
                payment["payment_id"],
                payment["order_id"],
                payment_text.money(payment),
                payment_text.status(payment),
                payment_text.reason(payment),
            ]
            for payment in payments
        ],
    )


def _end(shown: Mapping[str, Any], payment: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what became of a charge, and exit with 1 where it was not paid."""
    if as_json:
        terminal.print_json(payment)
    else:
        from counterfoil.cli import payment_text

        terminal.console().print(payment_text.sentence(shown))
    if payment["status"] in _NOT_PAID:
        raise typer.Exit(ExitCode.REFUSED)


def _order(money: Money, **texts: str) -> dict[str, Any]:
    """Return the body of `POST /charge`: texts left empty are made up where the order needs them, else left out."""
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.runtime.ids import TimeOrderedIds

    ids = TimeOrderedIds(SystemClock())
    return {
        "event_id": str(ids.new()),
        "order_id": f"order-{ids.new().hex[-12:]}",
        "amount_cents": money.amount,
        "currency": money.currency,
        **{name: text for name, text in texts.items() if text},
    }


def followed(gateway: Connection, payment_id: str, *, as_json: bool) -> Mapping[str, Any]:
    """Print what happens to a payment as it happens, and return it once it is final and told to the outside."""
    from time import sleep

    from counterfoil.cli import payment_text

    screen = terminal.console()
    seen = 0
    while True:
        payment = gateway.get(f"/payments/{payment_id}")
        entries = gateway.get(f"/payments/{payment_id}/timeline")["entries"]
        if not as_json:
            _print_entries(screen, entries[seen:])
        seen = len(entries)
        if payment["status"] in payment_text.FINAL:
            return payment
        sleep(_WATCH_SECONDS)


def _print_entries(screen: "Console", entries: list[Mapping[str, Any]]) -> None:
    from rich.text import Text

    from counterfoil.cli import payment_text

    for entry in entries:
        at, kind, name, details = payment_text.timeline_row(entry)
        screen.print(Text.assemble((str(at), "dim"), "  ", kind, "  ", name, "  ", (str(details), "dim")))


def payment_named(gateway: Connection, name: str) -> Mapping[str, Any]:
    """Return the payment of that id, or that the order of that id has; raises CommandFailed where there is none."""
    quoted = quote(name, safe="")
    payment = gateway.find(f"/payments/{quoted}") or gateway.find(f"/orders/{quoted}/payment")
    if payment is None:
        raise CommandFailed("there is no payment of that id, and no order of that id has one")
    return payment


def _listed(gateway: Connection, filters: Mapping[str, str], limit: int) -> Iterator[Mapping[str, Any]]:
    cursor: str | None = ""
    while cursor is not None and limit > 0:
        parameters: dict[str, str | int] = {"limit": min(limit, _PAGE)}
        parameters |= {key: value for key, value in {**filters, "cursor": cursor}.items() if value}
        page = gateway.get("/payments", parameters)
        yield from page["payments"][:limit]
        limit -= len(page["payments"])
        cursor = page["next_cursor"]
