"""Orders that ask for unusually much are told of, and taken all the same: whoever placed them may mean it.

A caller who takes a currency without decimals for one with two asks for a hundred times as much, and nothing is wrong
with that amount by itself. Only what others ask for tells, and only the caller can have it confirmed.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog

from counterfoil.domain.payment import Payment
from counterfoil.roles.world import World
from counterfoil.runtime.metrics import UNUSUAL_AMOUNTS, USUAL_AMOUNT
from counterfoil.store import amounts
from counterfoil.store.pool import unavailable_when_down

READ_SECONDS: Final = 600.0
"""What is usual changes slowly."""

AGAIN_SECONDS: Final = 10.0
"""While the store is away what was read before still holds."""

_log = structlog.get_logger()


class Unusual:
    """Knows what is usual in each currency, as far as enough was asked for in it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._usual: Mapping[str, int] = {}

    def note(self, payment: Payment) -> None:
        """Count and log a payment that asks for more than all but one in a thousand do."""
        usual = self._usual.get(payment.money.currency)
        if usual is not None and payment.money.amount > usual:
            UNUSUAL_AMOUNTS.labels(payment.money.currency).inc()
            _log.warning("charge.unusual_amount", payment_id=str(payment.id), currency=payment.money.currency)

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Read anew what is usual, for as long as the context lasts."""
        task = asyncio.create_task(self._read_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _read_on(self) -> None:
        while True:
            try:
                async with unavailable_when_down():
                    self._usual = await amounts.usual(self._world.pool)
            except Exception as error:  # noqa: BLE001 - the role's edge: recorded, and orders are taken without it
                _log.info("charge.usual_unknown", why=type(error).__name__)
                await self._world.clock.sleep(AGAIN_SECONDS)
                continue
            for currency, amount in self._usual.items():
                USUAL_AMOUNT.labels(currency).set(amount)
            await self._world.clock.sleep(READ_SECONDS)
