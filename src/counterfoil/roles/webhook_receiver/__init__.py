"""The webhook receiver: verify, keep, acknowledge. What a notice means is read later, by the worker."""

from collections.abc import Sequence
from typing import Final

from counterfoil.config import Role, SecretsSource, Settings, SigningSecret, load_from_process
from counterfoil.roles import probes
from counterfoil.roles.serving import serve
from counterfoil.roles.tending import database_check, tended
from counterfoil.roles.webhook_receiver.endpoint import Endpoint
from counterfoil.roles.webhook_receiver.keeping import Keeping
from counterfoil.roles.webhook_receiver.signing import Signing
from counterfoil.roles.world import open_world
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.runtime.shutdown import Shutdown

BODY_LIMIT_BYTES: Final = 1024 * 1024
"""Stripe's events are a few kilobytes; a hundred times that is still no event."""

CONNECTIONS: Final = 5
"""One batch is written at a time; the rest is for probes."""


async def run(settings: Settings, shutdown: Shutdown) -> None:
    """Serve until asked to stop; every delivery in hand is kept and acknowledged first."""
    async with open_world(settings, "webhook-receiver", largest=CONNECTIONS) as world, tended(world):
        signing = Signing(settings.stripe_webhook_secrets, world.clock)
        checks = probes.application([database_check(world)], REGISTRY, shutdown)
        keeping = Keeping(world)
        reread = _as_set if settings.secrets_source is SecretsSource.FILE else None
        async with signing.followed(reread):
            await serve(
                Endpoint(keeping, signing, world.clock, otherwise=checks),
                host=settings.listen_address,
                port=settings.port,
                body_limit_bytes=BODY_LIMIT_BYTES,
                new_request_id=world.request_id,
                shutdown=shutdown,
                allowed_hosts=settings.allowed_hosts,
            )
        await keeping.drain()


def _as_set() -> Sequence[SigningSecret]:
    return load_from_process(Role.WEBHOOK_RECEIVER).stripe_webhook_secrets
