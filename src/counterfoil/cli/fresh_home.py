"""An installation that is shown, with a home that is gone again with it: the demo's and the tour's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil import config
from counterfoil.cli import terminal
from counterfoil.config import ROLES_OF_UP

if TYPE_CHECKING:
    from counterfoil.cli.installation import Installation


@asynccontextmanager
async def shown_installation(
    home: Path | None, port_base: int | None, name: str, title: str
) -> AsyncIterator["Installation"]:
    """Run an installation beside the sandbox for as long as the context lasts, and say so; ``name`` is the command's.

    It has a home of its own unless one is given. Raises as `installation`.
    """
    import asyncio

    from counterfoil.cli.installation import Plan, installation
    from counterfoil.cli.ports import Ports

    loop = asyncio.get_running_loop()
    started = loop.time()
    screen = terminal.console()
    async with kept_or_fresh(home, f"counterfoil-{name}-") as place:
        plan = Plan(
            settings=config.load({}, None),  # what is set for real payments is no business of what is shown
            home=place,
            ports=Ports.from_base(port_base) if port_base else Ports.free(),
            sandbox=True,
            say=lambda line: screen.print(f"  {line}", style="dim"),
        )
        screen.print(f"{title}\n", style="bold")
        async with installation(plan) as here:
            screen.print(f"  Ready after {loop.time() - started:.1f} s: {', '.join(ROLES_OF_UP)}.\n", style="dim")
            yield here
        screen.print(f"\n  Everything is stopped again, {loop.time() - started:.1f} s in all.", style="dim")


@asynccontextmanager
async def kept_or_fresh(home: Path | None, prefix: str) -> AsyncIterator[Path]:
    """Yield the given home, else a new folder, named so, that is gone afterwards unless something went wrong in it."""
    if home is not None:
        yield home
        return
    import tempfile

    fresh = Path(tempfile.mkdtemp(prefix=prefix))
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
