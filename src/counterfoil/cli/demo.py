"""`counterfoil demo`: five payments from end to end on this machine, and both sides compared afterwards."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from counterfoil.cli.exits import ExitCode
from counterfoil.cli.up import Home, PortBase

if TYPE_CHECKING:
    from counterfoil.cli.installation import Installation


def demo(*, port_base: PortBase = None, home: Home = "") -> None:
    """Take five payments on this machine and show every step.

    One succeeds, one is declined, one waits for the customer's approval, one for a bank, and of one the answer is
    lost. Everything that this needs is started, and stopped again. At the end our record is compared with what the
    sandbox holds: exit 0 only if both sides agree, and what was sent twice was charged once.
    """
    import asyncio

    code = asyncio.run(_played(Path(home).absolute() if home else None, port_base))
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


async def _played(home: Path | None, port_base: int | None) -> ExitCode:
    from counterfoil.cli.fresh_home import shown_installation

    title = "Counterfoil: five payments, from the order to the record of it"
    async with shown_installation(home, port_base, "demo", title) as here:
        found = await _told(here)
    return ExitCode.REFUSED if found else ExitCode.DONE


async def _told(here: "Installation") -> list[str]:
    """Take the payments, telling each, then show what became of them; return what does not agree."""
    from counterfoil.cli import ending
    from counterfoil.cli.acts import ACTS, Stage
    from counterfoil.cli.sides import BothSides
    from counterfoil.cli.story import Story
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.runtime.ids import TimeOrderedIds

    clock = SystemClock()
    async with BothSides(here, clock) as sides:
        stage = Stage(sides, Story(sides, clock), clock, TimeOrderedIds(clock))
        played = []
        for number, act in enumerate(ACTS, start=1):
            stage.story.begin(f"{number}  {act.title}", act.money)
            played.append((act, await act.play(stage, act)))
            stage.story.end()
        return await ending.shown(sides, here.database_url, played)
