"""A home for an installation that is gone again with it: the demo's and the tour's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from counterfoil.cli import terminal


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
