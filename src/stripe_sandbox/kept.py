"""Entries by key that know which of them changed since they were last written down."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

V = TypeVar("V")


class Container(Protocol):
    """Part of what the sandbox holds, as a file of state sees it."""

    def changes(self) -> list[tuple[str, str | None]]:
        """What changed since `written`: each key with its value in JSON, or nothing where it is gone."""

    def written(self) -> None:
        """Says that the changes have been written down."""

    def restore(self, key: str, value: Any) -> None:
        """Puts back what was written down; in the order in which keys first came."""


def _as_it_is(value: Any) -> Any:
    return value


class Kept(Generic[V]):
    """A mapping whose values can be written down.

    Args:
        write: makes JSON of a value; the value is JSON already unless given.
        read: makes a value of that.
    """

    __slots__ = ("_changed", "_entries", "_read", "_write")

    def __init__(self, write: Callable[[V], Any] = _as_it_is, read: Callable[[Any], V] = _as_it_is) -> None:
        self._write = write
        self._read = read
        self._entries: dict[str, V] = {}
        self._changed: dict[str, None] = {}

    def __getitem__(self, key: str) -> V:
        return self._entries[key]

    def __setitem__(self, key: str, value: V) -> None:
        self._entries[key] = value
        self._changed[key] = None

    def __delitem__(self, key: str) -> None:
        del self._entries[key]
        self._changed[key] = None

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """The value, or nothing."""
        return self._entries.get(key)

    def pop(self, key: str) -> V | None:
        """Takes an entry out and gives its value, if it is there."""
        if key not in self._entries:
            return None
        self._changed[key] = None
        return self._entries.pop(key)

    def values(self) -> Iterable[V]:
        """The values, oldest first."""
        return self._entries.values()

    def items(self) -> Iterable[tuple[str, V]]:
        """Keys and values, oldest first."""
        return self._entries.items()

    def clear(self) -> None:
        """Forgets everything."""
        self._changed |= dict.fromkeys(self._entries)
        self._entries.clear()

    def changes(self) -> list[tuple[str, str | None]]:
        """See `Container`."""
        return [
            (key, json.dumps(self._write(self._entries[key])) if key in self._entries else None)
            for key in self._changed
        ]

    def written(self) -> None:
        """See `Container`."""
        self._changed.clear()

    def restore(self, key: str, value: Any) -> None:
        """See `Container`."""
        self._entries[key] = self._read(value)
