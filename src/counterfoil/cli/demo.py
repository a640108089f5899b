"""`counterfoil demo`: two payments from end to end on this machine, and both sides compared afterwards."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from counterfoil import config
from counterfoil.cli import terminal
from counterfoil.cli.exits import ExitCode
from counterfoil.cli.up import Home, PortBase
from counterfoil.config import Role
from counterfoil.domain.money import Money
from counterfoil.runtime.secret import Secret

if TYPE_CHECKING:
    from counterfoil.cli.comparison import Side
    from counterfoil.cli.installation import Installation

PAYMENTS: Final = (
    ("A card that is good", "visa", Money(1999, "EUR")),
    ("A card that its bank declines", "declined", Money(4250, "EUR")),
)
"""A title, the test card, and how much."""

_PAGE: Final = 100


def demo(*, port_base: PortBase = None, home: Home = "") -> None:
    """Take two payments on this machine and show every step.

    One succeeds, one is declined. Everything that this needs is started, and stopped again. At the end our record is
    compared with what the sandbox holds: exit 0 only if both sides agree.
    """
    import asyncio

    code = asyncio.run(_played(Path(home).absolute() if home else None, port_base))
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


async def _played(home: Path | None, port_base: int | None) -> ExitCode:
    import asyncio

    from counterfoil.cli.installation import Plan, installation
    from counterfoil.cli.ports import Ports

    loop = asyncio.get_running_loop()
    started = loop.time()
    screen = terminal.console()
    async with _kept_or_fresh(home) as place:
        plan = Plan(
            settings=config.load({}, None),  # what is set for real payments is no business of the demo's
            home=place,
            ports=Ports.from_base(port_base) if port_base else Ports.free(),
            sandbox=True,
            say=lambda line: screen.print(f"  {line}", style="dim"),
        )
        screen.print("Counterfoil: two payments, from the order to the record of it\n", style="bold")
        async with installation(plan) as here:
            screen.print(f"  Ready after {loop.time() - started:.1f} s: {', '.join(Role)}.\n", style="dim")
            found = await _told(here)
        screen.print(f"\n  Everything is stopped again, {loop.time() - started:.1f} s in all.", style="dim")
    return ExitCode.REFUSED if found else ExitCode.DONE


@asynccontextmanager
async def _kept_or_fresh(home: Path | None) -> AsyncIterator[Path]:
    """Yield the given home, else a new folder that is gone afterwards unless something went wrong in it."""
    if home is not None:
        yield home
        return
    import tempfile

    fresh = Path(tempfile.mkdtemp(prefix="counterfoil-demo-"))
    try:
        yield fresh
    except Exception:
        terminal.console(err=True).print(f"What was logged is kept in {fresh / 'logs'}", style="dim")
        raise
    except BaseException:  # interrupted: nothing is wrong with it
        _delete(fresh)
        raise
    _delete(fresh)


def _delete(home: Path) -> None:
    import shutil

    from counterfoil.store import embedded

    embedded.remove(home)
    shutil.rmtree(home)


async def _told(here: "Installation") -> list[str]:
    """Take the payments, show them and their timelines, compare, and return the differences."""
    from counterfoil.cli.comparison import differences, from_api, from_stripe
    from counterfoil.cli.story import Story

    async with Story(here) as story:
        for number, (title, card, money) in enumerate(PAYMENTS, start=1):
            await story.take(f"{number}  {title}", card, money)
        payments = await story.payments()
        _show_payments(payments)
        for payment in payments:
            _show_timeline(payment, await story.timeline(payment["payment_id"]))
        charges = await story.stripe_list("charges")
        intents = await story.stripe_list("payment_intents")
    theirs = [(intent["metadata"].get("payment_id", intent["id"]), from_stripe(intent, charges)) for intent in intents]
    ours = {payment["payment_id"]: from_api(payment) for payment in payments}
    rows = await _rows(here.database_url)
    found = differences(ours, theirs, "our API") + differences(rows, theirs, "our rows")
    _show_comparison(ours, rows, dict(theirs), found)
    return found


async def _rows(database_url: Secret) -> dict[str, "Side"]:
    """Return what our tables hold of every payment, past every role."""
    from counterfoil.cli.comparison import from_row
    from counterfoil.cli.database import connected
    from counterfoil.store.reading import Wanted, page

    rows: dict[str, Side] = {}
    async with connected(database_url) as database:
        last = None
        while found := await page(database, before=last, wanted=Wanted(), most=_PAGE):
            rows |= {str(view.id): from_row(view) for view in found}
            last = found[-1].id
    return rows


def _show_payments(payments: list[Mapping[str, Any]]) -> None:
    from counterfoil.cli import payment_text

    terminal.console().print("The payments, as the gateway shows them", style="bold")
    terminal.print_table(
        ["payment", "order", "amount", "status", "reason"],
        [
            [
                payment["payment_id"],
                payment["order_id"],
                payment_text.money(payment),
                payment_text.status(payment),
                payment_text.reason(payment),
            ]
            for payment in payments
        ],
    )


def _show_timeline(payment: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> None:
    from counterfoil.cli import payment_text

    terminal.console().print(f"\nThe timeline of {payment['payment_id']}", style="bold")
    terminal.print_table(["at", "kind", "what", "details"], [payment_text.timeline_row(entry) for entry in entries])


def _show_comparison(
    ours: Mapping[str, "Side"], rows: Mapping[str, "Side"], theirs: Mapping[str, "Side"], found: list[str]
) -> None:
    screen = terminal.console()
    screen.print("\nBoth sides, read apart: our API, our rows, and the sandbox's /v1 lists", style="bold")
    terminal.print_table(
        ["payment", "our API", "our rows", "Stripe"],
        [
            [payment_id, *(_side(side.get(payment_id)) for side in (ours, rows, theirs))]
            for payment_id in sorted(ours.keys() | rows.keys() | theirs.keys())
        ],
    )
    for line in found:
        screen.print(f"  differs  {line}", style="bold red")
    if not found:
        screen.print(f"\n  Both sides agree on all {len(theirs)} payments.", style="bold green")


def _side(side: "Side | None") -> str:
    if side is None:
        return "nothing"
    if not side.amount_captured and not side.captured_charges:
        return f"{side.state}, nothing captured"
    captured = Money(side.amount_captured, side.currency).format()
    count = len(side.captured_charges)
    return f"{side.state}, {captured} in {count} {'charge' if count == 1 else 'charges'}"
