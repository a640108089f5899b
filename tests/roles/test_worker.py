"""The worker as a process: what waited for it is done, and what others left is taken over."""

import asyncio

import httpx
from tests import deliveries
from tests.stage import Stage, authority, becomes, fetch, order


async def test_notices_kept_while_no_worker_ran_are_read(stage: Stage, http: httpx.AsyncClient) -> None:
    """A customer's approval that came in the meantime makes the payment succeed; a bad notice among them stops none."""
    receiver = stage.start("webhook-receiver")
    gateway = stage.start("gateway")
    body = order(1, payment_method="pm_card_threeDSecure2Required")
    opened = (await http.post(f"{gateway.url}/charge", json=body, headers=await authority(stage))).json()
    intent = {
        "id": opened["payment_intent_id"],
        "object": "payment_intent",
        "status": "succeeded",
        "amount_received": 1999,
        "latest_charge": "ch_approved",
        "metadata": {"payment_id": opened["payment_id"]},
    }
    broken = {**intent, "status": "unheard_of", "id": "pi_broken"}
    for name, thing in (("a", broken), ("b", intent), ("c", {"id": "pi_foreign", "status": "succeeded"})):
        delivery = deliveries.encoded(deliveries.event(name, data={"object": thing}))
        await http.post(f"{receiver.url}/webhooks/stripe", content=delivery, headers=deliveries.signed(delivery))
    assert opened["status"] == "requires_action"

    worker = stage.start("worker")

    await becomes([("succeeded", 1999)], lambda: fetch(stage, "SELECT state, amount_captured FROM payments"))
    delivered = "SELECT event_id, state FROM notices WHERE deliveries > 0 ORDER BY event_id"
    states = await fetch(stage, delivered)  # the worker finds the events of the charge by itself, in its own time
    assert states == [("evt_a", "parked"), ("evt_b", "done"), ("evt_c", "foreign")]
    causes = await fetch(stage, "SELECT name, cause_source FROM facts ORDER BY version")
    assert causes[-1] == ("PaymentSucceeded", "notice")
    assert worker.process.poll() is None


async def test_an_attempt_of_a_gateway_that_died_is_settled_once(stage: Stage, http: httpx.AsyncClient) -> None:
    """Killed with 20 charges at the processor: once its claims end a worker sends the same keys, one charge for each.

    While Stripe is still busy with the first send it says that the key is in use; that is no news and no alarm.
    """
    stage.start_sandbox("--latency", "2")
    gateway = stage.start("gateway")
    headers = await authority(stage)
    async with httpx.AsyncClient(trust_env=False) as doomed:
        await lose(gateway_url=gateway.url, http=doomed, headers=headers, stage=stage)
    gateway.kill()
    await fetch(stage, "UPDATE attempts SET claim_expires_at = now() RETURNING number")
    await fetch(stage, "UPDATE payments SET next_check_at = now() RETURNING id")

    worker = stage.start("worker")

    await becomes(
        [("succeeded", 20)], lambda: fetch(stage, "SELECT state, count(*) FROM payments GROUP BY state"), seconds=45
    )
    charges = (
        await http.get(f"{stage.sandbox_url}/v1/charges?limit=100", headers={"Authorization": "Bearer sk_test_stage"})
    ).json()["data"]
    mine = await fetch(stage, "SELECT charge_id FROM attempts")
    assert {(charge["id"],) for charge in charges} == set(mine)
    assert len(charges) == 20
    assert "authorize.alarm" not in worker.log()


async def lose(*, gateway_url: str, http: httpx.AsyncClient, headers: dict[str, str], stage: Stage) -> None:
    """Post 20 charges whose answers nobody will hear; return once all are on record as sent."""
    posts = [
        asyncio.create_task(http.post(f"{gateway_url}/charge", json=order(number), headers=headers))
        for number in range(20)
    ]
    await becomes([(20,)], lambda: fetch(stage, "SELECT count(*) FROM attempts WHERE state = 'sent'"))
    for post in posts:
        post.cancel()
    await asyncio.gather(*posts, return_exceptions=True)


async def test_a_capture_whose_end_the_gateway_did_not_see_is_settled(stage: Stage, http: httpx.AsyncClient) -> None:
    """Its answer was lost and no webhook comes: a worker sends the same under the same key, and it is taken once."""
    gateway = stage.start("gateway")
    headers = await authority(stage)
    held = (await http.post(f"{gateway.url}/charge", json=order(1, capture_method="manual"), headers=headers)).json()
    lost = {"fault": "lose_answer", "path": "/v1/payment_intents/*/capture"}
    (await http.post(f"{stage.sandbox_url}/_sandbox/faults", json=lost)).raise_for_status()
    path = f"{gateway.url}/payments/{held['payment_id']}/capture"
    asked = await http.post(path, json={"amount": 500}, headers=headers)
    await fetch(stage, "UPDATE payments SET next_check_at = now() RETURNING id")

    stage.start("worker")

    await becomes([("succeeded", 500)], lambda: fetch(stage, "SELECT state, amount_captured FROM payments"))
    key = {"idempotency_key": "event-1:capture:1"}
    log = (await http.get(f"{stage.sandbox_url}/_sandbox/requests", params=key)).json()["requests"]
    assert (asked.status_code, asked.json()["amount_to_capture"], len(log)) == (202, 500, 2)
    assert len({one["body"] for one in log}) == 1


async def test_pitfall_27_how_long_the_oldest_claim_is_held_is_measured(stage: Stage, http: httpx.AsyncClient) -> None:
    """While a gateway waits for Stripe its claim has an age; once the outcome is on record there is none."""
    stage.start_sandbox("--latency", "6")
    gateway, worker, headers = stage.start("gateway"), stage.start("worker"), await authority(stage)

    async def age() -> float:
        text = (await http.get(f"{worker.url}/metrics")).text
        (line,) = [line for line in text.splitlines() if line.startswith("counterfoil_oldest_claim_seconds ")]
        return float(line.split()[-1])

    charged = asyncio.create_task(http.post(f"{gateway.url}/charge", json=order(1), headers=headers))
    held = await becomes(lambda found: found > 0, age)
    assert ((await charged).status_code, held < 60) == (200, True)
    await becomes(0.0, age)
