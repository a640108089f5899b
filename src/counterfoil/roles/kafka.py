"""Kafka as the settings name it, for the roles that say or hear something there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from counterfoil.bus.connection import client_config
from counterfoil.config import Settings
from counterfoil.roles.probes import Check

if TYPE_CHECKING:
    from counterfoil.bus.consumer import Consumer
    from counterfoil.bus.producer import Producer

BROKER_SECONDS: Final = 0.9
"""What a broker may take to answer a readiness check, which is cut off after a second."""

FLUSH_SECONDS: Final = 1.0
"""At the end; what was not heard of by then is said again by whoever comes next."""


def config_of(settings: Settings) -> dict[str, Any]:
    """Return how a client reaches the brokers of the settings, which must name some."""
    assert settings.kafka_brokers is not None, "whoever asks has looked"
    return client_config(settings.kafka_brokers, {name: one.reveal() for name, one in settings.kafka_config.items()})


@asynccontextmanager
async def open_producer(config: Mapping[str, Any]) -> AsyncIterator["Producer"]:
    """Yield the way to the brokers; what is on its way at the end is given a moment."""
    from counterfoil.bus.producer import Producer  # noqa: PLC0415 - librdkafka is for whoever has brokers

    producer = Producer(config)
    try:
        yield producer
    finally:
        await producer.close(FLUSH_SECONDS)


def broker_check(producer: "Producer") -> Check:
    """Return the check that a broker answers."""

    async def reach() -> None:
        await producer.reach(BROKER_SECONDS)

    return Check("kafka", reach)


def topics_check(consumer: "Consumer") -> Check:
    """Return the check that all topics of a consumer can be read."""

    async def topics() -> None:
        consumer.demand_sound()

    return Check("topics", topics)
