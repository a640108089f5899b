"""Which trace a message or request belongs to: `traceparent` of W3C Trace Context, passed on as it came.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from typing import Final

HEADER: Final = "traceparent"

_SHAPE: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<rest>-[!-~]*)?",
    re.ASCII,
)
_LONGEST: Final = 255
"""Ours: a later version may be longer than the 55 characters of this one, and need not be kept at any length."""


def passed_on(given: str | None) -> str | None:
    """Return what is passed on of a `traceparent`: itself if it is well formed, else nothing, as the standard demands.

    A version later than ours may have more at its end.
    """
    found = None if given is None or len(given) > _LONGEST else _SHAPE.fullmatch(given)
    if found is None or (found["version"] == "00" and found["rest"] is not None):
        return None
    return given
