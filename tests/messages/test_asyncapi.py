"""The AsyncAPI document, read by AsyncAPI's own parser."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from counterfoil.messages.asyncapi import document
from counterfoil.messages.topics import TOPICS, spoken

NPM = shutil.which("npm")
NODE = shutil.which("node")
PROOF = Path(__file__).parent / "node"

pytestmark = pytest.mark.skipif(NPM is None or NODE is None, reason="npm or node is not installed")


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the parser as the lock file names it."""
    assert NPM is not None
    folder = tmp_path_factory.mktemp("asyncapi")
    for file in PROOF.iterdir():
        shutil.copy(file, folder)
    command = [NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=240)
    return folder


def parsed(parser: Path, what: dict[str, Any]) -> dict[str, Any]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "proof.mjs"],
        cwd=parser,
        env={"PATH": os.defpath},
        input=json.dumps(what).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_official_parser_reads_every_topic_and_message(parser: Path) -> None:
    """Nothing is wrong with the document, and nothing is missing from it."""
    found = parsed(parser, document("0.1.0"))
    assert found["wrong"] == []
    assert found["channels"] == [topic.name for topic in TOPICS]
    assert sorted(set(found["messages"])) == sorted({message.name for _, message in spoken()})


def test_the_parser_sees_what_is_wrong(parser: Path) -> None:
    """A message that no channel has a name for is found: the test above can fail."""
    broken = document("0.1.0")
    broken["operations"]["say_refunds_requested"]["messages"] = [{"$ref": "#/components/messages/Nobody"}]
    assert parsed(parser, broken)["wrong"] != []
