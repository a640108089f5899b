"""Naming the field at fault without repeating what was sent."""

import re
from collections.abc import Iterable
from typing import Final

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_]{1,40}", re.ASCII)


def field_path(steps: Iterable[int | str]) -> str | None:
    """Write the way to a field, `items.0.sku`, or None for the outermost object.

    A key that the sender made up is shown only if it can hold nothing but a name: letters and underscores, at most 40.
    So a path can be logged and answered, whatever was sent.
    """
    shown = [str(step) if isinstance(step, int) or _PLAIN_NAME.fullmatch(step) else "(a key)" for step in steps]
    return ".".join(shown) or None
