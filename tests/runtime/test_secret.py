import copy
import json
import traceback

import pytest

from counterfoil.runtime.secret import Secret

TEXT = "sk_test_51NotARealKey"


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(TEXT)),
        repr(Secret(TEXT)),
        f"{Secret(TEXT)}",
        f"{Secret(TEXT)!r:>40}",
        "%s %r" % (Secret(TEXT), Secret(TEXT)),  # noqa: UP031  the old way of formatting is what is tested
        repr([Secret(TEXT)]),
        repr({"key": copy.deepcopy(Secret(TEXT))}),
    ],
)
def test_pitfall_29_no_way_of_printing_shows_the_text(shown: str) -> None:
    """A secret that reaches a log line or an error message by accident shows nothing of itself."""
    assert (TEXT in shown, "51Not" in shown) == (False, False)


def test_json_does_not_take_it() -> None:
    """A secret put into a JSON body by accident fails there instead of leaving the process."""
    with pytest.raises(TypeError):
        json.dumps({"key": Secret(TEXT)})


def test_reveal_gives_the_text() -> None:
    """The one place that sends the secret gets it unchanged."""
    assert Secret(TEXT).reveal() == TEXT


def test_equal_texts_are_equal_secrets() -> None:
    """Two settings with the same secret compare equal, so that frozen settings can be compared."""
    assert (Secret("a") == Secret("a"), Secret("a") == Secret("b"), Secret("a") == "a") == (True, False, False)
    assert hash(Secret("a")) == hash(Secret("a"))


def test_a_traceback_through_it_shows_nothing() -> None:
    """An exception that carries the secret among its arguments prints without it."""
    shown = "".join(traceback.format_exception(ValueError("bad", Secret(TEXT))))
    assert TEXT not in shown
