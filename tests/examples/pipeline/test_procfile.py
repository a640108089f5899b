"""Processes are started as the Procfile at the root has them."""

import sys
from pathlib import Path

import pytest

from counterfoil.config import Role
from examples.pipeline import procfile
from examples.pipeline.running import PROCFILE


def test_the_procfile_has_the_shop_and_every_role() -> None:
    """In the order in which a payment passes through them, each started by its own name."""
    commands = procfile.read(PROCFILE.read_text("utf-8"))
    assert list(commands) == ["shop", "outbox-publisher", "dispatcher", "gateway", "webhook-receiver", "worker"]
    roles = {name: command[1:] for name, command in commands.items() if name != "shop"}
    assert roles == {role.value: ("run", role.value) for role in Role}


def test_programs_of_our_own_environment_are_found_there() -> None:
    """Whatever PATH says, `counterfoil` is the one beside this Python; other programs are looked for as ever."""
    commands = procfile.read("a: counterfoil run worker\nb: no-such-program 'two words'\n")
    beside = str(Path(sys.executable).parent / "counterfoil")
    assert commands == {"a": (beside, "run", "worker"), "b": ("no-such-program", "two words")}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("web counterfoil", "the Procfile has no `name: command` in line 1"),
        ("web:", "the Procfile has no `name: command` in line 1"),
        ("# a comment\n\nweb: one\nweb: two", "the Procfile names web a second time in line 4"),
        ("web: 'open", "the Procfile cannot be read in line 1: No closing quotation"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str, why: str) -> None:
    """Nothing is started then."""
    with pytest.raises(procfile.UnfitProcfileError, match=f"^{why}$"):
        procfile.read(text)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (["shop", "worker", "extra"], "the Procfile names extra, which nothing here starts: shop, worker"),
        (["worker"], "the Procfile has no line for shop"),
    ],
)
def test_what_the_pipeline_does_not_start_is_named(found: list[str], why: str) -> None:
    """Nobody waits for a process that is in the file and never runs, nor does the pipeline run without one."""
    with pytest.raises(procfile.UnfitProcfileError, match=f"^{why}$"):
        procfile.demand(found, ["shop", "worker"])
    procfile.demand(["worker", "shop"], ["shop", "worker"])
