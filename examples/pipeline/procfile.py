"""A Procfile: the processes of an application, a name and a command each. The format is Heroku's."""

import re
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

from counterfoil.domain.errors import Misconfigured

_LINE: Final = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


class UnfitProcfileError(Misconfigured):
    """A line is not ``name: command``, two have one name, or the processes are not those there are; it says which."""

    def __init__(self, why: str) -> None:
        super().__init__("the Procfile", why)


def read(text: str) -> dict[str, tuple[str, ...]]:
    """Return the command of each process, in the order of the file; empty lines and comments are left out.

    No shell reads the commands: a word is a word, and nothing in it is replaced.

    Raises:
        UnfitProcfileError: as it says.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UnfitProcfileError(f"has no `name: command` in line {number}")
        if match["name"] in found:
            raise UnfitProcfileError(f"names {match['name']} a second time in line {number}")
        found[match["name"]] = _command(match["command"], number)
    return found


def demand(found: Collection[str], wanted: Collection[str]) -> None:
    """See that a Procfile names these processes and no others: one that nobody starts would be missed by nobody.

    Raises:
        UnfitProcfileError: as it says.
    """
    if more := [name for name in found if name not in wanted]:
        raise UnfitProcfileError(f"names {more[0]}, which nothing here starts: {', '.join(wanted)}")
    if lacking := [name for name in wanted if name not in found]:
        raise UnfitProcfileError(f"has no line for {lacking[0]}")


def _command(text: str, number: int) -> tuple[str, ...]:
    """Return the words of a command; programs of our own environment are found there, whatever PATH says."""
    try:
        program, *words = shlex.split(text)
    except ValueError as why:
        raise UnfitProcfileError(f"cannot be read in line {number}: {why}") from None
    beside = Path(sys.executable).parent / program
    return (str(beside) if beside.exists() else program, *words)
