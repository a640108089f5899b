import pytest

from counterfoil.cli.comparison import Sendings
from counterfoil.cli.ending import judged

ONCE = Sendings("k", ("x", "x"), ("ch_1",))
TWICE = Sendings("k", ("x", "x"), ("ch_1", "ch_2"))


def test_both_sides_agree(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing differs, what was sent again was charged once: it is said, and nothing is returned."""
    assert judged([], 5, {"5": ONCE}) == []
    assert capsys.readouterr().out.split("\n") == [
        "",
        "  Payment 5 was sent twice and charged once: the same bytes under the key k, ch_1.",
        "  Both sides agree on all 5 payments.",
        "",
    ]


def test_a_second_charge_is_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    """Even where both sides agree on it, what was sent again must not have been charged again."""
    sentence = "5: sent twice and charged twice: the same bytes under the key k, ch_1, ch_2"
    assert judged([], 5, {"5": TWICE}) == [sentence]
    assert capsys.readouterr().out == f"  differs  {sentence}\n\n"


def test_what_was_charged_once_is_said_beside_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    """A difference elsewhere hides nothing, and nobody is said to agree."""
    assert judged(["a: differs"], 5, {"5": ONCE}) == ["a: differs"]
    printed = capsys.readouterr().out
    assert "sent twice and charged once" in printed
    assert "agree" not in printed
