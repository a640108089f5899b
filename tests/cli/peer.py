"""A real HTTP server in the gateway's place, for answers that a healthy gateway does not give when asked."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Reply:
    """What the peer answers: a status and a body, sent as JSON unless it is text already; `None` hangs up."""

    body: Any
    status: int = 200
    content_type: str = "application/json"


@dataclass(slots=True)
class Peer:
    """A real HTTP server that gives prepared answers and keeps what it was asked."""

    url: str
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """The settings with which the command line talks to this peer."""
        return {"COUNTERFOIL_URL": self.url, "COUNTERFOIL_TOKEN": "cf_made_up"}
