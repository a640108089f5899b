from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_sandbox.errors import InvalidError
from stripe_sandbox.form import Raw, decode


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a=1&a=2", {"a": "2"}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a[]=x&a[]=y", {"a": {"0": "x", "1": "y"}}),
        ("a[1]=y&a[0]=x", {"a": {"1": "y", "0": "x"}}),
        ("a%5Bb%5D=c+d%26e", {"a": {"b": "c d&e"}}),
        ("a[b=1", {"a[b": "1"}),
        ("metadata[a.b c]=1", {"metadata": {"a.b c": "1"}}),
    ],
)
def test_names_nest(text: str, decoded: dict[str, Raw]) -> None:
    """Every way in which Stripe's clients write hashes and lists."""
    assert decoded == decode(text)


@pytest.mark.parametrize(
    "text",
    ["a=1&a[b]=2", "a[b]=2&a=1", "a[b]=1&a[b][c]=2", "a=%ff", "a" + "[b]" * 10 + "=1", "&".join(["a=1"] * 1001)],
)
def test_what_has_no_meaning_is_refused(text: str) -> None:
    """A name that is value and hash at once, bytes that are no text, and sizes that nobody means."""
    with pytest.raises(InvalidError):
        decode(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No form makes the decoder fail in another way."""
    with suppress(InvalidError):
        decode(text)
