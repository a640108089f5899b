"""The AsyncAPI document, read by AsyncAPI's own parser."""

from pathlib import Path

import pytest
from tests.node import installed, needs_node, said

from counterfoil.messages.asyncapi import document
from counterfoil.messages.topics import TOPICS, spoken

PROOF = Path(__file__).parent / "node"

pytestmark = needs_node


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the parser as the lock file names it."""
    return installed(PROOF, tmp_path_factory.mktemp("asyncapi"))


def test_the_official_parser_reads_every_topic_and_message(parser: Path) -> None:
    """Nothing is wrong with the document, and nothing is missing from it."""
    found = said(parser, document("0.1.0"))
    assert found["wrong"] == []
    assert found["channels"] == [topic.name for topic in TOPICS]
    assert sorted(set(found["messages"])) == sorted({message.name for _, message in spoken()})


def test_the_parser_sees_what_is_wrong(parser: Path) -> None:
    """A message that no channel has a name for is found: the test above can fail."""
    broken = document("0.1.0")
    broken["operations"]["say_refunds_requested"]["messages"] = [{"$ref": "#/components/messages/Nobody"}]
    assert said(parser, broken)["wrong"] != []
