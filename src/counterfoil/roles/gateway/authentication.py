"""Who may call the gateway: bearer tokens (RFC 6750), known by their hashes."""

import asyncio
from collections.abc import Mapping
from typing import Final

from counterfoil.domain.errors import Unavailable
from counterfoil.runtime.clock import Clock
from counterfoil.store import tokens
from counterfoil.store.pool import Pool, unavailable_when_down
from counterfoil.store.tokens import Bearer, Scope

FRESH_SECONDS: Final = 30.0
"""A revoked token works for at most this long; a question to the store for each request would cost a commit each."""

UNKNOWN_SECONDS: Final = 1.0
"""A token we do not know may have been made a moment ago; guesses must not become a query each."""


class Unauthorized(Exception):
    """No token, or none that is good."""


class Forbidden(Exception):
    """A good token without the scope that is needed."""


class Doorkeeper:
    """Knows the tokens that are good, and asks the store again when that knowledge is old."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._good: Mapping[bytes, Bearer] = {}
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def admit(self, authorization: str | None, scope: Scope) -> Bearer:
        """Return who calls.

        Raises:
            Unauthorized: there is no bearer token that is good.
            Forbidden: the token is good, but not for this.
            Unavailable: the tokens were never read, and the store does not answer.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized
        digest = tokens.digest(token.strip())
        bearer = await self._known(digest)
        if bearer is None:
            raise Unauthorized
        if scope not in bearer.scopes:
            raise Forbidden
        return bearer

    async def _known(self, digest: bytes) -> Bearer | None:
        if self._age() >= FRESH_SECONDS or (digest not in self._good and self._age() >= UNKNOWN_SECONDS):
            async with self._asking:
                if self._age() >= UNKNOWN_SECONDS:
                    await self._ask()
        return self._good.get(digest)

    def _age(self) -> float:
        return float("inf") if self._asked_at is None else self._clock.monotonic() - self._asked_at

    async def _ask(self) -> None:
        try:
            async with unavailable_when_down():
                self._good = await tokens.good(self._pool)
        except Unavailable:
            if self._age() >= 2 * FRESH_SECONDS:  # a revocation must hold within a minute, whatever the store does
                raise
        else:
            self._asked_at = self._clock.monotonic()
