"""Which requests a fault or a hold means."""

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request before it is worked on."""

    request_id: str
    method: str
    path: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Which:
    """Requests by method, path and idempotency key; what is not given may be anything.

    In `path` and `idempotency_key` a `*` stands for any characters but `/`, and `**` for any at all.
    """

    method: str | None = None
    path: str | None = None
    idempotency_key: str | None = None

    def means(self, asked: Asked) -> bool:
        """Whether this request is one of them."""
        return (
            self.method in {None, asked.method}
            and (self.path is None or fits(self.path, asked.path))
            and (self.idempotency_key is None or fits(self.idempotency_key, asked.idempotency_key or ""))
        )


def fits(pattern: str, text: str) -> bool:
    """Whether a text, whole, is what a pattern with `*` and `**` describes."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(pieces.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", pattern)), re.DOTALL)
