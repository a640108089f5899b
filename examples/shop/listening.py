"""Messages come from Kafka, and are passed over only once they have had their effect.

One thread speaks to librdkafka and does one thing after another: fetch a batch, have it heard, commit how far it came.
Partitions change hands inside of `consume` only, when nothing is in hand; so whoever has a partition next begins where
all has had its effect. Where a process dies between the effect and the commit, the batch comes again, and `hear` knows
it.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from examples.shop.messages import TOPICS, Record

MOST_AT_ONCE: Final = 500
"""Messages of a batch: a transaction of this size takes far less than a statement may."""

WAIT_SECONDS: Final = 0.1
"""How long a batch is waited for. It is also how late a single fact is heard at worst."""

AGAIN_SECONDS: Final = 1.0
"""Between tries while the database is away. The messages wait in Kafka meanwhile, and nothing is lost."""

LEAVE_SECONDS: Final = 10.0
"""Longer than a batch takes. Without a broker there is nobody to leave, and no use in waiting."""

SETTINGS: Final = {
    "enable.auto.commit": False,  # by the clock it would pass over what has had no effect yet
    "auto.offset.reset": "earliest",  # a new group begins with the first fact that is still there
    "partition.assignment.strategy": "cooperative-sticky",  # who comes or goes does not stop the others
    "session.timeout.ms": 10_000,  # who is silent for longer is taken for gone, and others have its partitions
    "topic.metadata.refresh.interval.ms": 10_000,  # a topic may be made after the shop was started
    "log.connection.close": False,  # idle connections end: that is no news
}

_log = logging.getLogger(__name__)


class Listener:
    """Hears the topics as a member of a group, from `start` until `stop`."""

    def __init__(self, brokers: str, group: str, hear: Callable[[Sequence[Record]], Awaitable[None]]) -> None:
        """Prepare to hear; ``hear`` is awaited in the loop that calls `start`."""
        self._config = {"bootstrap.servers": brokers, "group.id": group, "client.id": "shop", **SETTINGS}
        self._hear = hear
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._ended = asyncio.Event()
        self._member = False
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)

    @property
    def is_ready(self) -> bool:
        """Whether it has its share of the partitions, which may be none: it is in touch with the group, and listens."""
        return self._member and self._thread.is_alive()

    def start(self) -> None:
        """Begin to hear."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def ended(self) -> None:
        """Return once it does not hear any more, asked to or not."""
        await self._ended.wait()

    async def stop(self) -> None:
        """Finish the batch in hand, commit it, and leave the group."""
        self._stopping.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), LEAVE_SECONDS)

    def _run(self) -> None:
        assert self._loop is not None
        try:
            consumer = Consumer(self._config)
            try:
                consumer.subscribe(list(TOPICS), on_assign=self._joined, on_lost=self._left)
                while not self._stopping.is_set():
                    self._one_batch(consumer)
            finally:
                consumer.close()
        except Exception:  # noqa: BLE001 - a thread has nobody to raise to: the process is told that it ended
            _log.exception("listening came to an end")
        finally:
            self._loop.call_soon_threadsafe(self._ended.set)

    def _one_batch(self, consumer: Consumer) -> None:
        batch = consumer.consume(MOST_AT_ONCE, WAIT_SECONDS)
        for message in batch:
            if (error := message.error()) is not None:  # such as a topic that is not there yet, or no broker
                _log.warning("kafka: %s", error.name())
        records = [_record(message) for message in batch if message.error() is None]
        if records and self._have_heard(records):
            self._commit(consumer, records)

    def _have_heard(self, records: Sequence[Record]) -> bool:
        """Have it heard, however often that takes; say whether it was. It was not where there was no time left."""
        assert self._loop is not None
        while True:
            try:
                asyncio.run_coroutine_threadsafe(self._once(records), self._loop).result()
            except Exception as error:  # noqa: BLE001 - whatever it is, the messages must not be passed over
                _log.warning("not heard, and tried again: %s: %s", type(error).__name__, error)
                if self._stopping.wait(AGAIN_SECONDS):
                    return False
            else:
                return True

    async def _once(self, records: Sequence[Record]) -> None:
        await self._hear(records)

    def _commit(self, consumer: Consumer, records: Sequence[Record]) -> None:
        ends = {(record.topic, record.partition): record.offset + 1 for record in records}
        offsets = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # the same batch may come again, and is known then
            _log.warning("not committed: %s", error.args[0].name())

    def _joined(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._member = True
        _log.info("given %s partitions", len(partitions))

    def _left(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._member = False
        _log.warning("lost %s partitions: no word from the group for too long", len(partitions))


def _record(message: Message) -> Record:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    given: Any = message.headers() or []  # a list of pairs, whatever else its type may allow
    headers = {name: value or b"" for name, value in given}
    return Record(topic, partition, offset, _bytes(message.key()), _bytes(message.value()), headers)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
