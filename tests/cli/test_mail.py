import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mail.test_letters import FAILED, RECEIPT, WRITER

from counterfoil.domain.effects import Occasion
from counterfoil.roles.mailbox.box import FOLDER, Box
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A home in which the mailbox has a receipt, and behind it a notice."""
    ids = TimeOrderedIds(SystemClock())
    box = Box(tmp_path / "home" / FOLDER)
    occasions: tuple[Occasion, ...] = (RECEIPT, FAILED)
    for occasion, letter_id in zip(occasions, sorted(ids.new() for _ in occasions), strict=True):
        box.keep(WRITER.letter(occasion).content, letter_id)
    return {"COUNTERFOIL_HOME": str(tmp_path / "home")}


def test_letters_are_listed_and_shown_in_a_terminal(counterfoil: Command, settings: dict[str, str]) -> None:
    """The latest first; `show` takes the id that the list has, else shows the latest."""
    listed = counterfoil("mail", "list", settings=settings)
    assert listed.returncode == 0
    assert [line.rstrip().split(maxsplit=4)[3:] for line in listed.stdout.splitlines()[1:]] == [
        ["kim@customer.example", "Your payment for order order-1 did not go through"],
        ["kim@customer.example", "Receipt for order order-1: 19.99 EUR"],
    ]
    latest = counterfoil("mail", "show", settings=settings).stdout
    assert "https://pay.example/try-again/01900000-0000-7000-8000-000000000001\n" in latest
    receipt = listed.stdout.splitlines()[2].split()[2]
    shown = counterfoil("mail", "show", receipt, settings=settings).stdout
    assert "  2 × mug\n  1 × tea\n" in shown
    assert "<html" not in shown
    assert "<html" in counterfoil("mail", "show", receipt, "--source", settings=settings).stdout


def test_another_program_reads_them_as_json(counterfoil: Command, settings: dict[str, str]) -> None:
    """What the list and a letter hold."""
    listed = json.loads(counterfoil("mail", "list", "--json", "--limit", "1", settings=settings).stdout)
    assert [(one["to"], one["language"]) for one in listed] == [("kim@customer.example", "en")]
    shown = json.loads(counterfoil("mail", "show", listed[0]["id"], "--json", settings=settings).stdout)
    assert shown["text"].startswith("Your payment of 19.99 EUR for order order-1 did not go through.")
    assert shown["html"].startswith("<!DOCTYPE html>")


def test_an_empty_mailbox_is_said(counterfoil: Command) -> None:
    """A list of nothing is no error; a letter that is not there is (exit 1), and what is no id is usage (exit 2)."""
    assert counterfoil("mail", "list").stdout.startswith("No letters yet")
    done = counterfoil("mail", "show")
    assert (done.returncode, done.stderr) == (1, "counterfoil: there are no letters yet\n")
    assert counterfoil("mail", "show", str(RECEIPT.payment_id)).returncode == 1
    assert counterfoil("mail", "show", "../../etc/passwd").returncode == 2
