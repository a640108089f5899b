"""What the page on Step Functions tells people to type is typed here, at an AWS of the test's own."""

import re
import sys
from pathlib import Path

import pytest
from tests.acceptance.test_pages import ROOT, Block, blocks_of, shell_of, wrong_steps
from tests.aws import server

PAGE = "docs/step-functions.md"


def all_blocks() -> list[Block]:
    return blocks_of(PAGE, (ROOT / PAGE).read_text("utf-8"))


def test_every_block_says_what_becomes_of_it() -> None:
    """A block without a mark would be shown to people and seen by no test."""
    assert [block.title for block in all_blocks() if not re.fullmatch(r"run|not run: .+", block.mark)] == []


def test_what_the_page_shows_is_what_comes(environment: dict[str, str], tmp_path: Path) -> None:
    """Typed in order into one shell, each command ends well and prints the lines shown."""
    run = [block for block in all_blocks() if block.mark == "run"]
    with server(tmp_path) as aws:
        path = f"{Path(sys.executable).parent}:{environment['PATH']}"
        with shell_of({**environment, **aws.settings, "PATH": path}) as shell:
            assert wrong_steps(run, shell) == []


@pytest.mark.parametrize(
    "block", [one for one in all_blocks() if one.mark.startswith("not run: ")], ids=lambda block: block.title
)
def test_what_is_not_run_has_its_reason(block: Block) -> None:
    """The list of blocks that nothing here proves, in the summary of every run."""
    pytest.skip(reason=f"{block.title}: {block.mark.removeprefix('not run: ')}")
