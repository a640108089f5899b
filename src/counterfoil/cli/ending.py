"""What the demo shows at its end: the payments, two timelines, and both sides beside each other."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from counterfoil.cli import payment_text, terminal
from counterfoil.cli.acts import Act
from counterfoil.cli.comparison import Sendings, Side, differences, from_api, from_row, from_stripe, sendings
from counterfoil.cli.sides import BothSides
from counterfoil.cli.story import Taken
from counterfoil.domain.money import Money
from counterfoil.runtime.secret import Secret

_PAGE: Final = 100


async def shown(sides: BothSides, database_url: Secret, played: Sequence[tuple[Act, Taken]]) -> list[str]:
    """Show everything and return what does not agree, none where both sides do."""
    numbers = {taken.payment_id: str(number) for number, (_, taken) in enumerate(played, start=1)}
    payments = sorted(await sides.payments(), key=lambda payment: _label(payment["payment_id"], numbers))
    _show_payments(payments, numbers)
    for act, taken in played:
        if act.has_timeline:
            _show_timeline(f"{numbers[taken.payment_id]}  {act.title}", await sides.timeline(taken.payment_id))
    charges = await sides.stripe_list("charges")
    intents = await sides.stripe_list("payment_intents")
    theirs = [(intent["metadata"].get("payment_id", intent["id"]), from_stripe(intent, charges)) for intent in intents]
    ours = {payment["payment_id"]: from_api(payment) for payment in payments}
    rows = await _rows(database_url)
    found = differences(ours, theirs, "our API") + differences(rows, theirs, "our rows")
    _show_comparison(ours, rows, dict(theirs), numbers)
    again = {
        numbers[taken.payment_id]: sendings(taken.key, taken.payment_id, await sides.requests(taken.key), charges)
        for act, taken in played
        if act.is_sent_again
    }
    return judged(found, len(theirs), again)


async def _rows(database_url: Secret) -> dict[str, Side]:
    """Return what our tables hold of every payment, past every role."""
    from counterfoil.cli.database import connected
    from counterfoil.store.reading import Wanted, page

    rows: dict[str, Side] = {}
    async with connected(database_url) as database:
        last = None
        while found := await page(database, before=last, wanted=Wanted(), most=_PAGE):
            rows |= {str(view.id): from_row(view) for view in found}
            last = found[-1].id
    return rows


def _label(payment_id: str, numbers: Mapping[str, str]) -> str:
    """Return the number of one of the demo's payments, else its id."""
    return numbers.get(payment_id, payment_id)


def _show_payments(payments: Sequence[Mapping[str, Any]], numbers: Mapping[str, str]) -> None:
    from rich.text import Text

    terminal.console().print("The payments, as the gateway shows them", style="bold")
    terminal.print_table(
        ["#", "payment", "amount", "status"],
        [
            [
                numbers.get(payment["payment_id"], ""),
                payment["payment_id"],
                payment_text.money(payment),
                Text("  ").join(filter(None, [payment_text.status(payment), Text(payment_text.reason(payment))])),
            ]
            for payment in payments
        ],
        unbroken=("#", "payment", "amount"),
    )


def _show_timeline(title: str, entries: Sequence[Mapping[str, Any]]) -> None:
    from rich.text import Text

    screen = terminal.console()
    screen.print(f"\nThe timeline of {title}", style="bold")
    rows = [payment_text.timeline_row(entry) for entry in entries]
    labels = [Text.assemble((f"  {at}  ", "dim"), kind, " " * (9 - len(kind))) for at, kind, _, _ in rows]
    width = max(len(name) for _, _, name, _ in rows)
    whats = [f"{name!s:<{width}}  {details}" for _, _, name, details in rows]
    if max(label.cell_len + len(what) for label, what in zip(labels, whats, strict=True)) > screen.width:
        whats = [f"{name}\n{details}" for _, _, name, details in rows]
    for label, what in zip(labels, whats, strict=True):
        terminal.print_hanging(label, what)


def _show_comparison(
    ours: Mapping[str, Side], rows: Mapping[str, Side], theirs: Mapping[str, Side], numbers: Mapping[str, str]
) -> None:
    terminal.console().print("\nBoth sides, read apart: our API, our rows, and the sandbox's /v1 lists", style="bold")
    terminal.print_table(
        ["#", "our API", "our rows", "Stripe"],
        [
            [_label(payment_id, numbers), *(_side(side.get(payment_id)) for side in (ours, rows, theirs))]
            for payment_id in sorted(ours.keys() | rows.keys() | theirs.keys(), key=lambda one: _label(one, numbers))
        ],
    )


def judged(found: Sequence[str], count: int, again: Mapping[str, Sendings]) -> list[str]:
    """Say what does not agree, what was sent again, and whether both sides agree on so many payments.

    Returns what does not agree. What was sent again and not charged exactly once, by the payments' numbers, is part
    of that.
    """
    from rich.text import Text

    differing = [
        *found,
        *(f"{number}: {sent.sentence()}" for number, sent in again.items() if not sent.is_charged_once),
    ]
    for line in differing:
        terminal.print_hanging(Text("  differs  ", "bold red"), Text(line, "bold red"))
    screen = terminal.console()
    screen.print()
    for number, sent in again.items():
        if sent.is_charged_once:
            terminal.print_hanging(Text(f"  Payment {number} was ", "bold green"), f"{sent.sentence()}.")
    if not differing:
        screen.print(f"  Both sides agree on all {count} payments.", style="bold green")
    return differing


def _side(side: Side | None) -> str:
    if side is None:
        return "nothing"
    if not side.amount_captured and not side.captured_charges:
        return f"{side.state}, nothing captured"
    captured = Money(side.amount_captured, side.currency).format()
    count = len(side.captured_charges)
    return f"{side.state}, {captured} in {count} {'charge' if count == 1 else 'charges'}"
