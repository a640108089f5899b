"""JSON that somebody sends to `/_sandbox`, read field by field; what is wrong is told in a sentence that helps."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias


class UnusableError(Exception):
    """What was sent cannot be used; the message says what to send instead."""


Reader: TypeAlias = Callable[[str, Any], Any]
"""Takes a field's name and value and gives the value, or raises `UnusableError`."""

LONGEST_TEXT: Final = 1000


def decoded(body: bytes) -> Any:
    """The JSON in a body; nothing at all is an empty object.

    Raises:
        UnusableError: it is not JSON.
    """
    try:
        return json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise UnusableError("Send JSON.") from error


def read(sent: Any, fields: Mapping[str, Reader]) -> dict[str, Any]:
    """The fields of an object that were sent, each read by its reader.

    Raises:
        UnusableError: it is no object, or a field is unknown or not of its kind.
    """
    if not isinstance(sent, dict):
        raise UnusableError("Send a JSON object.")
    unknown = [name for name in sent if name not in fields]
    if unknown:
        raise UnusableError(f"There is no field {unknown[0]!r} here; there are {', '.join(fields)}.")
    return {name: fields[name](name, value) for name, value in sent.items()}


def text(name: str, value: Any) -> str:
    """Some characters."""
    if not isinstance(value, str) or not value or len(value) > LONGEST_TEXT:
        raise UnusableError(f"{name} is a text of 1 to {LONGEST_TEXT} characters.")
    return value


def flag(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise UnusableError(f"{name} is true or false.")
    return value


def whole(least: int, most: int) -> Reader:
    """A whole number between two bounds, both inclusive."""

    def reader(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise UnusableError(f"{name} is a whole number from {least} to {most}.")
        return value

    return reader


def number(least: float, most: float) -> Reader:
    """A number between two bounds, both inclusive."""

    def reader(name: str, value: Any) -> float:
        fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not fine or not least <= value <= most:
            raise UnusableError(f"{name} must be between {least:g} and {most:g}.")
        return float(value)

    return reader


def choice(*words: str | int) -> Reader:
    """One of a few words or numbers."""

    def reader(name: str, value: Any) -> Any:
        if isinstance(value, bool) or value not in words:
            raise UnusableError(f"{name} is one of {', '.join(map(str, words))}.")
        return value

    return reader


def optional(reader: Reader) -> Reader:
    """The same, or null."""
    return lambda name, value: None if value is None else reader(name, value)
