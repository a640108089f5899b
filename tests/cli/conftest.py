import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def counterfoil(tmp_path: Path) -> Command:
    """Run the command line as a process of its own, in an empty folder and with only these settings."""

    def run(*arguments: str | bytes, settings: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "counterfoil", *arguments],
            cwd=tmp_path,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **(settings or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
