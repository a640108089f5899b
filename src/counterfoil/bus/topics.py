"""The topics at the broker: made, and compared with what they should be."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from counterfoil.domain.errors import Unavailable
from counterfoil.messages.topics import TOPICS

PARTITIONS: Final = 3
RETENTION_MS: Final = 7 * 24 * 3600 * 1000
COMPRESSION: Final = "lz4"

COMPACTED: Final = "is compacted: facts would be lost"
"""What differs where it does most harm."""

_ANSWER_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the broker has it: ``missing``, or what differs from what it should be; nothing where all is well."""

    name: str
    missing: bool = False
    differs: tuple[str, ...] = ()


class NotMade(Exception):
    """The broker refuses to make a topic."""


def names() -> list[str]:
    """Return every topic that is to be there, those of dead letters among them."""
    found = []
    for topic in TOPICS:
        found.append(topic.name)
        if topic.dead_letters is not None:
            found.append(topic.dead_letters)
    return found


async def check(config: Mapping[str, Any]) -> list[Found]:
    """Return how each topic stands, in the order of `names`.

    Raises:
        Unavailable: no broker answers.
    """
    return await asyncio.to_thread(_check, AdminClient(dict(config)))


async def create(config: Mapping[str, Any], replicas: int) -> list[str]:
    """Make the topics that are missing, and return their names. Those that are there are left as they are.

    Raises:
        Unavailable: no broker answers.
        NotMade: the broker refuses to make one; the sentence has its reason.
    """
    return await asyncio.to_thread(_create, AdminClient(dict(config)), replicas)


def _check(admin: AdminClient) -> list[Found]:
    known = _partitions(admin)
    there = [name for name in names() if name in known]
    settings = _settings(admin, there)
    found = []
    for name in names():
        if name not in known:
            found.append(Found(name, missing=True))
            continue
        differs = []
        if known[name] < PARTITIONS:
            differs.append(f"has {known[name]} partitions, not {PARTITIONS}")
        if settings[name].get("cleanup.policy") != "delete":
            differs.append(COMPACTED)
        kept = int(settings[name].get("retention.ms", "-1"))
        if 0 <= kept < RETENTION_MS:
            differs.append(f"keeps messages {kept // 3_600_000} h, less than 7 days")
        found.append(Found(name, differs=tuple(differs)))
    return found


def _create(admin: AdminClient, replicas: int) -> list[str]:
    known = _partitions(admin)
    config = {"retention.ms": str(RETENTION_MS), "compression.type": COMPRESSION, "cleanup.policy": "delete"}
    wanted = [
        NewTopic(name, num_partitions=PARTITIONS, replication_factor=replicas, config=config)
        for name in names()
        if name not in known
    ]
    if not wanted:
        return []
    made = []
    for name, made_one in admin.create_topics(wanted, operation_timeout=_ANSWER_SECONDS).items():
        try:
            made_one.result(_ANSWER_SECONDS)
        except KafkaException as refusal:
            error: KafkaError = refusal.args[0]
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was faster
                raise NotMade(f"{name}: {error.str()}") from None
        else:
            made.append(name)
    return [name for name in names() if name in made]


def _partitions(admin: AdminClient) -> dict[str, int]:
    try:
        listed = admin.list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException as refusal:
        raise Unavailable("broker at KAFKA_BROKERS") from refusal
    return {name: len(topic.partitions) for name, topic in listed.topics.items()}


def _settings(admin: AdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics])
    found = {}
    for resource, answer in asked.items():
        found[resource.name] = {name: entry.value or "" for name, entry in answer.result(_ANSWER_SECONDS).items()}
    return found
