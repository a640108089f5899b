"""Ids and secrets in the shapes that Stripe uses."""

import random  # noqa: TID251 - the sandbox's one source of randomness
import string
from typing import Final

ALPHABET: Final = string.ascii_letters + string.digits

LENGTHS: Final = {"cus": 14, "req": 14, "whsec": 32}
"""Characters after the prefix where they are not the usual 24."""

USUAL_LENGTH: Final = 24


class Chance:
    """Draws that come out the same for the same seed."""

    __slots__ = ("_draw",)

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed).random  # noqa: S311 - a seed is for tests that repeat

    def happens(self, probability: float) -> bool:
        """Whether something of that probability, from 0 to 1, happens this time."""
        return self._draw() < probability


class Ids:
    """A source of ids; with a seed the same calls give the same ids."""

    __slots__ = ("_choices",)

    def __init__(self, seed: int | None = None) -> None:
        self._choices = (random.SystemRandom() if seed is None else random.Random(seed)).choices  # noqa: S311 - a seed is for tests that repeat

    def new(self, prefix: str) -> str:
        """A fresh id, such as `pi_3q…`."""
        return f"{prefix}_{self.text(LENGTHS.get(prefix, USUAL_LENGTH))}"

    def text(self, length: int) -> str:
        """That many letters and digits."""
        return "".join(self._choices(ALPHABET, k=length))
