"""Stripe's own SDK for Node, unchanged, against the sandbox."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stripe_sandbox.sandbox import Sandbox

NPM = shutil.which("npm")
NODE = shutil.which("node")
PROOF = Path(__file__).parent / "node"

pytestmark = pytest.mark.skipif(NPM is None or NODE is None, reason="npm or node is not installed")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scenarios and the SDK beside them, as the lock file names it."""
    folder = tmp_path_factory.mktemp("node")
    for file in PROOF.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    assert NPM is not None
    command = [NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=240)
    return folder


@pytest.mark.parametrize(
    ("scenario", "seen"),
    [
        ("pays", ["succeeded", 1999, "7", "4242"]),
        ("declines", [True, 402, "card_declined", "insufficient_funds", "requires_payment_method"]),
        ("authenticates", ["requires_action", "https://shop.example", "succeeded", "succeeded"]),
        ("replays", [True, "true", 1, True]),
        ("survives", ["succeeded", 1]),
        ("pages", [True, 3, True]),
        ("hears", ["payment_intent.succeeded", "2024-06-20", 1999, True]),
    ],
)
async def test_the_sdk_for_node_does_not_notice(installed: Path, scenario: str, seen: list[Any]) -> None:
    """It pays, is declined, authenticates, replays, survives lost answers, pages, and verifies what it hears."""
    assert NODE is not None
    async with Sandbox().serve() as server:
        process = await asyncio.create_subprocess_exec(
            NODE,
            "proof.mjs",
            server.url,
            scenario,
            cwd=installed,
            env={"PATH": os.defpath},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, errors = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, errors.decode()) == (0, "")
    assert seen == json.loads(said)


def test_the_lock_names_no_registry() -> None:
    """Whoever installs says where from; what is installed is fixed by its hash."""
    packages = json.loads((PROOF / "package-lock.json").read_text())["packages"]
    locked = {name: package for name, package in packages.items() if name}

    assert [name for name, package in locked.items() if "resolved" in package or "integrity" not in package] == []
    assert locked["node_modules/stripe"]["version"] == "16.12.0"
