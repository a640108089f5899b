"""Roles at a Stripe that takes 25 requests a second: questions give way, and no charge is refused."""

import asyncio
from functools import partial

import httpx
from tests.stage import KEY, Running, Stage, authority, becomes, fetch, free_port, order

from counterfoil.store.tokens import Scope

LIMIT = "25"
HINTED = 60
OLDER_VERSION = "2022-08-01"


async def refused(http: httpx.AsyncClient, stage: Stage) -> list[str]:
    """Which requests the sandbox answered 429."""
    log = (await http.get(f"{stage.sandbox_url}/_sandbox/requests")).json()["requests"]
    return [f"{entry['method']} {entry['path']}" for entry in log if entry["status"] == httpx.codes.TOO_MANY_REQUESTS]


async def sample(http: httpx.AsyncClient, running: Running, name: str) -> float:
    for line in (await http.get(f"{running.url}/metrics")).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


async def start_hinting_receiver(http: httpx.AsyncClient, stage: Stage) -> None:
    """Start a receiver whose endpoint gets events in an older version: each is a hint to ask for its object."""
    port = str(free_port())
    endpoint = await http.post(
        f"{stage.sandbox_url}/v1/webhook_endpoints",
        data={
            "url": f"http://127.0.0.1:{port}/webhooks/stripe",
            "enabled_events[]": "payment_intent.requires_action",
            "api_version": OLDER_VERSION,
        },
        headers={"Authorization": f"Bearer {KEY}"},
    )
    stage.start("webhook-receiver", PORT=port, STRIPE_WEBHOOK_SECRETS=endpoint.json()["secret"])


async def test_pitfall_11_a_burst_of_notices_never_turns_into_refused_charges(
    stage: Stage, http: httpx.AsyncClient
) -> None:
    """Sixty hints want sixty look-ups at once while charges go on: nothing is refused, and all of them are made."""
    stage.start_sandbox("--rate-limit", LIMIT)
    await start_hinting_receiver(http, stage)
    headers = await authority(stage, Scope.CHARGE, Scope.READ)
    gateway = stage.start("gateway", STRIPE_RATE_LIMIT=LIMIT)

    async def charged(numbers: range, method: str) -> set[int]:
        bodies = [order(number, payment_method=method) for number in numbers]
        asked = [http.post(f"{gateway.url}/charge", json=body, headers=headers) for body in bodies]
        return {answer.status_code for answer in await asyncio.gather(*asked)}

    for first in range(0, HINTED, 10):
        assert await charged(range(first, first + 10), "pm_card_threeDSecure2Required") == {202}
    await becomes([(HINTED,)], lambda: fetch(stage, "SELECT count(*) FROM notices WHERE deliveries > 0"))

    worker = stage.start("worker", STRIPE_RATE_LIMIT=LIMIT)
    answers = [await charged(range(first, first + 10), "pm_card_visa") for first in range(100, 140, 10)]
    asked = 'counterfoil_processor_calls_total{call="look-up",outcome="action"}'
    await becomes(lambda count: count >= HINTED, partial(sample, http, worker, asked))

    assert answers == [{200}] * 4
    assert await refused(http, stage) == []
    assert await sample(http, worker, 'counterfoil_budget_wait_seconds_count{priority="look_up"}') >= HINTED
    assert await sample(http, gateway, 'counterfoil_budget_wait_seconds_count{priority="charge"}') == HINTED + 40

    crowd = [http.get(f"{stage.sandbox_url}/v1/charges", headers={"Authorization": f"Bearer {KEY}"}) for _ in range(60)]
    await asyncio.gather(*crowd)
    assert await refused(http, stage), "whoever keeps no budget is refused there"


async def test_after_a_refusal_nobody_calls_for_a_moment(stage: Stage, http: httpx.AsyncClient) -> None:
    """Another program uses the account up: its 429 is counted, and the charge is paid a moment later by a worker."""
    headers = await authority(stage)
    gateway = stage.start("gateway", STRIPE_RATE_LIMIT=LIMIT)
    fault = {"fault": "rate_limit", "method": "POST", "path": "/v1/payment_intents"}
    (await http.post(f"{stage.sandbox_url}/_sandbox/faults", json=fault)).raise_for_status()

    first = await http.post(f"{gateway.url}/charge", json=order(1), headers=headers)
    stage.start("worker", STRIPE_RATE_LIMIT=LIMIT)

    assert first.status_code == httpx.codes.ACCEPTED
    assert await sample(http, gateway, 'counterfoil_rate_limited_total{reason="global-rate"}') == 1.0
    await becomes([("succeeded",)], lambda: fetch(stage, "SELECT state FROM payments"))
    seen = (await http.get(f"{stage.sandbox_url}/_sandbox/requests?path=/v1/payment_intents")).json()["requests"]
    assert [entry["status"] for entry in seen] == [429, 200]
    assert seen[1]["received_at"] - seen[0]["answered_at"] >= 1.0
