"""A message on its way to a topic, and what may become of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic. What bears one key goes to one partition, in order."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why a message is not known to be there. ``for_good`` when it never will be, as it is."""

    why: str
    for_good: bool


Told: TypeAlias = Callable[[Undelivered | None], None]
"""Called once for a message: with None where a broker has it for good."""


class Sender(Protocol):
    """Takes messages, and tells later what became of each."""

    def hand_over(self, message: Outgoing, told: Told) -> None:
        """Take a message on its way; ``told`` is called from the loop, never before this returns."""
