"""Every request to the API, as it was sent and answered, for whoever tests a client."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from stripe_sandbox.kept import Kept

KEPT: Final = 20_000
"""A few minutes of hard testing; the oldest go first."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request: `received_at` and `answered_at` in seconds of the sandbox's time, `body` and `query` as sent.

    Card numbers and security codes are masked in both.

    `status` is nothing where no answer was made; `fault` is what was done to the request on purpose, if anything.
    """

    id: str
    method: str
    path: str
    query: str
    idempotency_key: str | None
    livemode: bool | None
    body: str
    status: int | None
    error_code: str | None
    replayed: bool
    fault: str | None
    received_at: float
    answered_at: float


class RequestLog:
    """The last requests, oldest first."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: Kept[LoggedRequest] = Kept(shown, lambda told: LoggedRequest(**told))

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: LoggedRequest) -> None:
        """Keeps an answered request."""
        self.entries[entry.id] = entry
        if len(self.entries) > KEPT:
            del self.entries[next(iter(self.entries))]

    def find(self, identifier: str) -> LoggedRequest | None:
        """The request with that `req_…`."""
        return self.entries.get(identifier)

    def clear(self) -> None:
        """Forgets everything, for a reset."""
        self.entries.clear()


def shown(entry: LoggedRequest) -> dict[str, Any]:
    """A request as JSON tells it."""
    return {name: getattr(entry, name) for name in LoggedRequest.__slots__}
