"""Deliveries that arrive together are kept together, in one statement and one commit."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from counterfoil.domain.errors import Unavailable
from counterfoil.processors.port import Identity
from counterfoil.roles.world import World
from counterfoil.runtime.batching import Batcher
from counterfoil.runtime.metrics import BATCH_SIZE, NOTICES_RECEIVED
from counterfoil.runtime.retry import again_on
from counterfoil.store import notices
from counterfoil.store.notices import Delivery, KeptNotice, NoticeId, Unreadable
from counterfoil.store.pool import NO_PARTITION, RIVALRY, SPLITTING, unavailable_when_down

LINGER_SECONDS: Final = 0.003
"""What waiting for company costs a lone delivery; Stripe waits for an answer far longer than this."""

LONGEST_SECONDS: Final = 0.024
"""What it costs a delivery in the middle of a burst."""

ANSWER_SECONDS: Final = 1.5
"""A store that is away is answered 503 within 2 s: Stripe comes again, and our sockets are not kept for nothing."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Received:
    """A verified delivery and which event it brings."""

    identity: Identity
    body: bytes


class Keeping:
    """Keeps deliveries, durably, before anybody acknowledges them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._deliveries: Batcher[Received, KeptNotice] = Batcher(
            self._keep,
            linger_seconds=LINGER_SECONDS,
            longest_seconds=LONGEST_SECONDS,
            splits_on=SPLITTING,
        )

    async def keep(self, received: Received) -> None:
        """Return once the delivery is durable.

        Raises:
            Unavailable: the store does not answer in time; it may be durable all the same, and Stripe will come again.
        """
        async with unavailable_when_down():
            async with asyncio.timeout(ANSWER_SECONDS):
                kept = await asyncio.shield(self._deliveries.submit(received))
        NOTICES_RECEIVED.labels("kept" if kept.new else "repeated").inc()
        if (kept.type, kept.object_id) != (received.identity.type, received.identity.object_id):
            await self.quarantine(Unreadable("an event id came again with another type or object", received.body))

    async def quarantine(self, unreadable: Unreadable) -> None:
        """Return once something that was signed but is no event is durable, for a person to look at.

        Raises:
            Unavailable: the store does not answer.
        """
        _log.error("webhook.quarantined", why=unreadable.reason)
        NOTICES_RECEIVED.labels("quarantined").inc()
        world = self._world
        async with unavailable_when_down(), asyncio.timeout(ANSWER_SECONDS), world.pool.acquire() as connection:
            await notices.quarantine(connection, [unreadable], world.ids, world.clock.now())

    async def drain(self) -> None:
        """Return once everything received is kept."""
        await self._deliveries.drain()

    async def _keep(self, received: Sequence[Received]) -> Sequence[KeptNotice]:
        BATCH_SIZE.labels("keep").observe(len(received))
        folded: dict[NoticeId, Delivery] = {}
        for one in received:
            delivery = _delivery(one)
            before = folded.get(delivery.id)
            folded[delivery.id] = delivery if before is None else replace(before, count=before.count + 1)

        async def work() -> dict[NoticeId, KeptNotice]:
            async with self._world.pool.acquire() as connection:
                return await notices.keep(connection, list(folded.values()), self._world.clock.now())

        try:
            kept = await again_on(RIVALRY, work)
        except NO_PARTITION:  # nobody's data is at fault: readiness says what is, and whoever tends the store mends it
            raise Unavailable("database") from None
        return [kept[_delivery(one).id] for one in received]


def _delivery(received: Received) -> Delivery:
    identity = received.identity
    return Delivery(
        id=NoticeId(identity.account, identity.livemode, identity.event_id),
        type=identity.type,
        object_id=identity.object_id,
        body=received.body,
    )
