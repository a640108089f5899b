"""What we ask of a processor, in the form in which it goes on record before it is sent."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is stored before it is sent, and sent again after a crash.

    ``body`` is its canonical form: the same bytes on our side always become the same bytes on the wire.
    """

    key: str
    body: bytes

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the body, 32 bytes."""
        return hashlib.sha256(self.body).digest()
