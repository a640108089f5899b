"""`counterfoil dlq`: messages that could not be worked on, and what a person decides on them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli import terminal
from counterfoil.cli.exits import CommandFailed, WrongUsage
from counterfoil.cli.topics import kafka_config
from counterfoil.config import load_from_process

if TYPE_CHECKING:
    from counterfoil.bus.letters import Letter

dlq = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, replay and drop dead letters, at KAFKA_BROKERS."
)

_Ids = Annotated[list[str] | None, typer.Argument(help="As `dlq list` has them.")]
_All = Annotated[bool, typer.Option("--all", help="All that wait, instead of naming them.")]
_Reason = Annotated[str, typer.Option(help="Only those that died for this reason.")]
_AsJson = Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")]


@dlq.command("list")
def list_letters(*, reason: _Reason = "", as_json: _AsJson = False) -> None:
    """List what waits for a person: why it died, and where it came from. What it says is not shown."""
    import asyncio

    from counterfoil.bus import letters

    found = asyncio.run(letters.waiting(kafka_config(load_from_process(None))))
    shown = [_shown(one) for one in found if reason in ("", one.told("reason"))]
    if as_json:
        terminal.print_json(shown)
        return
    if not shown:
        terminal.console().print("No dead letter waits.", style="dim")
        return
    columns = ["since", "id", "key", "reason", "attempts", "error"]
    terminal.print_table(columns, [[str(one[name]) for name in columns] for one in shown], unbroken=("id",))


@dlq.command()
def replay(ids: _Ids = None, *, everything: _All = False, reason: _Reason = "", as_json: _AsJson = False) -> None:
    """Put messages back on their topics, as they came. One that fails again is a dead letter again."""
    import asyncio

    from counterfoil.bus import letters

    _refuse_unclear(ids, everything=everything)
    config = kafka_config(load_from_process(None))
    chosen = _chosen(asyncio.run(letters.waiting(config)), ids, reason, everything=everything)
    empty = [one.id for one in chosen if one.message.value is None]
    if empty:
        raise CommandFailed(f"{empty[0]} does not have what it said: let its sender send it anew, and drop this")
    back = asyncio.run(letters.send_back(config, chosen))
    _settle(config, back)
    _tell("replayed", back, chosen, as_json=as_json)
    if len(back) < len(chosen):
        raise CommandFailed(f"{len(chosen) - len(back)} are not known to be there: replay them again")


@dlq.command()
def drop(ids: _Ids = None, *, everything: _All = False, reason: _Reason = "", as_json: _AsJson = False) -> None:
    """Let them be: nobody works on them any more. They stay on their topic until that forgets them."""
    import asyncio

    from counterfoil.bus import letters

    _refuse_unclear(ids, everything=everything)
    config = kafka_config(load_from_process(None))
    chosen = _chosen(asyncio.run(letters.waiting(config)), ids, reason, everything=everything)
    _settle(config, chosen)
    _tell("dropped", chosen, chosen, as_json=as_json)


def _settle(config: dict[str, Any], chosen: list["Letter"]) -> None:
    import asyncio

    from counterfoil.bus import letters

    try:
        asyncio.run(letters.settle(config, chosen))
    except letters.TooScattered:
        raise CommandFailed("too many letters lie between those decided on: decide on the oldest first") from None


def _refuse_unclear(ids: list[str] | None, *, everything: bool) -> None:
    if bool(ids) == everything:
        raise WrongUsage("name letters, as `counterfoil dlq list` has them, or say --all")


def _chosen(found: list["Letter"], ids: list[str] | None, reason: str, *, everything: bool) -> list["Letter"]:
    if everything:
        return [one for one in found if reason in ("", one.told("reason"))]
    by_id = {one.id: one for one in found}
    wanted = dict.fromkeys(ids or ())
    if missing := [one for one in wanted if one not in by_id]:
        raise CommandFailed(f"no dead letter {missing[0]} waits")
    return [by_id[one] for one in wanted]


def _tell(what: str, letters: list["Letter"], chosen: list["Letter"], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json({what: [one.id for one in letters]})
        return
    for one in letters:
        typer.echo(f"{what} {one.id}")
    if not chosen:
        typer.echo(f"nothing is {what}: no such letter waits")


def _shown(letter: "Letter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "since": letter.since.isoformat(timespec="seconds"),
        "key": (letter.message.key or b"").decode(errors="replace"),
        "reason": letter.told("reason"),
        "error": letter.told("error"),
        "attempts": int(letter.told("attempts") or 0),
        "origin": ":".join(filter(None, (letter.told(name) for name in ("topic", "partition", "offset")))),
    }
