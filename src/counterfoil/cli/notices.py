"""`counterfoil notices`: what the processor told us, what became of it, and reading it once more."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.exits import CommandFailed, ExitCode, Unreachable, WrongUsage
from counterfoil.config import load_from_process

if TYPE_CHECKING:
    from rich.progress import Progress

notices = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look at what Stripe told us, and have it read once more."
)

LIST_MAX = 1000
"""What a person can look through; a script that wants everything reads `/notices` by its cursor."""

_PAGE = 100
_STATES = ("kept", "done", "foreign", "parked", "quarantined")

_Event = Annotated[str, typer.Argument(help="Stripe's id of the event (evt_…), or what the quarantine has.")]
_State = Annotated[str, typer.Option(help=f"Only those that are {', '.join(_STATES[:-1])} or {_STATES[-1]}.")]
_Type = Annotated[str, typer.Option("--type", help="Only of this type: charge.refunded, …")]
_Payment = Annotated[str, typer.Option(help="Only about the payment of this id.")]
_Since = Annotated[str, typer.Option(help="Only those that came since then: 2026-03-01, 2026-03-01T12:00Z.")]
_Account = Annotated[str, typer.Option(help="Of this connected account (acct_…), and not of our own.")]
_Mode = Annotated[bool | None, typer.Option("--live/--test", help="Of this mode, where the id is known in both.")]
_AsJson = Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")]


@notices.command("list")
def list_notices(  # noqa: PLR0913  each is an option of the command
    *,
    state: _State = "",
    type_: _Type = "",
    payment: _Payment = "",
    since: _Since = "",
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most this many, latest first.")] = 20,
    as_json: _AsJson = False,
) -> None:
    """List notices, the latest first, and what became of each."""
    filters = _filters(state, type_, payment, since)
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = list(_listed(gateway, filters, limit))
    if as_json:
        terminal.print_json(found)
        return
    if not found:
        terminal.console().print("There is no such notice.", style="dim")
        return

    from counterfoil.cli import notice_text

    terminal.print_table(
        ["received", "notice", "type", "state", "payment", "why"],
        [notice_text.row(one) for one in found],
        unbroken=("notice",),
    )


@notices.command()
def show(
    event: _Event,
    *,
    account: _Account = "",
    live: _Mode = None,
    body: Annotated[
        bool, typer.Option("--body", help="What it says, too; a token of an administrator is needed.")
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Show a notice, and what became of it."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        found = gateway.find(f"/notices/{quote(event, safe='')}", _which(account, live=live))
    if found is None:
        raise CommandFailed("there is no notice of that id")
    if as_json:
        terminal.print_json(found)
        return

    from counterfoil.cli import notice_text

    terminal.print_fields(notice_text.fields(found))
    if body:
        terminal.console().print(notice_text.body(found))


@notices.command()
def replay(  # noqa: PLR0913  each is an argument or option of the command
    events: Annotated[list[str] | None, typer.Argument(help="Stripe's ids of the events (evt_…).")] = None,
    *,
    state: _State = "",
    type_: _Type = "",
    payment: _Payment = "",
    since: _Since = "",
    account: _Account = "",
    live: _Mode = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would come of it.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Have notices read once more, those named or all that an option tells; what was read before changes nothing."""
    filters = _filters(state, type_, payment, since)
    if bool(events) is bool(filters) or (filters and (account or live is not None)):
        raise WrongUsage("name notices, or say by --state, --type, --payment or --since which ones; not both")
    if state == "quarantined":
        raise WrongUsage("what is in quarantine is no event, so that there is nothing to read once more")
    with Connection(gateway_of(load_from_process(None))) as gateway:
        if events:
            wanted = [(event, _which(account, live=live)) for event in events]
        else:
            wanted = [(one["id"], _which_of(one)) for one in _listed(gateway, filters, None)]
        answers = _replayed(gateway, wanted, dry_run=dry_run, quiet=as_json)
    _tell(answers, dry_run=dry_run, as_json=as_json)
    if any("refused" in answer for answer in answers):
        raise typer.Exit(ExitCode.REFUSED)


