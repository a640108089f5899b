"""Form bodies and query strings with nested names, as every Stripe client writes them."""

import re
from collections.abc import MutableMapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from stripe_sandbox.errors import InvalidError

Raw: TypeAlias = "str | dict[str, Raw]"
"""A value as sent: text, or a hash. A list is a hash whose names are its places."""

DEPTH_LIMIT: Final = 10
"""Deeper than anything in the API; keeps a hostile body from costing more than it weighs."""

FIELD_LIMIT: Final = 1000
"""The largest honest request is metadata's 50 pairs and some fifty more."""

NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
SEGMENT: Final = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> dict[str, Raw]:
    """Reads `a=1&b[c]=2&d[]=3&e[0]=4` into nested hashes; of a repeated name the last wins.

    Raises:
        InvalidError: a name is both a value and a hash, nested too deep, or the text is not UTF-8.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELD_LIMIT)
    except ValueError as error:  # UnicodeDecodeError is one
        raise InvalidError(
            "The request's form could not be read: it must be URL-encoded UTF-8 of a sensible size."
        ) from error
    decoded: dict[str, Raw] = {}
    for name, value in pairs:
        _place(decoded, name, value)
    return decoded


def _place(root: dict[str, Raw], name: str, value: str) -> None:
    matched = NAME.fullmatch(name)
    if matched is None or not matched[2]:
        _set(root, name, value, name)
        return
    path = [matched[1], *SEGMENT.findall(matched[2])]
    if len(path) > DEPTH_LIMIT:
        raise InvalidError(f"The parameter is nested more than {DEPTH_LIMIT} levels deep.", matched[1])
    hash_: dict[str, Raw] = root
    for part in path[:-1]:
        inner = hash_.setdefault(part or str(len(hash_)), {})
        if not isinstance(inner, dict):
            raise InvalidError(f"'{matched[1]}' was given both as a value and as a hash.", matched[1])
        hash_ = inner
    _set(hash_, path[-1] or str(len(hash_)), value, name)


def _set(target: MutableMapping[str, Raw], key: str, value: str, name: str) -> None:
    if isinstance(target.get(key), dict):
        raise InvalidError(f"'{name}' was given both as a value and as a hash.", name)
    target[key] = value
