"""Events as Stripe delivers them, kept as the receiver keeps them, and read as the worker reads them."""

import json
from typing import Any

from tests.orders import Shop

from counterfoil.domain.payment import Payment
from counterfoil.journey import conclude
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.store import notices
from counterfoil.store.notices import Delivery, NoticeId, NoticeState
from stripe_sandbox.sandbox import Sandbox


def events_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every event the sandbox made, oldest first, as a delivery would carry it."""
    return [json.loads(json.dumps(made)) for made in sandbox.account().events]


def event(kind: str, thing: dict[str, Any], event_id: str = "evt_1", **changes: Any) -> dict[str, Any]:
    """An event as Stripe writes it."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2024-06-20",
        "created": 1_772_366_400,
        "livemode": False,
        "type": kind,
        "data": {"object": thing},
    } | changes


def intent(payment: Payment, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """A PaymentIntent of a payment of ours."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount_received": 1999,
        "latest_charge": "ch_1",
        "metadata": {"payment_id": str(payment.id)},
    } | changes


async def keep(shop: Shop, *events: dict[str, Any]) -> None:
    """Keep deliveries as the receiver does."""
    deliveries = []
    for one in events:
        body = json.dumps(one).encode()
        found = stripe_notices.identify(body)
        notice = NoticeId(found.account, found.livemode, found.event_id)
        deliveries.append(Delivery(notice, found.type, found.object_id, body))
    async with shop.pool.acquire() as connection:
        await notices.keep(connection, deliveries, shop.clock.now())


async def run(shop: Shop) -> dict[NoticeState, int]:
    """Read what was kept, and return how many notices ended how."""
    return dict(await conclude.run(shop.pool, stripe_notices, shop.ids, shop.clock.now(), livemode=False))
