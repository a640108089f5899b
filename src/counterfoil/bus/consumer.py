"""Messages come from Kafka, many of a partition at a time, and none is passed over before it has had its effect.

One thread speaks to librdkafka and polls for as long as this lives, so that a message which takes long, or waits for
another try, costs no membership. What is to be fetched and how far each partition is done it reads off the lanes.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka import Consumer as Client

from counterfoil.bus.lane import Hands, Lane
from counterfoil.bus.message import Incoming
from counterfoil.domain.errors import Misconfigured
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.metrics import CONSUMER_LAG

SESSION_MS: Final = 10_000
"""A process that is gone is taken for gone after this; others have its partitions then."""

COMMIT_SECONDS: Final = 0.25
"""Between commits of what is done: one costs 6 ms, and what was not committed is worked on once more."""

GIVE_UP_SECONDS: Final = 4.0
"""What is in hand of a partition that another member is to have may take so long; the group waits meanwhile."""

LEAVE_SECONDS: Final = 2.0
"""For the last commit and the farewell; without them the group waits for the session to end."""

MOST_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 5.0

_SETTINGS: Final[Mapping[str, Any]] = {
    "enable.auto.commit": False,  # an offset is committed after the effect, or not at all
    "auto.offset.reset": "error",  # messages that are gone must be heard of; a new group begins at the beginning
    "partition.assignment.strategy": "cooperative-sticky",  # what a member keeps it goes on with
    "session.timeout.ms": SESSION_MS,
    "allow.auto.create.topics": False,
    "topic.metadata.refresh.interval.ms": 10_000,  # a topic that is made late is found soon
    "queued.max.messages.kbytes": 16_384,
}

Place: TypeAlias = tuple[str, int]
"""A topic, and the number of a partition of it."""

_log = structlog.get_logger()


class Consumer:
    """A member of a group, from when it is made until it is closed, in the loop that made it."""

    def __init__(self, config: Mapping[str, Any], group: str, topics: Sequence[str], hands: Hands) -> None:
        self._hands, self._topics = hands, list(topics)
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[Place, Lane] = {}
        self._lock = threading.Lock()  # over the two that follow, which the loop writes and the thread reads
        self._full: set[Place] = set()
        self._upto: dict[Place, int] = {}
        self._troubles: dict[Place | str, str] = {}
        self._ending = threading.Event()
        # What only the thread touches.
        self._mine: set[Place] = set()
        self._paused: set[Place] = set()
        self._committed: dict[Place, int] = {}
        self._client = Client({**config, **_SETTINGS, "group.id": group, "on_commit": self._on_commit})
        self._thread = threading.Thread(target=self._run, name=f"kafka consumer {group}", daemon=True)
        self._thread.start()

    def demand_sound(self) -> None:
        """Return where all topics and partitions can be read.

        Raises:
            Misconfigured: one cannot; the sentence says which, and why.
        """
        for place, why in self._troubles.items():
            name = place if isinstance(place, str) else f"{place[0]}:{place[1]}"
            raise Misconfigured("KAFKA_BROKERS", f"names brokers where {name} cannot be read: {why}")

    async def close(self, drain_seconds: float) -> None:
        """Begin nothing more, finish what is in hand or leave it after that time, commit, and leave the group."""
        await asyncio.gather(*(lane.stop(drain_seconds) for lane in self._lanes.values()))
        self._look()
        self._ending.set()
        await asyncio.to_thread(self._thread.join, LEAVE_SECONDS)  # without a broker there is nobody to leave

    # In the loop.

    def _take(self, messages: Sequence[Incoming]) -> None:
        for place, some in groupby(messages, _place):
            self._is_sound(place)
            if lane := self._lanes.get(place):
                lane.take(some)
        self._look()

    def _look(self) -> None:
        """Read off the lanes what the thread is to do."""
        with self._lock:
            self._full = {place for place, lane in self._lanes.items() if lane.full}
            self._upto = {place: lane.upto for place, lane in self._lanes.items() if lane.upto is not None}

    def _open(self, firsts: Mapping[Place, int | None]) -> None:
        for place, first in firsts.items():
            self._is_sound(place)
            self._lanes[place] = Lane(self._hands, first, self._look)

    async def _give_up(self, places: Sequence[Place], seconds: float) -> dict[Place, int]:
        """Close the lanes of these partitions; return up to where each is done."""
        lanes = {place: self._lanes.pop(place) for place in places if place in self._lanes}
        await asyncio.gather(*(lane.stop(seconds) for lane in lanes.values()))
        self._look()
        return {place: lane.upto for place, lane in lanes.items() if lane.upto is not None}

    def _is_sound(self, place: Place) -> None:
        self._troubles.pop(place, None)
        self._troubles.pop(place[0], None)

    def _trouble(self, place: Place | str, why: str) -> None:
        if self._troubles.get(place) != why:
            self._troubles[place] = why
            alarm("consumer", "cannot_read", place=str(place), why=why)

    # In the thread.

    def _run(self) -> None:
        client = self._client
        client.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        due = self._hands.clock.monotonic()
        while not self._ending.is_set():
            messages = self._polled()
            if messages:
                self._loop.call_soon_threadsafe(self._take, messages)
            self._hold()
            if self._hands.clock.monotonic() >= due:
                self._commit(wait=False)
                self._measure()
                due = self._hands.clock.monotonic() + COMMIT_SECONDS
        client.close()  # revokes what is ours, and so commits

    def _polled(self) -> list[Incoming]:
        """Return what is there, waiting a moment for the first."""
        found: list[Incoming] = []
        message = self._client.poll(_POLL_SECONDS)
        while message is not None and len(found) < MOST_AT_ONCE:
            if (error := message.error()) is None:
                found.append(_incoming(message))
            else:
                self._heard_error(error, message)
            message = self._client.poll(0)
        if message is not None and message.error() is None:
            found.append(_incoming(message))
        return found

    def _heard_error(self, error: KafkaError, message: Message) -> None:
        topic, partition = message.topic(), message.partition()
        if error.code() == KafkaError._AUTO_OFFSET_RESET and topic is not None and partition is not None:  # noqa: SLF001 - librdkafka's own codes begin so
            self._loop.call_soon_threadsafe(self._trouble, (topic, partition), "messages not read yet are gone")
        elif error.fatal() or topic is not None:
            self._loop.call_soon_threadsafe(self._trouble, topic or "a topic", error.name())
        else:
            _log.info("consumer.error", error=error.name())

    def _hold(self) -> None:
        """Pause and resume partitions as their lanes want it; polling goes on."""
        with self._lock:
            full = self._full & self._mine
        if pausing := full - self._paused:
            self._client.pause(_partitions(pausing))
        if resuming := self._paused - full:
            self._client.resume(_partitions(resuming & self._mine))
        self._paused = full

    def _commit(self, *, wait: bool, upto: Mapping[Place, int] | None = None) -> None:
        """Commit what is done and not committed yet."""
        if upto is None:
            with self._lock:
                upto = {place: offset for place, offset in self._upto.items() if place in self._mine}
        new = [TopicPartition(*place, offset) for place, offset in upto.items() if self._committed.get(place) != offset]
        if not new:
            return
        try:
            if wait:
                self._client.commit(offsets=new, asynchronous=False)
            else:
                self._client.commit(offsets=new, asynchronous=True)
        except KafkaException as refusal:  # said again with the next, or the next member works on it once more
            _log.info("consumer.uncommitted", error=refusal.args[0].name())

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            _log.info("consumer.uncommitted", error=error.name())
            return
        for one in partitions:
            if one.error is None and (one.topic, one.partition) in self._mine:
                self._committed[one.topic, one.partition] = one.offset

    def _measure(self) -> None:
        for place in self._mine:
            committed = self._committed.get(place)
            _, end = self._client.get_watermark_offsets(TopicPartition(*place), cached=True)
            if committed is not None and end >= committed:
                CONSUMER_LAG.labels(place[0], str(place[1])).set(end - committed)

    def _assigned(self, client: Client, partitions: list[TopicPartition]) -> None:
        """Begin where the group was, or at the beginning where it never was: no message is passed over."""
        begin = [
            TopicPartition(one.topic, one.partition, one.offset if one.offset >= 0 else OFFSET_BEGINNING)
            for one in self._known(client, partitions)
        ]
        client.incremental_assign(begin)
        firsts = {(one.topic, one.partition): one.offset if one.offset >= 0 else None for one in begin}
        self._mine |= set(firsts)
        self._committed |= {place: first for place, first in firsts.items() if first is not None}
        self._loop.call_soon_threadsafe(self._open, firsts)
        _log.info("consumer.assigned", partitions=sorted(firsts))

    def _known(self, client: Client, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return where the group is, however often that has to be asked; below 0 where it never was."""
        while not self._ending.is_set():
            try:
                return client.committed(partitions, timeout=_ANSWER_SECONDS)
            except KafkaException as refusal:
                _log.warning("consumer.unknown_offsets", error=refusal.args[0].name())
        return partitions

    def _revoked(self, _client: Client, partitions: list[TopicPartition]) -> None:
        """Finish what is in hand of these and commit it, before another member has them."""
        places = [(one.topic, one.partition) for one in partitions]
        self._commit(wait=True, upto=self._given_up(places, GIVE_UP_SECONDS))
        self._forget(places)
        _log.info("consumer.revoked", partitions=sorted(places))

    def _lost(self, _client: Client, partitions: list[TopicPartition]) -> None:
        """Leave what is in hand of these: another member has them already."""
        places = [(one.topic, one.partition) for one in partitions]
        self._given_up(places, 0)
        self._forget(places)
        _log.warning("consumer.lost", partitions=sorted(places))

    def _given_up(self, places: Sequence[Place], seconds: float) -> dict[Place, int]:
        asked = asyncio.run_coroutine_threadsafe(self._give_up(places, seconds), self._loop)
        return asked.result()

    def _forget(self, places: Sequence[Place]) -> None:
        self._mine -= set(places)
        self._paused -= set(places)
        for place in places:
            self._committed.pop(place, None)
            CONSUMER_LAG.labels(place[0], str(place[1])).set(0)


def _place(message: Incoming) -> Place:
    return message.topic, message.partition


def _partitions(places: set[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]


def _incoming(message: Message) -> Incoming:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return Incoming(topic, partition, offset, _bytes(message.key()), _bytes(message.value()), _headers(message))


def _headers(message: Message) -> tuple[tuple[str, bytes], ...]:
    given: Any = message.headers() or []  # a list, whatever its type may allow beside it
    return tuple((name, value or b"") for name, value in given)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
