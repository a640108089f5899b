"""`counterfoil events`: the facts of all payments, in the one order that every reader sees."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli import terminal
from counterfoil.cli.connection import Connection, gateway_of
from counterfoil.cli.event_stream import streamed_events
from counterfoil.cli.exits import Unreachable
from counterfoil.config import load_from_process

if TYPE_CHECKING:
    from rich.console import Console

_PAGE = 500
_RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits between the tries to resume a stream; the last one repeats. Short at first: most breaks are a restart."""

_SAID_APART = frozenset({"payment_id", "event_id", "amount", "currency"})


def events(
    *,
    after: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Only events after this position.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new events until interrupted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for another program.")] = False,
) -> None:
    """Print the facts of all payments in their one order."""
    with Connection(gateway_of(load_from_process(None))) as gateway:
        source = _followed(gateway, after) if follow else _read(gateway, after)
        if as_json:
            for event in source:
                terminal.print_json(event)
            return
        screen = terminal.console()
        for event in source:
            _print_event(screen, event)


def _read(gateway: Connection, after: int) -> Iterator[Mapping[str, Any]]:
    while True:
        page = gateway.get("/events", {"after": after, "limit": _PAGE})
        yield from page["events"]
        if not page["events"]:
            return
        after = page["next"]


def _followed(gateway: Connection, after: int) -> Iterator[Mapping[str, Any]]:
    """Yield events as they come, resuming behind the last one seen whenever the connection breaks.

    Raises Unreachable only where the very first connection fails: from then on a person is waiting for the gateway.
    """
    from time import sleep

    import httpx

    connected = False
    tries = 0
    while True:
        try:
            with gateway.streamed("/events", {"after": after}) as response:
                connected = True
                for streamed in streamed_events(response.iter_bytes()):
                    tries = 0
                    event = json.loads(streamed.data)
                    if event["position"] > after:
                        after = event["position"]
                        yield event
        except httpx.ReadTimeout:
            continue
        except (httpx.TransportError, Unreachable) as broken:
            if not connected:
                raise broken if isinstance(broken, Unreachable) else gateway.unreachable() from None
        typer.echo(f"the stream ended; resuming after position {after}", err=True)
        sleep(_RECONNECT_SECONDS[min(tries, len(_RECONNECT_SECONDS) - 1)])
        tries += 1


def _print_event(screen: "Console", event: Mapping[str, Any]) -> None:
    from rich.text import Text

    from counterfoil.cli import payment_text

    said = event["data"]
    rest = {name: value for name, value in said.items() if name not in _SAID_APART and not name.endswith("_at")}
    screen.print(
        Text.assemble(
            (f"{event['position']:>6}", "dim"),
            f"  {payment_text.time_of_day(event['time'])}  ",
            (f"{event['type']:<22}", "bold"),
            f"  {event['payment_id']} #{event['sequence']}  ",
            f"{payment_text.money(said)}  " if "amount" in said else "",
            (payment_text.details(rest), "dim"),
        )
    )
