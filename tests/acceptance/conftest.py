import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.store import embedded

PORTS = 10


@pytest.fixture
def port_base() -> int:
    """The first of ten ports that nothing listens on, below those that the system hands out by itself."""
    for base in range(20_000 + os.getpid() % 1000 * 10, 32_000, PORTS):
        if all(is_free(port) for port in range(base, base + PORTS)):
            return base
    raise AssertionError("no ten ports in a row are free")


@pytest.fixture
def environment() -> dict[str, str]:
    """An environment with nothing of ours and next to nothing of anybody's."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for an installation, whose database is deleted afterwards wherever it had to be put."""
    folder = tmp_path / "home"
    yield folder
    embedded.remove(folder)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def command(*arguments: str) -> list[str]:
    """Return the command line as a process of its own would call it."""
    return [sys.executable, "-m", "counterfoil", *arguments]
