"""The dispatcher: brings orders from Kafka to the gateway. It holds no key of the processor's, and no database."""

import asyncio
from typing import Final

import structlog

from counterfoil.bus.consumer import Consumer
from counterfoil.bus.lane import Hands
from counterfoil.bus.producer import Producer
from counterfoil.config import Settings
from counterfoil.domain.errors import Unavailable
from counterfoil.messages.order_placed import OrderPlaced
from counterfoil.messages.topics import TOPIC_OF
from counterfoil.roles import probes
from counterfoil.roles.dispatcher.dispatching import Dispatching
from counterfoil.roles.dispatcher.gateway import Gateway, open_gateway
from counterfoil.roles.hearing import hearing
from counterfoil.roles.kafka import broker_check, config_of, open_producer, topics_check
from counterfoil.roles.probes import Check
from counterfoil.roles.serving import serve
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.runtime.shutdown import Shutdown

GROUP: Final = "counterfoil-dispatcher"
ORDER: Final = OrderPlaced.__name__

DRAIN_SECONDS: Final = 10.0
"""Of the 15 s in which a role ends: what the gateway has not answered by then is brought once more by the next."""

BODY_LIMIT_BYTES: Final = 1024

_log = structlog.get_logger()


async def run(settings: Settings, shutdown: Shutdown) -> None:
    """Bring orders until asked to stop; those that are on their way are brought there."""
    assert settings.payments_gateway_url is not None
    assert settings.payments_gateway_token is not None
    clock = SystemClock()
    ids = TimeOrderedIds(clock)
    config = config_of(settings)
    async with (
        open_gateway(settings.payments_gateway_url, settings.payments_gateway_token) as gateway,
        open_producer(config) as producer,
    ):
        hands = Hands(hearing({ORDER: Dispatching(gateway, clock).bring}), producer, clock)
        consumer = Consumer(config, GROUP, [TOPIC_OF[ORDER]], hands)
        await serve(
            probes.application(_checks(gateway, producer, consumer), REGISTRY, shutdown),
            host=settings.listen_address,
            port=settings.port,
            body_limit_bytes=BODY_LIMIT_BYTES,
            new_request_id=lambda: str(ids.new()),
            shutdown=shutdown,
        )
        await _finish(consumer, shutdown)


async def _finish(consumer: Consumer, shutdown: Shutdown) -> None:
    """Return when what is in hand is done and committed, or its time is over."""
    closing = asyncio.create_task(consumer.close(DRAIN_SECONDS))
    await shutdown.wait_for(closing)
    closing.cancel()


def _checks(gateway: Gateway, producer: Producer, consumer: Consumer) -> list[Check]:
    async def ready() -> None:
        if not await gateway.is_ready():
            raise Unavailable("gateway")

    return [broker_check(producer), topics_check(consumer), Check("gateway", ready)]
