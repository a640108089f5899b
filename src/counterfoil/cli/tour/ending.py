"""What the tour shows at its end: every payment and refund, ours and Stripe's beside each other, and what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from counterfoil.cli import books, payment_text, terminal
from counterfoil.cli.books import Back, Books, Difference, Entry
from counterfoil.cli.sides import BothSides
from counterfoil.cli.tour.playing import Played
from counterfoil.domain.money import Money

if TYPE_CHECKING:
    from rich.text import Text


async def compared(sides: BothSides, played: Sequence[Played]) -> Mapping[str, Any]:
    """Read both books, show them, and return the tour's summary for another program."""
    read = await books.read(sides)
    ours, theirs = read.ours, read.theirs
    numbers = {taken.payment_id: str(one.number) for one in played for taken in one.taken}
    _show_payments(read.payments, ours, theirs, numbers)
    _show_refunds(ours, theirs, numbers)
    differing = books.differences(ours, theirs)
    _judge([f"{numbers.get(one.payment_id or '', '?')}  {one.sentence}" for one in differing], played, ours)
    return summary(ours, theirs, differing, played)


def summary(ours: Books, theirs: Books, differing: Sequence[Difference], played: Sequence[Played]) -> dict[str, Any]:
    """Return what `--json` prints; `agreed` says whether all is as it was meant to be."""
    ids = sorted(ours.payments.keys() | theirs.payments.keys())
    return {
        "agreed": not differing and all(one.why is None for one in played),
        "scenes": [
            {
                "number": one.number,
                "chapter": one.chapter,
                "title": one.scene.title,
                "ended_as_meant": one.why is None,
                "why": one.why,
                "payments": [taken.payment_id for taken in one.taken],
            }
            for one in played
        ],
        "payments": [
            {"payment_id": one, "ours": _plain(ours.payments.get(one)), "stripe": _plain(theirs.payments.get(one))}
            for one in ids
        ],
        "refunds": [
            {"refund": one, "ours": _plain(ours.refunds.get(one)), "stripe": _plain(theirs.refunds.get(one))}
            for one in sorted(ours.refunds.keys() | theirs.refunds.keys())
        ],
        "differences": [one.sentence for one in differing],
    }


def _plain(entry: Entry | Back | None) -> dict[str, Any] | None:
    return None if entry is None else asdict(entry)


def _show_payments(
    payments: Mapping[str, Mapping[str, Any]], ours: Books, theirs: Books, numbers: Mapping[str, str]
) -> None:
    terminal.console().print(
        "The books of both sides, read apart: our gateway's answers | the sandbox's /v1 lists", style="bold"
    )
    rows: list[list[str | Text]] = []
    for one in sorted(ours.payments.keys() | theirs.payments.keys(), key=lambda one: _place(one, numbers)):
        our, their = ours.payments.get(one), theirs.payments.get(one)
        status = payment_text.status(payments[one]) if one in payments else "nothing"
        pairs = zip(_amounts(our), _amounts(their), strict=True)
        amounts = [f"{here}|{there}" if here or there else "" for here, there in pairs]
        rows.append(
            [numbers.get(one, one), status, their.outcome if their else "nothing", *amounts, _currency(our, their)]
        )
    terminal.print_table(["#", "with us", "at Stripe", "captured", "refunded", "disputed", "fee", "in"], rows)


def _show_refunds(ours: Books, theirs: Books, numbers: Mapping[str, str]) -> None:
    terminal.console().print("\nThe refunds among them", style="bold")
    rows = []
    for one in ours.refunds.keys() | theirs.refunds.keys():
        our, their = ours.refunds.get(one), theirs.refunds.get(one)
        owner = next((back.payment_id for back in (our, their) if back and back.payment_id), None) or one
        rows.append((_place(owner, numbers), one, [numbers.get(owner, owner), one, _back(our), _back(their)]))
    terminal.print_table(
        ["#", "refund", "with us", "at Stripe"], [row for _, _, row in sorted(rows)], unbroken=("#", "refund")
    )


def _place(payment_id: str, numbers: Mapping[str, str]) -> tuple[int, str]:
    """Return where a payment stands: in the order of the scenes, and what no scene made behind them."""
    return int(numbers.get(payment_id, len(numbers) + 1)), payment_id


def _amounts(entry: Entry | None) -> list[str]:
    """Return what was captured, refunded and disputed, and the fee, without a currency; empty where it is nothing."""
    if entry is None:
        return [""] * 4
    return [
        Money(amount, entry.currency).format().removesuffix(f" {entry.currency}") if amount else ""
        for amount in (entry.captured, entry.refunded, entry.disputed, entry.fee)
    ]


def _currency(*entries: Entry | None) -> str:
    return next((entry.currency for entry in entries if entry is not None and entry.captured), "")


def _back(back: Back | None) -> str:
    return "nothing" if back is None else f"{back.status} {Money(back.amount, back.currency).format()}"


def _judge(differing: Sequence[str], played: Sequence[Played], ours: Books) -> None:
    """Say what differs and which scenes did not end as they were meant to, or that all is well."""
    from rich.text import Text

    screen = terminal.console()
    screen.print()
    for line in differing:
        terminal.print_hanging(Text("  differs  ", "bold red"), Text(line, "bold red"))
    astray = [one for one in played if one.why is not None]
    for one in astray:
        label = Text(f"  not as it was meant  {one.number}  {one.scene.title}: ", "bold red")
        terminal.print_hanging(label, Text(one.why or "", "bold red"))
    if not astray:
        screen.print(f"  All {len(played)} scenes ended as they were meant to.", style="bold green")
    if not differing:
        counts = f"{len(ours.payments)} payments and {len(ours.refunds)} refunds"
        screen.print(f"  Both sides agree on all {counts}.", style="bold green")
