"""How calls come to Stripe: in turn, and not more of them than it takes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import stripe

from counterfoil.processors.port import Budget, Priority

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

MOST_CALLS: Final = 100
"""Calls under way at once. The SDK's transport opens no more connections than this, and its timeout would count the
wait for one: who waits here has not begun, and is not given up."""

TOO_MANY: Final = 429

REASON_HEADER: Final = "Stripe-Rate-Limited-Reason"
"""Which of its limits a 429 is about. Without it, requests met at one object, however few there were."""


class Turns:
    """Whose turn it is to call."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._slots = asyncio.Semaphore(MOST_CALLS)

    @asynccontextmanager
    async def turn(self, priority: Priority) -> AsyncIterator[None]:
        """Wait until one call may be made, and keep a slot for it; raises as `Budget.take`.

        Who waits for the budget holds no slot: questions that have to wait must not stand in the way of charges.
        """
        await self.budget.take(priority)
        async with self._slots:
            yield


class Transport(stripe.AIOHTTPClient):
    """The SDK's transport, which tells the budget of what Stripe refused because there was too much of it."""

    def __init__(self, budget: Budget, *, timeout: aiohttp.ClientTimeout) -> None:
        super().__init__(timeout=timeout)
        self._budget = budget

    @override
    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Send a request as the SDK does, and return the body, the status and the headers of its answer."""
        content, status, said = await super().request_async(method, url, headers, post_data)
        if status == TOO_MANY and REASON_HEADER in said:
            self._budget.note_refusal(said[REASON_HEADER])
        return content, status, said
