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
        ("web counterfoil", "line 1 of the Procfile is not `name: command`"),
        ("web:", "line 1 of the Procfile is not `name: command`"),
        ("# a comment\n\nweb: one\nweb: two", "line 4 of the Procfile names web a second time"),
        ("web: 'open", "line 1 of the Procfile: No closing quotation"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str, why: str) -> None:
    """Nothing is started then."""
    with pytest.raises(procfile.UnreadableProcfileError, match=f"^{why}$"):
        procfile.read(text)
