"""A Procfile: the processes of an application, a name and a command each. The format is Heroku's."""

import re
import shlex
import sys
from pathlib import Path
from typing import Final

_LINE: Final = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


class UnreadableProcfileError(ValueError):
    """A line is not ``name: command``, or two have one name; the sentence names the line."""


def read(text: str) -> dict[str, tuple[str, ...]]:
    """Return the command of each process, in the order of the file; empty lines and comments are left out.

    No shell reads the commands: a word is a word, and nothing in it is replaced.

    Raises:
        UnreadableProcfileError: as it says.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UnreadableProcfileError(f"line {number} of the Procfile is not `name: command`")
        if match["name"] in found:
            raise UnreadableProcfileError(f"line {number} of the Procfile names {match['name']} a second time")
        found[match["name"]] = _command(match["command"], number)
    return found


def _command(text: str, number: int) -> tuple[str, ...]:
    """Return the words of a command; programs of our own environment are found there, whatever PATH says."""
    try:
        program, *words = shlex.split(text)
    except ValueError as why:
        raise UnreadableProcfileError(f"line {number} of the Procfile: {why}") from None
    beside = Path(sys.executable).parent / program
    return (str(beside) if beside.exists() else program, *words)
