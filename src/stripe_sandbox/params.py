"""What a request's parameters may be, and Stripe's complaint about each that may not.

A `Kind` reads one raw value; `Shape` reads a hash of them. Only what was sent appears in what is read; an empty
string unsets a parameter that may be unset, and reads as `None`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from stripe_sandbox.errors import InvalidError
from stripe_sandbox.form import Raw

LARGEST_INTEGER: Final = 2**63 - 1

METADATA_KEYS: Final = 50
METADATA_KEY_LENGTH: Final = 40
METADATA_VALUE_LENGTH: Final = 500
"""https://docs.stripe.com/api/metadata."""

INTEGER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Kind(Protocol):
    """How one parameter is read."""

    def read(self, raw: Raw, name: str) -> Any:
        """The value, or `InvalidError` with the parameter's name."""


def text_of(raw: Raw, name: str) -> str:
    """The raw value as text.

    Raises:
        InvalidError: it is a hash.
    """
    if isinstance(raw, str):
        return raw
    raise InvalidError("Invalid string: a hash was given where text belongs.", name)


def _empty(name: str) -> InvalidError:
    return InvalidError(
        f"You passed an empty string for '{name}'. An empty value unsets a parameter, and '{name}' cannot be unset: "
        "leave it out or give it a value.",
        name,
        "parameter_invalid_empty",
    )


@dataclass(frozen=True, slots=True)
class Text:
    """Characters, at most so many."""

    most: int = 5000
    unset: bool = False

    def read(self, raw: Raw, name: str) -> str | None:
        """The text itself."""
        value = text_of(raw, name)
        if not value:
            if self.unset:
                return None
            raise _empty(name)
        if len(value) > self.most:
            raise InvalidError(f"Invalid string: {value[:10]}…; must be at most {self.most} characters", name)
        return value


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number between two bounds, both inclusive."""

    least: int = -LARGEST_INTEGER
    most: int = LARGEST_INTEGER

    def read(self, raw: Raw, name: str) -> int:
        """The number."""
        value = text_of(raw, name)
        if not value:
            raise _empty(name)
        if INTEGER.fullmatch(value) is None:
            raise InvalidError(f"Invalid integer: {value[:40]}", name, "parameter_invalid_integer")
        number = int(value)
        if number < self.least:
            raise InvalidError(
                f"This value must be greater than or equal to {self.least}.", name, "parameter_invalid_integer"
            )
        if number > self.most:
            raise InvalidError(
                f"This value must be less than or equal to {self.most} (it currently is '{number}').",
                name,
                "parameter_invalid_integer",
            )
        return number


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`, in any case: Stripe's own Python SDK writes `True`."""

    def read(self, raw: Raw, name: str) -> bool:
        """The truth value."""
        value = text_of(raw, name).lower()
        if not value:
            raise _empty(name)
        if value not in {"true", "false"}:
            raise InvalidError(f"Invalid boolean: {value[:40]}", name)
        return value == "true"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    options: tuple[str, ...]
    unset: bool = False

    def read(self, raw: Raw, name: str) -> str | None:
        """The word."""
        value = text_of(raw, name)
        if not value:
            if self.unset:
                return None
            raise _empty(name)
        if value not in self.options:
            last = name.removesuffix("]").rpartition("[")[2]
            raise InvalidError(f"Invalid {last}: must be one of {_either(self.options)}", name)
        return value


def _either(options: tuple[str, ...]) -> str:
    if len(options) < 3:  # noqa: PLR2004 - "a or b"; from three on, commas
        return " or ".join(options)
    return f"{', '.join(options[:-1])}, or {options[-1]}"


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute address with scheme and host (apps send their own schemes as `return_url`)."""

    schemes: tuple[str, ...] = ()

    def read(self, raw: Raw, name: str) -> str:
        """The address."""
        value = text_of(raw, name)
        if not value:
            raise _empty(name)
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if not parts.scheme or not parts.netloc or (self.schemes and parts.scheme not in self.schemes):
            raise InvalidError("Not a valid URL", name, "url_invalid")
        return value


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail address, by its outward shape only."""

    unset: bool = False

    def read(self, raw: Raw, name: str) -> str | None:
        """The address."""
        value = text_of(raw, name)
        if not value:
            if self.unset:
                return None
            raise _empty(name)
        if EMAIL.fullmatch(value) is None:
            raise InvalidError(f"Invalid email address: {value[:80]}", name, "email_invalid")
        return value


