"""A value that must never be seen: keys, signing secrets, tokens, addresses with a password in them."""

import hmac
import sys

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


class Secret:
    """Wraps a text so that printing, formatting or logging it by accident shows nothing.

    Only `reveal()` gives the text back; whoever calls it is easy to find. The length is not shown either: it
    tells a key of one kind from a key of another.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one line that hands it to the other side."""
        return self._text

    @override
    def __repr__(self) -> str:
        return "Secret(…)"

    @override
    def __str__(self) -> str:
        return "…"

    @override
    def __format__(self, _spec: str) -> str:
        return "…"

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    @override
    def __hash__(self) -> int:
        return hash(self._text)
