"""A real Kafka for tests, and what is on its topics."""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tests.stage import free_port

from counterfoil.bus import local, topics
from counterfoil.bus.connection import client_config
from counterfoil.bus.message import Outgoing, delivered
from counterfoil.bus.producer import Producer

LACKING = local.missing_tools()
WHY_SKIPPED = f"{' and '.join(LACKING)} not found, and Kafka is a program in Java that Maven fetches"


@dataclass(slots=True)
class Kafka:
    """A broker that tests start, kill and start again in its place."""

    home: Path
    port: int
    controller_port: int
    jars: Path
    running: local.Broker

    @classmethod
    async def started(cls, home: Path, jars: Path) -> Self:
        """Start a broker with all topics; its jars are fetched by whichever process comes first."""
        port, controller_port = free_port(), free_port()
        running = await local.start(home, port, controller_port, jars=jars)
        kafka = cls(home, port, controller_port, jars, running)
        await topics.create(kafka.config, 1)
        await kafka.leads_all()
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
        self.running = await local.start(self.home, self.port, self.controller_port, jars=self.jars)

    async def heard(
        self, topic: str, enough: Callable[[list[Message]], bool], *, seconds: float = 30.0
    ) -> list[Message]:
        """Return everything on a topic once it is enough; fails when it is not in time."""
        return await asyncio.to_thread(self._heard, topic, enough, seconds)

    async def say(self, *messages: Outgoing) -> None:
        """Put messages on their topics, as another service does, and return once they are there."""
        producer = Producer(self.config)
        assert [found for found in await asyncio.gather(*(delivered(producer, one) for one in messages)) if found] == []
        await producer.close(5)

    async def topic_of_own(self, name: str, partitions: int = 2) -> str:
        """Make a topic, and the one of its dead letters, that no other test reads; return its name."""
        admin, made = self.admin(), [NewTopic(one, partitions, 1) for one in (name, f"{name}.dlq")]
        for future in admin.create_topics(made).values():
            await asyncio.to_thread(future.result, 15)
        return name

    async def committed(self, group: str, topic: str) -> list[tuple[int, int]]:
        """Return up to where a group has committed each partition of a topic; nothing of those where it has not."""
        return await asyncio.to_thread(self._committed, group, topic)

    async def ends(self, topic: str) -> list[tuple[int, int]]:
        """Return where each partition of a topic ends; one made a moment ago may have nobody to ask yet."""
        for _ in range(50):
            with suppress(KafkaException):
                return await asyncio.to_thread(self._ends, topic)
            await asyncio.sleep(0.2)
        return await asyncio.to_thread(self._ends, topic)

    async def leads_all(self) -> None:
        """Return once every partition of all topics has somebody to ask, which takes a moment after they are made."""
        for name in topics.names():
            await self.ends(name)

    async def move(self, group: str, topic: str, offsets: Iterable[tuple[int, int]]) -> None:
        """Let a group without members go on at these offsets of a topic's partitions."""
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, *one) for one in offsets])
        admin = self.admin()
        while True:
            (asked,) = admin.alter_consumer_group_offsets([wanted]).values()
            try:
                await asyncio.to_thread(asked.result, 15)
            except KafkaException:  # a member that was killed is one until its session ends
                await asyncio.sleep(0.5)
            else:
                return

    def admin(self) -> AdminClient:
        """Return a client that may do anything."""
        return AdminClient(self.config)

    def _heard(self, topic: str, enough: Callable[[list[Message]], bool], seconds: float) -> list[Message]:
        deadline = time.monotonic() + seconds  # noqa: TID251 - a real broker lives by the machine's clock
        consumer = self._consumer()
        try:
            there = consumer.list_topics(topic, 15).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in there])
            found: list[Message] = []
            while not enough(found):
                assert time.monotonic() < deadline, f"waited in vain on {topic}: {len(found)} messages"  # noqa: TID251 - the same
                found += [one for one in consumer.consume(500, 0.2) if one.error() is None]
            return found
        finally:
            consumer.close()

    def _ends(self, topic: str) -> list[tuple[int, int]]:
        consumer = self._consumer()
        try:
            partitions = consumer.list_topics(topic, 15).topics[topic].partitions
            return [
                (one, consumer.get_watermark_offsets(TopicPartition(topic, one), 15)[1]) for one in sorted(partitions)
            ]
        finally:
            consumer.close()

    def _committed(self, group: str, topic: str) -> list[tuple[int, int]]:
        # Asked as the group and not as its administrator: librdkafka 2.16 dies of that where the coordinator is busy.
        consumer = self._consumer(group)
        try:
            partitions = consumer.list_topics(topic, 15).topics[topic].partitions
            found = consumer.committed([TopicPartition(topic, one) for one in partitions], 15)
            return sorted((one.partition, one.offset) for one in found if one.offset >= 0)
        except KafkaException:  # its coordinator is not there yet: nothing is known to be committed
            return []
        finally:
            consumer.close()

    def _consumer(self, group: str = "test") -> Consumer:
        return Consumer({**self.config, "group.id": group, "enable.auto.commit": False})


def header(message: Message, name: str) -> str:
    """Return a header of a message as text."""
    found = dict(message.headers() or [])[name]
    assert isinstance(found, bytes)
    return found.decode()
