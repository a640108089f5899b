"""How Kafka stands, for whoever examines an installation: whether it lets us in, and what is left unread."""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Consumer as Client

from counterfoil.domain.errors import Unavailable

REACH_SECONDS: Final = 5.0
"""A broker answers in milliseconds, and one that refuses is asked again all the while."""

_ANSWER_SECONDS: Final = 15.0
_GROUP: Final = "counterfoil-doctor"
_WHEN: Final = re.compile(r" \(after \d+ms in state \w+\)$")
_WHERE: Final = re.compile(r"^.*?/(?:bootstrap|\d+): ")


class Refusal(StrEnum):
    """What stands between us and the brokers."""

    UNREACHABLE = "unreachable"
    TLS = "tls"
    SASL = "sasl"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class Greeting:
    """How many brokers there are and which topics; or why nobody answered, in the client's words."""

    brokers: int
    topics: frozenset[str]
    refusal: Refusal | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """How many messages a group has not passed, and how many of them were there at a time."""

    count: int
    since: int


async def greet(config: Mapping[str, Any]) -> Greeting:
    """Return what the brokers say of themselves, or what they refuse."""
    return await asyncio.to_thread(_greet, config)


async def unread(config: Mapping[str, Any], group: str, topics: Sequence[str], at: datetime) -> Unread:
    """Return what a group has left unread of topics that are there, now and of what was there at a time.

    It is asked as the group, which takes no part in it: librdkafka 2.16 dies of asking for it as an administrator.

    Raises:
        Unavailable: no broker answers.
    """
    return await asyncio.to_thread(_unread, config, group, topics, at)


def _greet(config: Mapping[str, Any]) -> Greeting:
    heard: list[KafkaError] = []
    try:
        client = Client({**config, "group.id": _GROUP, "error_cb": heard.append})
    except KafkaException as refusal:  # its words may hold what stands in the settings
        return Greeting(0, frozenset(), Refusal.SETTINGS, refusal.args[0].name())
    try:
        listed = client.list_topics(timeout=REACH_SECONDS)
    except KafkaException as failure:
        client.poll(0)  # which hands over what was heard
        return _refused(heard or [failure.args[0]])
    finally:
        client.close()
    return Greeting(len(listed.brokers), frozenset(listed.topics))


def _refused(heard: Sequence[KafkaError]) -> Greeting:
    """Return the refusal that says most: one broker of several may be away, and another refuse us."""
    found = [(_kind(one), _WHERE.sub("", _WHEN.sub("", one.str()))) for one in heard]
    for kind in (Refusal.SASL, Refusal.TLS, Refusal.UNREACHABLE):
        for told, why in found:
            if told is kind:
                return Greeting(0, frozenset(), kind, why)
    raise AssertionError("every error is of a kind")


def _kind(error: KafkaError) -> Refusal:
    if error.code() in {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}:  # noqa: SLF001 - librdkafka's own codes begin so
        return Refusal.SASL
    if error.code() == KafkaError._SSL or "SSL_HANDSHAKE" in error.str():  # noqa: SLF001 - the same
        return Refusal.TLS
    return Refusal.UNREACHABLE


def _unread(config: Mapping[str, Any], group: str, topics: Collection[str], at: datetime) -> Unread:
    client = Client({**config, "group.id": group, "enable.auto.commit": False})
    try:
        there = client.list_topics(timeout=_ANSWER_SECONDS).topics
        places = [TopicPartition(name, one) for name in topics if name in there for one in there[name].partitions]
        if not places:
            return Unread(0, 0)
        passed = client.committed(places, timeout=_ANSWER_SECONDS)
        moment = int(at.timestamp() * 1000)
        later = client.offsets_for_times(
            [TopicPartition(one.topic, one.partition, moment) for one in places], timeout=_ANSWER_SECONDS
        )
        count = since = 0
        for done, then in zip(passed, later, strict=True):
            first, end = client.get_watermark_offsets(done, timeout=_ANSWER_SECONDS)
            upto = max(done.offset, first)  # a new group begins at the beginning
            count += max(0, end - upto)
            since += max(0, (end if then.offset == OFFSET_END else then.offset) - upto)
        return Unread(count, since)
    except KafkaException as failure:
        raise Unavailable("broker at KAFKA_BROKERS") from failure
    finally:
        client.close()
