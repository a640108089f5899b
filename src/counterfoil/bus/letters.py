"""Dead letters as a person finds them: which wait for a decision, sent back to where they came from, or let be.

A topic forgets nothing when asked, so what was decided is kept as the offsets of a group that nobody is a member of:
all below its offset, and those beyond that its metadata names.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from counterfoil.bus.dead_letters import PREFIX, as_it_came
from counterfoil.bus.message import Incoming, Outgoing, delivered
from counterfoil.bus.producer import Producer
from counterfoil.domain.errors import Unavailable
from counterfoil.messages.heard import HEARD
from counterfoil.messages.topics import DEAD_LETTERS

GROUP: Final = "counterfoil-dlq"
_ANSWER_SECONDS: Final = 15.0
_AT_ONCE: Final = 500

METADATA_BYTES: Final = 4096
"""What a broker keeps beside an offset, unless its settings say otherwise."""


class TooScattered(Exception):
    """What was decided leaves so many gaps that a broker does not keep them; the older letters have to go first."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. ``message`` stands on the topic of dead letters; without a value it cannot be sent back."""

    message: Incoming
    since: datetime

    @property
    def id(self) -> str:
        """What it is named by."""
        return self.message.place

    def told(self, name: str) -> str:
        """Return what one of its own headers says: reason, error, topic, partition, offset or attempts."""
        return self.message.header(PREFIX + name) or ""

    def as_it_came(self) -> Outgoing:
        """Return the message that became this letter, for the topic that it came from."""
        topic = self.message.topic.removesuffix(DEAD_LETTERS)
        return Outgoing(topic, self.message.key, self.message.value, as_it_came(self.message.headers))


async def waiting(config: Mapping[str, Any]) -> list[Letter]:
    """Return the letters on which nobody has decided, topic by topic and the oldest of each partition first.

    Raises:
        Unavailable: no broker answers.
    """
    return await asyncio.to_thread(_with_client, config, _waiting)


async def count(config: Mapping[str, Any]) -> Mapping[str, int]:
    """Return on how many letters nobody has decided, by the topics that have any; none of them is read.

    Raises:
        Unavailable: no broker answers.
    """
    found: Mapping[str, int] = await asyncio.to_thread(_with_client, config, _count)
    return found


async def settle(config: Mapping[str, Any], letters: Sequence[Letter]) -> None:
    """Record that these were decided on.

    Raises:
        Unavailable: no broker answers.
        TooScattered: too many gaps; nothing was recorded.
    """
    decided: dict[tuple[str, int], set[int]] = {}
    for one in letters:
        decided.setdefault((one.message.topic, one.message.partition), set()).add(one.message.offset)
    await asyncio.to_thread(_with_client, config, lambda client: _settle(client, decided))


async def send_back(config: Mapping[str, Any], letters: Sequence[Letter]) -> list[Letter]:
    """Put messages back on their topics as they came; return those letters of which it is known that they are there."""
    producer = Producer(config)
    try:
        told = await asyncio.gather(*(delivered(producer, one.as_it_came()) for one in letters))
    finally:
        await producer.close(_ANSWER_SECONDS)
    return [one for one, found in zip(letters, told, strict=True) if found is None]


def written(offsets: Collection[int]) -> str:
    """Return offsets as text, neighbours together: ``5-9,12``."""
    runs: list[list[int]] = []
    for offset in sorted(offsets):
        if runs and runs[-1][1] == offset - 1:
            runs[-1][1] = offset
        else:
            runs.append([offset, offset])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def read(text: str) -> set[int]:
    """Return the offsets that `written` wrote."""
    found: set[int] = set()
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _with_client(config: Mapping[str, Any], work: Any) -> Any:
    client = Client({**config, "group.id": GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    try:
        return work(client)
    except KafkaException as failure:
        raise Unavailable("broker at KAFKA_BROKERS") from failure
    finally:
        client.close()


def _decided(client: Client) -> dict[tuple[str, int], tuple[int, set[int]]]:
    """Return for each partition of dead letters up to where all were decided on, and which beyond that."""
    there = client.list_topics(timeout=_ANSWER_SECONDS).topics
    names = [topic.dead_letters for topic in HEARD.values() if topic.dead_letters in there]
    partitions = [TopicPartition(name, number) for name in names if name for number in sorted(there[name].partitions)]
    known = client.committed(partitions, timeout=_ANSWER_SECONDS) if partitions else []
    return {(one.topic, one.partition): (max(one.offset, 0), read(one.metadata or "")) for one in known}


def _count(client: Client) -> dict[str, int]:
    found: dict[str, int] = {}
    for (topic, partition), (upto, beyond) in _decided(client).items():
        first, end = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_SECONDS)
        begin = max(upto, first)
        left = end - begin - sum(begin <= offset < end for offset in beyond)
        if left > 0:
            found[topic] = found.get(topic, 0) + left
    return found


def _waiting(client: Client) -> list[Letter]:
    found: list[Letter] = []
    for (topic, partition), (upto, beyond) in _decided(client).items():
        first, end = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_SECONDS)
        if max(upto, first) < end:
            messages = _messages(client, TopicPartition(topic, partition, max(upto, first)), end)
            found += [_letter(one) for one in messages if one.offset() not in beyond]
    return found


def _messages(client: Client, begin: TopicPartition, end: int) -> Iterable[Message]:
    client.assign([begin])
    while (at := max(client.position([begin])[0].offset, begin.offset)) < end:
        messages = client.consume(min(_AT_ONCE, end - at), 1.0)  # as many as are there: it waits for all of them
        for one in messages:
            error = one.error()
            if error is None:
                yield one
            elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin so
                raise KafkaException(error)
    client.unassign()


def _settle(client: Client, decided: Mapping[tuple[str, int], set[int]]) -> None:
    before = _decided(client)
    moved = []
    for (topic, partition), offsets in decided.items():
        upto, beyond = before[topic, partition]
        first, _ = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_SECONDS)
        upto, beyond = max(upto, first), beyond | offsets  # what the broker has dropped by age is nobody's any more
        while upto in beyond:
            upto += 1
        metadata = written({offset for offset in beyond if offset > upto})
        if len(metadata) > METADATA_BYTES:
            raise TooScattered
        moved.append(TopicPartition(topic, partition, upto, metadata))
    if moved:  # librdkafka takes a commit of nothing for a mistake
        client.commit(offsets=moved, asynchronous=False)


def _letter(message: Message) -> Letter:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    headers: Any = message.headers() or []
    key: Any = message.key()
    value: Any = message.value()
    kept = Incoming(topic, partition, offset, key, value, tuple((name, one or b"") for name, one in headers))
    return Letter(kept, datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC))
