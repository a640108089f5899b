"""What the sandbox holds of one kind, newest first when listed.

An object is never changed in place: a change puts a new mapping. So an event's snapshot is the object itself, and
copies are never needed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Object: TypeAlias = Mapping[str, Any]
"""A Stripe object in its wire shape."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which page of a list is wanted."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page, newest first, and whether more follow in the direction asked for."""

    objects: list[Object]
    has_more: bool


class Records:
    """Objects by id, in the order they were made."""

    __slots__ = ("_changed", "_objects", "_order", "_places")

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._objects: dict[str, Object] = {}
        self._order: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._objects

    def __getitem__(self, identifier: str) -> Object:
        return self._objects[identifier]

    def __iter__(self) -> Iterator[Object]:
        return iter(self._objects.values())

    def get(self, identifier: str) -> Object | None:
        """The object as it is now, or nothing."""
        return self._objects.get(identifier)

    def put(self, record: Object) -> Object:
        """Keeps an object, new or changed, and gives it back."""
        identifier = record["id"]
        self._place(identifier)
        self._changed[identifier] = None
        self._objects[identifier] = record
        return record

    def remove(self, identifier: str) -> None:
        """Forgets an object; its place stays, so that cursors keep their meaning."""
        del self._objects[identifier]
        self._changed[identifier] = None

    def changes(self) -> list[tuple[str, str | None]]:
        """See `kept.Container`; a forgotten object is written down as null, for its place."""
        return [(identifier, json.dumps(self._objects.get(identifier))) for identifier in self._changed]

    def written(self) -> None:
        """See `kept.Container`."""
        self._changed.clear()

    def restore(self, key: str, value: Any) -> None:
        """See `kept.Container`."""
        self._place(key)
        if value is not None:
            self._objects[key] = value

    def _place(self, identifier: str) -> None:
        if identifier not in self._places:
            self._places[identifier] = len(self._order)
            self._order.append(identifier)

    def page(self, cursor: Cursor, wanted: Callable[[Object], bool]) -> Page:
        """A page of what is wanted.

        Raises:
            KeyError: the cursor names an id that was never here.
        """
        if cursor.ending_before is not None:
            found = self._collect(range(self._places[cursor.ending_before] + 1, len(self._order)), cursor.limit, wanted)
            return Page(found[: cursor.limit][::-1], len(found) > cursor.limit)
        newest = len(self._order) if cursor.starting_after is None else self._places[cursor.starting_after]
        found = self._collect(range(newest - 1, -1, -1), cursor.limit, wanted)
        return Page(found[: cursor.limit], len(found) > cursor.limit)

    def _collect(self, places: range, limit: int, wanted: Callable[[Object], bool]) -> list[Object]:
        found: list[Object] = []
        for place in places:
            record = self._objects.get(self._order[place])
            if record is not None and wanted(record):
                found.append(record)
                if len(found) > limit:  # one more than asked for answers `has_more`
                    break
        return found
