"""A message on its way to a topic or off one, and what may become of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

MOST_TRIES: Final = 8
"""Counted tries of a message, as of everything that is parked: what fails so often is a person's."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic. What bears one key goes to one partition, in order."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why a message is not known to be there. ``for_good`` when it never will be, as it is.

    ``no_topic`` when no broker knows its topic or lets us write there, so that no other message gets there either.
    """

    why: str
    for_good: bool
    no_topic: bool = False


Told: TypeAlias = Callable[[Undelivered | None], None]
"""Called once for a message: with None where a broker has it for good."""


class Sender(Protocol):
    """Takes messages, and tells later what became of each."""

    def hand_over(self, message: Outgoing, told: Told) -> None:
        """Take a message on its way; ``told`` is called from the loop, never before this returns."""


async def delivered(sender: Sender, message: Outgoing) -> Undelivered | None:
    """Hand a message over; return None once a broker has it, else why that is not known."""
    answer: asyncio.Future[Undelivered | None] = asyncio.get_running_loop().create_future()

    def tell(found: Undelivered | None) -> None:
        if not answer.done():  # whoever waits may have been cancelled
            answer.set_result(found)

    sender.hand_over(message, tell)
    return await answer


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message off a topic, as it came. A value of None is a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def place(self) -> str:
        """Where it stands, which names it where it has no other name."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    def header(self, name: str) -> str | None:
        """Return the last header of that name as text; None where it is missing or no text."""
        found = [value for given, value in self.headers if given == name]
        try:
            return found[-1].decode() if found else None
        except UnicodeDecodeError:
            return None


@dataclass(frozen=True, slots=True)
class Done:
    """The message has had its effect, or is to have none; ``how`` is for whoever counts."""

    how: str = "done"


@dataclass(frozen=True, slots=True)
class Again:
    """The message is to be tried again, no sooner than after so many seconds.

    Where the failure is not the message's it is not ``counted``; after ``most`` counted ones it is a dead letter. Where
    it ``holds``, others of the partition are likely to fail too, and none is begun meanwhile.
    """

    why: str
    counted: bool = True
    after_seconds: float = 0.0
    holds: bool = True
    most: int = MOST_TRIES


@dataclass(frozen=True, slots=True)
class Dead:
    """The message cannot be worked on, ever: it goes to the dead letters, and ``also`` is said beside that.

    ``reason`` is a word, ``error`` a sentence that may be shown.
    """

    reason: str
    error: str
    also: tuple[Outgoing, ...] = ()


Outcome: TypeAlias = Done | Again | Dead

Handler: TypeAlias = Callable[[Incoming, int], Awaitable[Outcome]]
"""Works on a message that was tried so often before; bears being repeated and being cut off, and never raises."""
