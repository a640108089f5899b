"""Dead letters: what could not be worked on, as it came, with the reason and its origin in headers."""

from dataclasses import replace
from typing import Final

from counterfoil.bus.message import Dead, Incoming, Outgoing
from counterfoil.domain.errors import CardDataNotAccepted
from counterfoil.messages.card_numbers import holds_card_number, refuse_card_data
from counterfoil.messages.decoding import NotDecodable, decode_object
from counterfoil.messages.topics import DEAD_LETTERS

PREFIX: Final = "dlq_"
"""What the names of our own headers begin with; all others are those that the message had."""

ERROR_CHARACTERS: Final = 300
"""Two sentences: what is longer belongs in the documentation."""


def dead_letter(message: Incoming, dead: Dead, tries: int) -> Outgoing:
    """Return the dead letter of a message that was tried so often; card data is not carried on to a second topic."""
    own = {
        "reason": dead.reason,
        "error": dead.error[:ERROR_CHARACTERS],
        "topic": message.topic,
        "partition": str(message.partition),
        "offset": str(message.offset),
        "attempts": str(tries),
    }
    headers = (*as_it_came(message.headers), *((PREFIX + name, text.encode()) for name, text in own.items()))
    letter = Outgoing(message.topic + DEAD_LETTERS, message.key, message.value, headers)
    return without_value(letter) if _holds_card_data(message.value or b"") else letter


def without_value(letter: Outgoing) -> Outgoing:
    """Return the letter without what it says: that is to be found at its origin, as long as it is kept there."""
    return replace(letter, value=None, headers=(*letter.headers, (PREFIX + "value", b"withheld")))


def as_it_came(headers: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
    """Return the headers without those that dead letters have of us."""
    return tuple((name, value) for name, value in headers if not name.startswith(PREFIX))


def _holds_card_data(value: bytes) -> bool:
    try:
        refuse_card_data(decode_object(value))
    except CardDataNotAccepted:
        return True
    except NotDecodable:
        return holds_card_number(value.decode(errors="replace"))
    return False