def _replayed(
    gateway: Connection, wanted: Sequence[tuple[str, Mapping[str, str]]], *, dry_run: bool, quiet: bool
) -> list[dict[str, Any]]:
    """Ask for one after the other, and return what was answered; what was refused says why under `refused`."""
    answers: list[dict[str, Any]] = []
    with _progress(shown=not quiet and len(wanted) > 1) as progress:
        for event, which in progress.track(wanted, description="reading" if dry_run else "putting back"):
            query = f"?{urlencode(which)}" if which else ""
            path = f"/notices/{quote(event, safe='')}/replay{query}"
            try:
                lost = "the same command asks again, and harms nothing"
                answers.append({"id": event} | dict(gateway.post(path, {"dry_run": dry_run}, if_lost=lost)))
            except Unreachable as why:
                done = f" ({len(answers)} of {len(wanted)} notices were done)" if len(wanted) > 1 else ""
                raise Unreachable(f"{why}{done}") from None
            except CommandFailed as why:
                answers.append({"id": event, "refused": str(why)})
    return answers


def _progress(*, shown: bool) -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    screen = terminal.console(err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=screen, transient=True, disable=not (shown and screen.is_terminal))


def _tell(answers: Sequence[Mapping[str, Any]], *, dry_run: bool, as_json: bool) -> None:
    """Print what was answered: one at length, many as a table or in a line; and what was refused."""
    if as_json:
        terminal.print_json(answers)
        return

    from counterfoil.cli import notice_text

    said = [answer for answer in answers if "refused" not in answer]
    if dry_run and len(answers) == 1 and said:
        terminal.print_fields(notice_text.rehearsal(said[0]))
    elif dry_run and said:
        terminal.print_table(
            ["notice", "type", "is", "would be", "payment", "would change"],
            [notice_text.rehearsal_row(answer) for answer in said],
            unbroken=("notice",),
        )
    elif not answers:
        terminal.console().print("There is no such notice.", style="dim")
    elif not dry_run:
        names = said[0]["id"] if len(said) == 1 else f"{len(said)} notices"
        verb = "is" if len(said) == 1 else "are"
        if said:
            terminal.console().print(f"{names} {verb} read once more")
    for answer in answers:
        if "refused" in answer:
            typer.echo(f"counterfoil: {answer['id']}: {answer['refused']}", err=True)


def _filters(state: str, type_: str, payment: str, since: str) -> dict[str, str]:
    if state and state not in _STATES:
        raise WrongUsage(f"--state must be one of: {', '.join(_STATES)}")
    named = {"state": state, "type": type_, "payment_id": payment, "since": _moment(since) if since else ""}
    return {name: value for name, value in named.items() if value}


def _moment(text: str) -> str:
    """Return a time as the gateway reads it; one without its zone is of this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise WrongUsage("--since is a day or a time as 2026-03-01 or 2026-03-01T12:00Z") from None


def _which(account: str, *, live: bool | None) -> dict[str, str]:
    mode = {} if live is None else {"livemode": "true" if live else "false"}
    return ({"account": account} if account else {}) | mode


def _which_of(notice: Mapping[str, Any]) -> dict[str, str]:
    return _which(notice["account"] or "", live=notice["livemode"])


def _listed(gateway: Connection, filters: Mapping[str, str], limit: int | None) -> Iterator[Mapping[str, Any]]:
    cursor: str | None = ""
    while cursor is not None and (limit is None or limit > 0):
        asked: dict[str, str | int] = {**filters, "limit": min(limit or _PAGE, _PAGE)}
        page = gateway.get("/notices", asked | ({"cursor": cursor} if cursor else {}))
        yield from page["notices"][:limit]
        limit = limit - len(page["notices"]) if limit is not None else None
        cursor = page["next_cursor"]
