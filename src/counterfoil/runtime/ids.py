"""The one place that draws random numbers: identifiers, and secrets we hand out."""

import random  # noqa: TID251 - this module is where randomness comes from
import secrets  # noqa: TID251 - this module is where randomness comes from
from typing import Protocol
from uuid import UUID

from counterfoil.runtime.clock import Clock

_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0x2 << 62


class Ids(Protocol):
    """A source of identifiers."""

    def new(self) -> UUID:
        """Return an identifier nobody has yet, sorting after those made before it (to the millisecond)."""


class TimeOrderedIds:
    """UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then randomness.

    Time order keeps rows that are made together close together in an index. Two ids of the same millisecond
    sort at random: nothing may read an order out of them.
    """

    def __init__(self, clock: Clock, entropy: random.Random | None = None) -> None:
        self._clock = clock
        self._entropy = entropy or random.SystemRandom()

    def new(self) -> UUID:
        """Return a fresh version 7 UUID."""
        milliseconds = int(self._clock.now().timestamp() * 1000) & ((1 << 48) - 1)
        tail = self._entropy.getrandbits(74)
        return UUID(int=milliseconds << 80 | _VERSION_7 | (tail >> 62) << 64 | _VARIANT_RFC | tail & ((1 << 62) - 1))


def secret_text(prefix: str) -> str:
    """Return a new secret of 256 bits behind a prefix that says what it is (so that scanners can find leaks)."""
    return prefix + secrets.token_urlsafe(32)
