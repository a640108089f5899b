import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

COLUMNS = 80
PRINT = """
from rich.text import Text
from counterfoil.cli import terminal
terminal.print_hanging(Text("  12:00:00  ", "red"), "word " * 30)
terminal.print_table(["id", "why", "and"], [["i" * 36, "because " * 12, "also " * 20]], unbroken=["id"])
"""


def printed(**environment: str) -> str:
    """What a person sees whose terminal has 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    there = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"} | environment
    with subprocess.Popen([sys.executable, "-c", PRINT], env=there, stdin=theirs, stdout=theirs, stderr=theirs) as one:
        os.close(theirs)
        chunks = []
        while chunk := _read(ours):
            chunks.append(chunk)
        os.close(ours)
        assert one.wait(30) == 0
    return b"".join(chunks).decode().replace("\r\n", "\n")


def _read(end: int) -> bytes:
    try:
        return os.read(end, 65_536)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_what_is_too_long_goes_on_below_itself(term: str) -> None:
    """Within 80 columns every further line begins where the first one's text does, and an id stays in one piece."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed(TERM=term))
    lines = [line.rstrip() for line in plain.splitlines()]
    assert lines[:3] == [
        "  12:00:00  " + "word " * 12 + "word",
        " " * 12 + "word " * 12 + "word",
        " " * 12 + "word word word word",
    ]
    assert max(map(len, lines)) <= COLUMNS
    assert any("i" * 36 in line for line in lines)


def test_there_is_colour_only_where_it_is_wanted() -> None:
    """A terminal gets it; one whose owner set NO_COLOR gets none, and a dumb one no control sequence at all."""
    red = "\x1b[31m"
    assert red in printed()
    assert red not in printed(NO_COLOR="1")
    assert "\x1b" not in printed(TERM="dumb")
