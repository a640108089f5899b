"""What the tidy tests look at: every file that is, or is about to be, in the repository."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tree() -> Mapping[str, str]:
    """Give the text of each file by its path from the root.

    A check takes such a mapping, so that an offence is planted by handing it another one.
    """
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607  git is a requirement
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = [path for path in listing.stdout.split("\0") if path and (ROOT / path).is_file()]
    return {path: (ROOT / path).read_text() for path in sorted(paths)}
