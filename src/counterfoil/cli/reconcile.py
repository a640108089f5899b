"""`counterfoil reconcile`: both books compared, ours and the processor's, and what a person does about it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import ExitCode, WrongUsage
from counterfoil.config import load_from_process

_PAGE = 100
_LOOK_EVERY_SECONDS = 0.5
_PATIENCE_SECONDS = 15.0
"""A worker looks for new comparisons every second: after this, there seems to be none."""

_SETTLED_SHOWN = 20
"""What a machine has settled is told by a few examples; all of it is in `--json`."""

_AGE = re.compile(r"(?P<number>[1-9]\d{0,5})(?P<unit>[hd])", re.ASCII)
_UNITS = {"h": "hours", "d": "days"}


def reconcile(  # noqa: PLR0913  each is an option of the command
    *,
    since: Annotated[
        str, typer.Option(help="How far back: 36h, 7d, or a date or time in UTC; three days unless it is told.")
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Ask for it, and do not wait for its end.")] = False,
    show: Annotated[str, typer.Option(metavar="ID", help="Follow or show one that was asked for before.")] = "",
    acknowledge: Annotated[str, typer.Option(metavar="DIFFERENCE", help="Say that you have seen to it.")] = "",
    note: Annotated[str, typer.Option(help="With --acknowledge: what you did about it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")] = False,
) -> None:
    """Compare our payments with the processor's, both ways; exit 1 where they differ in the end."""
    if bool(acknowledge) != bool(note):
        raise WrongUsage("--acknowledge goes with --note: say what you did about it")
    body = {"since": _since(since).isoformat()} if since else {}
    with Connection(gateway_of(load_from_process(None))) as gateway:
        if acknowledge:
            _acknowledge(gateway, acknowledge, note, as_json=as_json)
            return
        if show:
            asked = gateway.get(f"/reconciliations/{quote(show, safe='')}")
        else:
            lost = "the same command compares anew"
            asked = gateway.post("/reconciliations", body, if_lost=lost)
        if detach:
            _print_detached(asked, as_json=as_json)
            return
        ended = _followed(gateway, asked)
        differences = _all(gateway, ended, "" if as_json else "left")
        if as_json:
            terminal.print_json({**ended, "differences_found": differences})
        else:
            _print_ended(ended, differences, _settled(gateway, ended))
    if ended["differences"]["left"]:
        raise typer.Exit(ExitCode.REFUSED)


def _since(text: str) -> datetime:
    from counterfoil.runtime.clock import SystemClock

    age = _AGE.fullmatch(text)
    if age is not None:
        return SystemClock().now() - timedelta(**{_UNITS[age["unit"]]: int(age["number"])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage("--since is 36h, 7d, 2026-03-01 or 2026-03-01T12:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _acknowledge(gateway: Connection, difference: str, note: str, *, as_json: bool) -> None:
    path = f"/differences/{quote(difference, safe='')}/acknowledge"
    done = gateway.post(path, {"note": note}, if_lost="the same command tells")
    if as_json:
        terminal.print_json(done)
    else:
        terminal.console().print(f"{done['difference_id']} is acknowledged")


def _print_detached(asked: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(asked)
    else:
        name = asked["reconciliation_id"]
        terminal.console().print(f"{name} is asked for; `counterfoil reconcile --show {name}` follows it")


def _followed(gateway: Connection, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a comparison once it has ended; a person at a terminal sees how far it is."""
    from time import sleep

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    screen, waited, told = terminal.console(err=True), 0.0, False
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bar = Progress(*columns, TimeElapsedColumn(), console=screen, transient=True, disable=not screen.is_terminal)
    with bar:
        task = bar.add_task(_SAYING["intent"], total=1.0)
        while asked["finished_at"] is None:
            found = asked["differences"]
            saying = f"{_SAYING[asked['stage']]}, {asked['payments_compared']} payments"
            if found["suspected"]:
                saying += f", {found['suspected']} suspicions"
            bar.update(task, completed=asked["progress"], description=saying)
            if waited >= _PATIENCE_SECONDS and asked["started_at"] is None and not told:
                typer.echo("no worker has begun with it yet: is one running, and its key taken?", err=True)
                told = True
            sleep(_LOOK_EVERY_SECONDS)
            waited += _LOOK_EVERY_SECONDS
            asked = gateway.get(f"/reconciliations/{asked['reconciliation_id']}")
        bar.update(task, completed=1.0)
    return asked


def _all(gateway: Connection, ended: Mapping[str, Any], state: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        asked: dict[str, str | int] = {"limit": _PAGE, **({"state": state} if state else {})}
        asked |= {"cursor": cursor} if cursor else {}
        page = gateway.get(f"/reconciliations/{ended['reconciliation_id']}/differences", asked)
        found += page["differences"]
        cursor = page["next_cursor"]
    return found


def _settled(gateway: Connection, ended: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not ended["differences"]["settled"]:
        return []
    asked: dict[str, str | int] = {"state": "settled", "limit": _SETTLED_SHOWN}
    path = f"/reconciliations/{ended['reconciliation_id']}/differences"
    return list(gateway.get(path, asked)["differences"])


def _print_ended(ended: Mapping[str, Any], left: list[Mapping[str, Any]], settled: list[Mapping[str, Any]]) -> None:
    counts, screen = ended["differences"], terminal.console()
    for one in (*left, *settled):
        _print_difference(one)
    if counts["settled"] > len(settled):
        screen.print(f"… and {counts['settled'] - len(settled)} more that were settled", style="dim")
    both = "Both books are equal" if not counts["left"] else f"Left to a person: {counts['left']}"
    screen.print(
        f"{both}; payments compared since {ended['since']}: {ended['payments_compared']}; differences settled: "
        f"{counts['settled']}; acknowledged: {counts['acknowledged']}; none of ours: {ended['foreign']}"
    )
    if left:
        screen.print("Once you have seen to one: `counterfoil reconcile --acknowledge DIFFERENCE --note …`")


def _print_difference(one: Mapping[str, Any]) -> None:
    """Print what differs, how each side has it, and what was done or is to be done; its own id where it is left."""
    from rich.text import Text

    is_left = one["state"] == "left"
    label = Text(f"{one['state']:8}", style="bold red" if is_left else "dim")
    lines = [
        f"{one['subject']}, {one['verdict'].replace('_', ' ')}: {one['processor_reference']}",
        f"payment {one['payment_id'] or '—'}: ours {one['ours'] or '—'}, theirs {one['theirs'] or '—'}",
        str(one["remedy"]),
        *([f"difference {one['difference_id']}"] if is_left else []),
    ]
    terminal.print_hanging(label, "\n".join(lines))


_SAYING = {
    "intent": "payments at the processor",
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
    "ours": "payments of ours",
    "again": "what differed, again",
    "finished": "done",
}
