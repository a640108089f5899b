"""An endpoint at Stripe is replaced by another one, while payments go on."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.acceptance.merchant import Merchant, merchant_at
from tests.stage import KEY, Running, Stage, becomes, fetch, free_port, order

from counterfoil.processors.stripe.notices import HANDLED_EVENTS

OLD_VERSION = "2023-10-16"
AGAIN_SECONDS = 301
"""After a refusal Stripe delivers again five minutes later."""


@dataclass(slots=True)
class Shop:
    """A merchant with an endpoint at the sandbox, and the receiver behind it."""

    stage: Stage
    merchant: Merchant
    http: httpx.AsyncClient
    old: Any
    port: str
    receiver: Running
    orders: int = 0
    payments: list[str] = field(default_factory=list)

    async def upgrade(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command as an operator does."""
        settings = {"STRIPE_KEY": KEY, "STRIPE_API_BASE": self.stage.sandbox_url}
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "counterfoil", "upgrade-webhook", *arguments],
            cwd=self.stage.folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def endpoints(self) -> list[tuple[str, str]]:
        """Return what is registered at the sandbox: ids and versions."""
        found = await self.merchant.at_stripe(self.http, "GET", "/v1/webhook_endpoints")
        return sorted((one["id"], one["api_version"]) for one in found["data"])

    async def pay(self, count: int) -> None:
        """Take payments, each of which succeeds."""
        for _ in range(count):
            self.orders += 1
            answer = await self.merchant.charge(self.http, order(self.orders))
            assert answer.status_code == 200
            self.payments.append(answer.json()["payment_id"])

    async def restart(self, *secrets: str) -> None:
        """Put another receiver in the place of the one that runs, with these secrets."""
        self.receiver.terminate()
        assert await asyncio.to_thread(self.receiver.ended) == 0
        joined = ",".join(secrets)
        self.receiver = self.stage.start("webhook-receiver", PORT=self.port, STRIPE_WEBHOOK_SECRETS=joined)

    async def pending(self) -> list[int]:
        """Return how many endpoints have yet to take each event that we read."""
        return [event["pending_webhooks"] for event in await self.events()]

    async def events(self) -> list[Any]:
        """Return every event at the sandbox of a type that we read."""
        page = await self.merchant.at_stripe(self.http, "GET", "/v1/events?limit=100")
        assert page["has_more"] is False
        return [event for event in page["data"] if event["type"] in HANDLED_EVENTS]

    async def unheard(self) -> set[str]:
        """Return the events that are not read yet."""
        read = {row[0] for row in await fetch(self.stage, "SELECT event_id FROM notices WHERE state <> 'kept'")}
        return {event["id"] for event in await self.events()} - read


@pytest.fixture
async def shop(stage: Stage, http: httpx.AsyncClient) -> Shop:
    """Everything runs, and its endpoint was made for an older version of Stripe's API."""
    merchant, port = await merchant_at(stage), str(free_port())
    form = {"url": f"http://127.0.0.1:{port}/webhooks/stripe", "enabled_events[]": "*", "api_version": OLD_VERSION}
    headers = {"Authorization": f"Bearer {KEY}"}
    made = await http.post(f"{stage.sandbox_url}/v1/webhook_endpoints", data=form, headers=headers)
    old = made.json()
    stage.start("worker")
    receiver = stage.start("webhook-receiver", PORT=port, STRIPE_WEBHOOK_SECRETS=old["secret"])
    return Shop(stage, merchant, http, old, port, receiver)


async def all_succeeded_once(shop: Shop) -> None:
    """No event was lost, and none had its effect twice, though many came by two ways."""
    await becomes(set(), shop.unheard)
    query = "SELECT payment_id::text, count(*) FROM facts WHERE name = 'PaymentSucceeded' GROUP BY 1"
    assert sorted(await fetch(shop.stage, query)) == sorted((one, 1) for one in shop.payments)
    charges = await shop.merchant.at_stripe(shop.http, "GET", "/v1/charges?limit=100")
    assert sorted(one["metadata"]["payment_id"] for one in charges["data"]) == sorted(shop.payments)


