"""`counterfoil tour`: the whole life of money on this machine, told as it happens, and then the books of both sides."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from counterfoil.cli import terminal
from counterfoil.cli.exits import ExitCode
from counterfoil.cli.up import Home, PortBase


def tour(
    *,
    port_base: PortBase = None,
    home: Home = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary as JSON; what is told goes to standard error.")
    ] = False,
) -> None:
    """Show the whole life of money on this machine, scene after scene.

    Holds, cancelled orders, further tries, refunds, receipts, disputes, fraud screening, and Stripe's older API.
    Everything that this needs is started, and stopped again. At the end our books are compared with the sandbox's:
    exit 0 only if both agree and every scene ended as it was meant to.
    """
    import asyncio

    place = Path(home).absolute() if home else None
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        summary = asyncio.run(_toured(place, port_base))
    if as_json:
        terminal.print_json(summary)
    if not summary["agreed"]:
        raise typer.Exit(ExitCode.REFUSED)


async def _toured(home: Path | None, port_base: int | None) -> Mapping[str, Any]:
    from counterfoil.cli.fresh_home import shown_installation
    from counterfoil.cli.sides import BothSides
    from counterfoil.cli.story import Story
    from counterfoil.cli.tour import ending, playing
    from counterfoil.cli.tour.stage import Stage
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.runtime.ids import TimeOrderedIds

    title = "Counterfoil: the whole life of money, scene after scene"
    clock = SystemClock()
    async with (
        shown_installation(home, port_base, "tour", title) as here,
        BothSides(here, clock) as sides,
    ):
        stage = Stage(sides, Story(sides, clock), clock, TimeOrderedIds(clock), here.plan.home)
        scenes = await playing.played(here, stage)
        await stage.book_the_rest()
        return await ending.compared(sides, scenes)
