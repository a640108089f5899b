"""The worker's ear at Kafka, where there is one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from counterfoil.config import Settings
from counterfoil.messages.heard import HEARD
from counterfoil.roles.hearing import hearing
from counterfoil.roles.kafka import broker_check, config_of, open_producer, topics_check
from counterfoil.roles.probes import Check
from counterfoil.roles.wishing import screening_of
from counterfoil.roles.worker.bench import Bench
from counterfoil.roles.worker.commands import Commands

if TYPE_CHECKING:
    from counterfoil.bus.consumer import Consumer

GROUP: Final = "counterfoil-worker"

TOPICS: Final = tuple(name for name in HEARD if name != "orders.placed")
"""All that we hear but orders, which are the dispatcher's."""

IN_FLIGHT: Final = 16
"""Messages of a partition side by side: they share the connections of all the worker's work."""

DRAIN_SECONDS: Final = 8.0
"""Of the 15 s in which a role ends; each is a transaction or two."""


class Ear:
    """Hears until it is closed; without a Kafka, nothing."""

    def __init__(self, hearing: "tuple[Consumer, Commands] | None", checks: list[Check]) -> None:
        self._hearing, self.checks = hearing, checks

    async def close(self) -> None:
        """Begin nothing more, finish what is in hand and say how far that is."""
        if self._hearing is not None:
            (consumer, commands), self._hearing = self._hearing, None
            await consumer.close(DRAIN_SECONDS)
            await commands.drain()


@asynccontextmanager
async def open_ear(settings: Settings, bench: Bench) -> AsyncIterator[Ear]:
    """Yield the ear of a worker, which is closed at the end if it was not before."""
    if settings.kafka_brokers is None:
        yield Ear(None, [])
        return
    from counterfoil.bus.consumer import Consumer  # noqa: PLC0415 - librdkafka is for whoever has brokers
    from counterfoil.bus.lane import Hands  # noqa: PLC0415 - the same

    config, commands = config_of(settings), Commands(bench, screening_of(settings))
    async with open_producer(config) as producer:
        hands = Hands(hearing(commands.works()), producer, bench.world.clock, IN_FLIGHT)
        consumer = Consumer(config, GROUP, TOPICS, hands)
        ear = Ear((consumer, commands), [broker_check(producer), topics_check(consumer)])
        try:
            yield ear
        finally:
            await ear.close()
