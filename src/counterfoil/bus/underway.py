"""What is on its way to Kafka out of a table: of each key one at a time, so that it arrives in order."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from counterfoil.bus.message import Outgoing, Sender, Undelivered

MOST_ON_THEIR_WAY: Final = 5000
"""Messages handed over and not heard of: a quarter of a second's worth, as fast as this gets."""

AGAIN_AFTER: Final = timedelta(seconds=2)
"""What was not delivered is tried again then, and what comes after it under its key waits; all others go on."""

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(slots=True)
class Underway(Generic[Key, Item]):
    """What whoever leads has handed over and not marked yet. It is forgotten with the lead.

    ``source`` is what `ce_source` says, ``ring`` is called when there is something to be marked.
    """

    source: str
    ring: Callable[[], None]
    most: int = MOST_ON_THEIR_WAY
    sent: dict[Key, Item] = field(default_factory=dict)
    heard: list[tuple[Key, Item, Undelivered | None]] = field(default_factory=list)
    resting: dict[Key, datetime] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """How many more may be handed over."""
        return self.most - len(self.sent)

    def busy(self, now: datetime) -> list[Key]:
        """Return the keys of which nothing may be taken: their last is on its way, or rests for a while."""
        self.resting = {key: until for key, until in self.resting.items() if until > now}
        return [*self.sent, *self.resting]

    def hand_over(self, sender: Sender, key: Key, item: Item, message: Outgoing) -> None:
        """Hand over the one message of its key, and keep the item until it was heard of."""

        def told(lost: Undelivered | None) -> None:
            self.heard.append((key, item, lost))
            self.ring()

        self.sent[key] = item
        sender.hand_over(message, told)

    def take_heard(self) -> list[tuple[Key, Item, Undelivered | None]]:
        """Return what was heard of since the last time; each is on its way still, until it is said to be over."""
        heard, self.heard = self.heard, []
        return heard

    def over(self, key: Key) -> None:
        """Let the key's next be taken."""
        del self.sent[key]

    def rest(self, key: Key, now: datetime) -> None:
        """Let the same be taken again, after a moment."""
        del self.sent[key]
        self.resting[key] = now + AGAIN_AFTER
