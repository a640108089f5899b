"""Programs of others for Node, as their lock files name them: what `npm ci` installs, and what they say."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NPM = shutil.which("npm")
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NPM is None or NODE is None, reason="npm or node is not installed")


def installed(proof: Path, folder: Path) -> Path:
    """Install into a folder what the lock file in ``proof`` names, beside the program there; return the folder."""
    assert NPM is not None
    for file in proof.iterdir():
        shutil.copy(file, folder)
    command = [NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=240)
    return folder


def said(folder: Path, what: dict[str, Any]) -> dict[str, Any]:
    """Return what the program in a folder makes of something."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, "proof.mjs"],
        cwd=folder,
        env={"PATH": os.defpath},
        input=json.dumps(what).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