async def test_pitfall_16_an_endpoint_is_replaced_and_no_event_is_lost_or_counts_twice(shop: Shop) -> None:
    """Payments before, while and after: refused deliveries come again, both ways are one, the old one goes last."""
    await shop.pay(2)
    begun = await shop.upgrade()
    secret = begun.stdout.strip()
    assert (begun.returncode, secret[:6], secret in begun.stderr) == (0, "whsec_", False)
    await shop.pay(2)  # the new endpoint's deliveries are refused: nobody knows its secret

    await becomes([1] * 4 + [0] * 4, shop.pending)
    await shop.restart(secret, shop.old["secret"])
    early = await shop.upgrade("--finish")
    await shop.merchant.script(shop.http, "clock", {"advance_seconds": AGAIN_SECONDS})
    await shop.pay(2)
    await becomes([0] * 12, shop.pending)
    ((twice,),) = await fetch(shop.stage, "SELECT count(*) FROM notices WHERE deliveries = 2")
    done = await shop.upgrade("--finish")
    await shop.restart(secret)
    await shop.pay(2)

    assert (early.returncode, "no event has been delivered to both" in early.stderr) == (1, True)
    assert (done.returncode, done.stdout) == (0, "")
    ((left, version),) = await shop.endpoints()
    assert (left != shop.old["id"], version, twice >= 8) == (True, "2024-06-20", True)
    await becomes([0] * 16, shop.pending)
    await all_succeeded_once(shop)


async def test_an_upgrade_can_be_taken_back(shop: Shop) -> None:
    """The old endpoint was there all the time, and goes on alone; there is nothing to finish then."""
    await shop.pay(1)
    begun = await shop.upgrade()
    again = await shop.upgrade()
    await shop.pay(1)
    back = await shop.upgrade("--roll-back")
    await shop.pay(1)
    late = await shop.upgrade("--finish")

    assert [one.returncode for one in (begun, again, back, late)] == [0, 1, 0, 1]
    assert "is on its way to replace" in again.stderr
    assert late.stderr == "counterfoil: no upgrade is under way\n"
    assert await shop.endpoints() == [(shop.old["id"], OLD_VERSION)]
    await becomes([0] * 6, shop.pending)
    await all_succeeded_once(shop)


async def test_who_was_stopped_while_finishing_finishes_by_doing_it_again(shop: Shop) -> None:
    """The old endpoint is deleted and the new one still says that it replaces it: after a second time it does not."""
    begun = await shop.upgrade()
    await shop.merchant.at_stripe(shop.http, "DELETE", f"/v1/webhook_endpoints/{shop.old['id']}")
    back = await shop.upgrade("--roll-back")
    done = await shop.upgrade("--finish")
    again = await shop.upgrade("--finish")

    assert [one.returncode for one in (begun, back, done, again)] == [0, 1, 0, 1]
    assert back.stderr.startswith(f"counterfoil: {shop.old['id']} is deleted: without we_")
    assert again.stderr == "counterfoil: no upgrade is under way\n"
    found = await shop.merchant.at_stripe(shop.http, "GET", "/v1/webhook_endpoints")
    assert [one["metadata"] for one in found["data"]] == [{}]


async def test_what_waits_to_be_delivered_is_waited_for(shop: Shop) -> None:
    """While events are under way to the old endpoint it is not deleted, unless somebody says so."""
    begun = await shop.upgrade()
    await shop.restart(begun.stdout.strip(), shop.old["secret"])
    await shop.pay(1)
    await becomes([0] * 2, shop.pending)
    shop.receiver.kill()
    await shop.pay(1)
    waits = await shop.upgrade("--finish")
    anyway = await shop.upgrade("--finish", "--anyway")

    assert (waits.returncode, "2 events wait to be delivered" in waits.stderr) == (1, True)
    assert (anyway.returncode, len(await shop.endpoints())) == (0, 1)


async def test_the_first_endpoint_is_made_where_one_is_told(shop: Shop) -> None:
    """At another address there is none yet; then there is one, in our version, with all that we read."""
    made = await shop.upgrade("--url", "https://pay.example")
    found = await shop.merchant.at_stripe(shop.http, "GET", "/v1/webhook_endpoints")
    (new,) = [one for one in found["data"] if one["id"] != shop.old["id"]]
    assert (made.returncode, made.stdout[:6]) == (0, "whsec_")
    assert (new["url"], new["metadata"]) == ("https://pay.example/webhooks/stripe", {})
    assert sorted(new["enabled_events"]) == sorted(HANDLED_EVENTS)
    both = await shop.upgrade("--finish", "--roll-back")
    assert both.returncode == 2
