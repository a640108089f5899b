"""A notice that names a payment which is not here waits, is counted, and is read once the payment appears."""

import re

import httpx
from tests import deliveries
from tests.stage import Running, Stage, authority, becomes, fetch

PAYMENT = "0190a000-0000-7000-8000-00000000cafe"
COMMAND = {
    "payment_id": PAYMENT,
    "amount": "19.99",
    "currency": "EUR",
    "payment_method": {"type": "card", "token": "pm_card_visa"},
    "idempotency_key": "late",
}
OUT_OF_PATIENCE = "UPDATE notices SET tries = 7, next_try_at = now() WHERE state = 'kept' RETURNING event_id"


async def gauge(http: httpx.AsyncClient, worker: Running, name: str) -> float:
    """Return what a gauge of what waits for its payment shows."""
    text = (await http.get(f"{worker.url}/metrics")).text
    found = re.search(rf'^counterfoil_{name}{{waits_for="payment"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else -1.0


async def test_it_is_claimed_when_its_payment_appears(stage: Stage, http: httpx.AsyncClient) -> None:
    """Delivered before anybody asked for the payment: parked and counted; then the order comes under that very id."""
    receiver, gateway, worker = stage.start("webhook-receiver"), stage.start("gateway"), stage.start("worker")
    thing = {"id": "ch_early", "object": "charge", "metadata": {"payment_id": PAYMENT}}
    body = deliveries.encoded(deliveries.event("early", "charge.refunded", data={"object": thing}))
    await http.post(f"{receiver.url}/webhooks/stripe", content=body, headers=deliveries.signed(body))
    await becomes([("evt_early",)], lambda: fetch(stage, OUT_OF_PATIENCE))
    await becomes(1.0, lambda: gauge(http, worker, "parked_notices"))
    assert await gauge(http, worker, "oldest_parked_notice_seconds") > 0.0

    headers = await authority(stage)
    taken = await http.post(f"{gateway.url}/payments", json=COMMAND, headers=headers)

    assert taken.status_code == 202
    notice = "SELECT state, reason, payment_id::text FROM notices WHERE deliveries > 0"
    await becomes([("done", "its charge is asked for", PAYMENT)], lambda: fetch(stage, notice))
    await becomes([("succeeded", 1999)], lambda: fetch(stage, "SELECT state, amount_captured FROM payments"))
    await becomes(0.0, lambda: gauge(http, worker, "parked_notices"))
