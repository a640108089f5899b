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
"""A token we do not know may have been made a moment ago; guesses must not become a query each, nor a store
that is away a wait for each."""

OLDEST_SECONDS: Final = 60.0
"""A revocation must hold within a minute, whatever the store does."""

ASK_SECONDS: Final = 1.5
"""So that a refusal for want of the store is there within 2 s; a store that answers does so in milliseconds."""


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
        self._failed_at: float | None = None
        self._asking: asyncio.Task[None] | None = None

    async def admit(self, authorization: str | None, scope: Scope) -> Bearer:
        """Return who calls.

        Raises:
            Unauthorized: there is no bearer token that is good.
            Forbidden: the token is good, but not for this.
            Unavailable: the store does not answer, and the token is not among those read within the last minute.
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
            await self._ask_together()
            if self._failed_at is not None and (digest not in self._good or self._age() >= OLDEST_SECONDS):
                raise Unavailable("database")
        return self._good.get(digest)

    def _age(self) -> float:
        """Return for how many seconds nothing was heard from the store; infinity before the first time."""
        return float("inf") if self._asked_at is None else self._clock.monotonic() - self._asked_at

    async def _ask_together(self) -> None:
        """Return once the store was asked: by a try under way, by one of our own, or by one that has just failed."""
        if self._failed_at is not None and self._clock.monotonic() - self._failed_at < UNKNOWN_SECONDS:
            return
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        asking = self._asking
        await asyncio.wait([asking])  # whoever goes away while waiting takes the answer from nobody
        asking.result()

    async def _ask(self) -> None:
        """Ask once, for all who wait; a store that is silent has failed before they lose patience."""
        asked = asyncio.create_task(self._read())
        try:
            await asyncio.wait([asked], timeout=ASK_SECONDS)
            if not asked.done():
                raise Unavailable("database")  # noqa: TRY301 - as if it had said so
            self._good = asked.result()
        except Unavailable:
            self._failed_at = self._clock.monotonic()
        else:
            self._asked_at, self._failed_at = self._clock.monotonic(), None
        finally:
            asked.cancel()
            self._asking = None

    async def _read(self) -> Mapping[bytes, Bearer]:
        async with unavailable_when_down():
            return await tokens.good(self._pool)