@dataclass(frozen=True, slots=True)
class Items:
    """A list, sent as `name[]=…` or `name[0]=…`."""

    of: Kind
    unset: bool = False

    def read(self, raw: Raw, name: str) -> list[Any] | None:
        """The values in their order."""
        if isinstance(raw, str):
            if not raw and self.unset:
                return None
            raise InvalidError("Invalid array", name)
        if not all(place.isascii() and place.isdigit() for place in raw):
            raise InvalidError("Invalid array", name)
        return [self.of.read(raw[place], f"{name}[{place}]") for place in sorted(raw, key=int)]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Pairs of text; an empty value takes a key away, an empty hash all of them."""

    def read(self, raw: Raw, name: str) -> dict[str, str]:
        """The pairs as sent, empty values included; `merged` applies them."""
        if isinstance(raw, str):
            if raw:
                raise InvalidError("Invalid hash", name, "parameter_invalid_string_blank")
            return {"": ""}
        pairs: dict[str, str] = {}
        for key, value in raw.items():
            if len(key) > METADATA_KEY_LENGTH:
                raise InvalidError(
                    f"Metadata keys can have up to {METADATA_KEY_LENGTH} characters, and this one has {len(key)}: "
                    f"{key[:METADATA_KEY_LENGTH]}…",
                    name,
                )
            pairs[key] = text_of(value, f"{name}[{key}]")
            if len(pairs[key]) > METADATA_VALUE_LENGTH:
                raise InvalidError(
                    f"Metadata values can have up to {METADATA_VALUE_LENGTH} characters, and this one has "
                    f"{len(pairs[key])}.",
                    f"{name}[{key}]",
                )
        _few_enough(pairs, name)
        return pairs


def merged(before: Mapping[str, str], sent: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata after an update.

    Raises:
        InvalidError: more than fifty keys remain.
    """
    if sent is None:
        return dict(before)
    if "" in sent:
        return {}
    after = {key: value for key, value in {**before, **sent}.items() if value}
    _few_enough(after, "metadata")
    return after


def _few_enough(pairs: Mapping[str, str], name: str) -> None:
    if len(pairs) > METADATA_KEYS:
        raise InvalidError(f"Metadata can have up to {METADATA_KEYS} keys, and this would be {len(pairs)}.", name)


@dataclass(frozen=True, slots=True)
class NotCovered:
    """A parameter of Stripe's that the sandbox refuses rather than ignores."""

    def read(self, raw: Raw, name: str) -> None:
        """Always raises."""
        _ = raw
        raise InvalidError(
            f"Stripe knows '{name}', this sandbox does not yet.", name, "parameter_not_covered_by_sandbox"
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A hash of named parameters; any other name is refused."""

    fields: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    unset: bool = False

    def read(self, raw: Raw, name: str) -> dict[str, Any] | None:
        """The values that were sent, by name."""
        if isinstance(raw, str):
            if not raw and self.unset:
                return None
            raise InvalidError("Invalid object", name)
        unknown = [key for key in raw if key not in self.fields]
        if unknown:
            names = [_inner(name, key) for key in unknown]
            word = "parameter" if len(names) == 1 else "parameters"
            raise InvalidError(f"Received unknown {word}: {', '.join(names)}", names[0], "parameter_unknown")
        for key in self.required:
            if key not in raw:
                wanted = _inner(name, key)
                raise InvalidError(f"Missing required param: {wanted}.", wanted, "parameter_missing")
        return {key: self.fields[key].read(value, _inner(name, key)) for key, value in raw.items()}


def _inner(name: str, key: str) -> str:
    return f"{name}[{key}]" if name else key


@dataclass(frozen=True, slots=True)
class Either:
    """A hash in one form, text in another (`created=5` and `created[gte]=5`)."""

    text: Kind
    hash: Shape

    def read(self, raw: Raw, name: str) -> Any:
        """Whichever was sent."""
        return self.text.read(raw, name) if isinstance(raw, str) else self.hash.read(raw, name)


_MOMENT: Final = Integer()
CREATED: Final = Either(_MOMENT, Shape({"gt": _MOMENT, "gte": _MOMENT, "lt": _MOMENT, "lte": _MOMENT}))
EXPAND: Final = Items(Text())

PAGE: Final[dict[str, Kind]] = {
    "limit": Integer(1, 100),
    "starting_after": Text(),
    "ending_before": Text(),
}
"""What every list takes."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters of one operation; `expand` belongs to each."""

    fields: Mapping[str, Kind] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def read(self, raw: dict[str, Raw]) -> dict[str, Any]:
        """Everything that was sent.

        Raises:
            InvalidError: the first parameter that Stripe would not take.
        """
        values = Shape({**self.fields, "expand": EXPAND}, self.required).read(raw, "")
        assert values is not None
        return values
