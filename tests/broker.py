"""A real Kafka for tests, and what is on its topics."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from tests.stage import free_port

from counterfoil.bus import local, topics
from counterfoil.bus.connection import client_config

LACKING = local.missing_tools()
WHY_SKIPPED = f"{' and '.join(LACKING)} not found, and Kafka is a program in Java that Maven fetches"


@dataclass(slots=True)
class Kafka:
    """A broker that tests start, kill and start again in its place."""

    home: Path
    port: int
    controller_port: int
    running: local.Broker

    @classmethod
    async def started(cls, home: Path) -> Self:
        """Start a broker with all topics."""
        port, controller_port = free_port(), free_port()
        kafka = cls(home, port, controller_port, await local.start(home, port, controller_port))
        await topics.create(kafka.config, 1)
        return kafka

    @property
    def brokers(self) -> str:
        """For `KAFKA_BROKERS`."""
        return self.running.brokers

    @property
    def config(self) -> dict[str, Any]:
        """For a client."""
        return client_config(self.brokers, {})

    async def killed(self) -> None:
        """End it between any two instructions."""
        await self.running.kill()

    async def again(self) -> None:
        """Start it again with what it has kept."""
        self.running = await local.start(self.home, self.port, self.controller_port)

    async def heard(
        self, topic: str, enough: Callable[[list[Message]], bool], *, seconds: float = 30.0
    ) -> list[Message]:
        """Return everything on a topic once it is enough; fails when it is not in time."""
        return await asyncio.to_thread(self._heard, topic, enough, seconds)

    def admin(self) -> AdminClient:
        """Return a client that may do anything."""
        return AdminClient(self.config)

    def _heard(self, topic: str, enough: Callable[[list[Message]], bool], seconds: float) -> list[Message]:
        deadline = time.monotonic() + seconds  # noqa: TID251 - a real broker lives by the machine's clock
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in range(topics.PARTITIONS)])
            found: list[Message] = []
            while not enough(found):
                assert time.monotonic() < deadline, f"waited in vain on {topic}: {len(found)} messages"  # noqa: TID251 - the same
                found += [one for one in consumer.consume(500, 0.2) if one.error() is None]
            return found
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer({**self.config, "group.id": "test", "enable.auto.commit": False})


def header(message: Message, name: str) -> str:
    """Return a header of a message as text."""
    found = dict(message.headers() or [])[name]
    assert isinstance(found, bytes)
    return found.decode()
