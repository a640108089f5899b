"""The gateway: takes orders over HTTP, calls the processor, and answers what people and programs ask."""

from typing import Final

from counterfoil.config import Settings
from counterfoil.roles import probes
from counterfoil.roles.gateway.application import application
from counterfoil.roles.gateway.authentication import Doorkeeper
from counterfoil.roles.gateway.charging import Charging
from counterfoil.roles.gateway.routing import Gateway
from counterfoil.roles.gateway.unusual import Unusual
from counterfoil.roles.processor import open_processor
from counterfoil.roles.serving import serve
from counterfoil.roles.tending import database_check, restore_check, tended
from counterfoil.roles.wishing import screening_of
from counterfoil.roles.world import open_world, owner_name
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.runtime.shutdown import Shutdown

BODY_LIMIT_BYTES: Final = 64 * 1024
"""An order with two hundred items and full metadata is half of this."""

CONNECTIONS: Final = 10
"""Batches need two, readers the rest; PostgreSQL's own default allows a hundred in all."""


async def run(settings: Settings, shutdown: Shutdown) -> None:
    """Serve until asked to stop, then finish what is in hand."""
    async with (
        open_world(settings, "gateway", largest=CONNECTIONS) as world,
        open_processor(settings, world) as processor,
    ):
        screening = screening_of(settings)
        owner = owner_name("gateway", world.ids)
        unusual = Unusual(world)
        charging = Charging(world, processor, owner, shutdown.requested, screening=screening, noting=unusual.note)
        gateway = Gateway(
            world=world,
            charging=charging,
            doorkeeper=Doorkeeper(world.pool, world.clock),
            shutdown=shutdown,
            default_method=settings.default_payment_method,
            screening=screening,
            return_url=settings.return_url,
            livemode=processor.livemode,
        )
        routes = probes.routes([database_check(world), restore_check(world, needed=False)], REGISTRY, shutdown)
        async with tended(world), unusual.kept_up():
            await serve(
                application(gateway, list(routes)),
                host=settings.listen_address,
                port=settings.port,
                body_limit_bytes=BODY_LIMIT_BYTES,
                new_request_id=world.request_id,
                shutdown=shutdown,
                allowed_hosts=settings.allowed_hosts,
            )
            await charging.drain()
