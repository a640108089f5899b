"""Refunds that tests ask for, and the steps they take them through; events of the sandbox as deliveries."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from tests.orders import Shop, claimant

from counterfoil.domain.payment import Payment
from counterfoil.domain.refunding import Wish
from counterfoil.journey import conclude, recount, refund
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.store import notices, refunds
from counterfoil.store.notices import Delivery, NoticeId
from stripe_sandbox.sandbox import Server

TOTALS = "SELECT amount_captured, amount_refunded, amount_refund_reserved FROM payments WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Till:
    """Gives money back as the roles do."""

    shop: Shop

    async def ask(self, payment: Payment, amount: int | None = None, key: str = "key-1") -> refund.Asked:
        """Ask money back; a worker is still to send it."""
        return await refund.ask(self.shop.pool, self.shop.ids, Wish(payment.id, key, amount), self.shop.clock.now())

    async def claim(self) -> list[refund.Sending]:
        """Claim what is due to be sent."""
        shop = self.shop
        return await refund.claim_due(shop.pool, shop.stripe.refund, claimant(), shop.clock.now())

    async def send(self, stripe: StripeProcessor | None = None) -> list[refund.Heard]:
        """Send all that is due and record what is heard, as a worker's round does."""
        shop = self.shop
        heard = [await refund.call(stripe or shop.stripe, sending, shop.clock) for sending in await self.claim()]
        await refund.record(shop.pool, shop.ids, heard, shop.clock.now())
        return heard

    async def recount(self, stripe: StripeProcessor | None = None) -> int:
        """Ask about all that is due, as a worker's round does; return how many payments that were."""
        shop = self.shop
        traces = await recount.claim_due(shop.pool, claimant(), shop.clock.now())
        seen = [await recount.look(stripe or shop.stripe, trace) for trace in traces]
        await recount.record(shop.pool, shop.ids, seen, shop.clock.now())
        return len(traces)

    async def deliver(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Keep events as the receiver does, and read them as the worker does."""
        shop, deliveries = self.shop, []
        for event in events:
            body = json.dumps(event).encode()
            found = stripe_notices.identify(body)
            notice = NoticeId(found.account, found.livemode, found.event_id)
            deliveries.append(Delivery(notice, found.type, found.object_id, body))
        async with shop.pool.acquire() as connection:
            await notices.keep(connection, deliveries, shop.clock.now())
        await conclude.run(shop.pool, stripe_notices, shop.ids, shop.clock.now(), livemode=False)

    async def hint(self, payment: Payment) -> None:
        """Let something hint that a payment's refunds changed."""
        async with self.shop.pool.acquire() as connection:
            await refunds.look_soon(connection, [payment.id], self.shop.clock.now())

    async def totals(self, payment: Payment) -> tuple[int, int, int]:
        """What was captured, given back, and asked back, as the store has it."""
        row = await self.shop.pool.fetchrow(TOTALS, payment.id)
        assert row is not None
        return row["amount_captured"], row["amount_refunded"], row["amount_refund_reserved"]

    async def refunds(self) -> list[tuple[Any, ...]]:
        """Amount, state and reason of failure of every refund, the smallest first."""
        rows = await self.shop.pool.fetch("SELECT amount, state, failure_reason FROM refunds ORDER BY amount, id")
        return [tuple(row.values()) for row in rows]

    async def said(self, payment: Payment) -> list[str]:
        """The facts about a payment's refunds, in order."""
        return [name for _, name, _ in await self.shop.facts(payment) if name.startswith("Refund")]


async def by_hand(peer: Server, charge_id: str | None, amount: int, **metadata: str) -> None:
    """Give money back as somebody does in Stripe's dashboard."""
    form = {"charge": str(charge_id), "amount": str(amount)} | {f"metadata[{k}]": v for k, v in metadata.items()}
    headers = {"Authorization": "Bearer sk_test_journey"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{peer.url}/v1/refunds", data=form) as answer,
    ):
        assert answer.status == 200, await answer.text()
