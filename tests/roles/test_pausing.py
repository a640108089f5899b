"""Stripe refuses our key: nothing is sent or asked with it, no payment is at fault, and all goes on by itself after."""

from functools import partial
from typing import Any

import httpx
import pytest
from tests.stage import Running, Stage, authority, becomes, fetch, order, ready

from counterfoil.store.tokens import Scope

NEW_KEY = "sk_test_new"


async def refuse(http: httpx.AsyncClient, stage: Stage, status: int) -> None:
    """Let the sandbox refuse every request from now on."""
    fault = {"fault": "error", "status": status, "times": None}
    (await http.post(f"{stage.sandbox_url}/_sandbox/faults", json=fault)).raise_for_status()


async def accept(http: httpx.AsyncClient, stage: Stage) -> None:
    """Let the sandbox take our key again."""
    (await http.delete(f"{stage.sandbox_url}/_sandbox/faults")).raise_for_status()


async def charged(http: httpx.AsyncClient, gateway: Running, headers: dict[str, str], number: int) -> tuple[int, Any]:
    answer = await http.post(f"{gateway.url}/charge", json=order(number), headers=headers)
    return answer.status_code, answer.json()["status"]


async def metric(http: httpx.AsyncClient, worker: Running, name: str) -> float | None:
    """The value of a metric, with its labels if it has any; None where it is not there."""
    for line in (await http.get(f"{worker.url}/metrics")).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return None


async def posted(http: httpx.AsyncClient, stage: Stage) -> int:
    """How many requests that change something the sandbox has heard."""
    log = (await http.get(f"{stage.sandbox_url}/_sandbox/requests")).json()["requests"]
    return len([request for request in log if request["method"] == "POST"])


async def said(worker: Running) -> str:
    checks = ready(worker)[1]["checks"]
    return str(checks.get("processor"))


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_pauses_all_and_fails_no_payment(
    stage: Stage, http: httpx.AsyncClient, status: int
) -> None:
    """Orders are accepted and wait; workers say why they are not ready; once the key is taken again all is paid."""
    headers = await authority(stage, Scope.CHARGE, Scope.READ)
    gateway = stage.start("gateway")
    await refuse(http, stage, status)
    answers = [await charged(http, gateway, headers, number) for number in range(3)]

    worker = stage.listening("worker")
    await becomes(1.0, partial(metric, http, worker, "counterfoil_processor_paused"))
    await becomes([(3,)], lambda: fetch(stage, "SELECT count(*) FROM attempts WHERE claimed_by IS NULL"))
    sent = await posted(http, stage)
    await fetch(stage, "UPDATE payments SET next_check_at = now() RETURNING id")

    code, checks = ready(worker)
    assert answers == [(202, "processing")] * 3
    assert (code, ready(gateway)[0]) == (503, 200)
    assert "STRIPE_KEY is paused since" in checks["checks"]["processor"]
    assert "Stripe refuses our key" in checks["checks"]["processor"]
    assert (await first_ahead(http, gateway, headers)).startswith(
        "Workers send and ask nothing until a person has acted"
    )

    await accept(http, stage)
    await fetch(stage, "UPDATE pauses SET probe_at = now() RETURNING since")

    await becomes([("succeeded", 3)], lambda: fetch(stage, "SELECT state, count(*) FROM payments GROUP BY state"))
    await becomes("ok", partial(said, worker))
    assert await posted(http, stage) == sent + 3, "nothing was sent while it was paused"
    assert await metric(http, worker, "counterfoil_processor_paused") == 0.0
    assert (gateway.log() + worker.log()).count("processor.paused") == 1
    assert worker.log().count("processor.resumed") == 1


async def test_a_refusal_of_one_thing_pauses_nothing(stage: Stage, http: httpx.AsyncClient) -> None:
    """403 for one call, while the key is taken for others: that payment is sent again by itself, the rest goes on."""
    headers = await authority(stage)
    gateway = stage.start("gateway")
    fault = {"fault": "error", "status": 403, "times": 1, "idempotency_key": "event-1"}
    (await http.post(f"{stage.sandbox_url}/_sandbox/faults", json=fault)).raise_for_status()
    worker = stage.start("worker")

    answers = [await charged(http, gateway, headers, number) for number in (1, 2)]

    assert answers == [(202, "processing"), (200, "succeeded")]
    await becomes([("succeeded", 2)], lambda: fetch(stage, "SELECT state, count(*) FROM payments GROUP BY state"))
    assert await fetch(stage, "SELECT count(*) FROM pauses") == [(0,)]
    assert ready(worker)[0] == 200
    assert gateway.log().count("authorize.alarm") == 1


async def test_what_falls_into_doubt_during_a_pause_is_shown(stage: Stage, http: httpx.AsyncClient) -> None:
    """Nobody may ask about it, and yet a quarter of an hour has passed: in doubt, said once, and measured."""
    headers = await authority(stage)
    gateway = stage.start("gateway")
    await refuse(http, stage, 401)
    await charged(http, gateway, headers, 1)
    worker = stage.listening("worker")
    await becomes(1.0, partial(metric, http, worker, "counterfoil_processor_paused"))
    aged = "UPDATE attempts SET exposed = true, unknown_since = now() - interval '15 min' RETURNING number"

    await fetch(stage, aged)

    await becomes([("in_doubt",)], lambda: fetch(stage, "SELECT state FROM payments"))
    await becomes(1.0, partial(metric, http, worker, 'counterfoil_in_doubt_payments{currency="EUR"}'))
    assert await fetch(stage, "SELECT count(*) FROM facts WHERE name = 'PaymentInDoubt'") == [(1,)]


async def test_a_probe_that_is_refused_ends_nothing(stage: Stage, http: httpx.AsyncClient) -> None:
    """The next turn is half a minute away; there is one alarm, and what was turned away is no reason to doubt."""
    headers = await authority(stage)
    gateway = stage.start("gateway")
    await refuse(http, stage, 401)
    await charged(http, gateway, headers, 1)
    worker = stage.listening("worker")
    await becomes(1.0, partial(metric, http, worker, "counterfoil_processor_paused"))

    await fetch(stage, "UPDATE pauses SET probe_at = now() RETURNING since")
    await becomes([(True,)], lambda: fetch(stage, "SELECT probe_at > now() + interval '5 s' FROM pauses"))

    assert ready(worker)[0] == 503
    assert await metric(http, worker, 'counterfoil_alarms_total{where="processor"}') == 1.0
    assert await fetch(stage, "SELECT state FROM payments") == [("processing",)]
    assert await fetch(stage, "SELECT exposed, unknown_since FROM attempts") == [(False, None)]


async def test_who_has_the_new_key_is_not_held_up(stage: Stage, http: httpx.AsyncClient) -> None:
    """After a rotation the old key's pause stays, and the worker that was restarted with the new one goes on."""
    stage.start_sandbox("--key", NEW_KEY)
    headers = await authority(stage, Scope.CHARGE, Scope.READ)
    gateway = stage.start("gateway")
    assert await charged(http, gateway, headers, 1) == (202, "processing")
    old = stage.listening("worker")
    await becomes(1.0, partial(metric, http, old, "counterfoil_processor_paused"))

    new = stage.start("worker", STRIPE_KEY=NEW_KEY)

    await becomes([("succeeded",)], lambda: fetch(stage, "SELECT state FROM payments"))
    assert (ready(old)[0], ready(new)[0]) == (503, 200)
    assert NEW_KEY not in str(await fetch(stage, "SELECT * FROM pauses"))

    old.kill()
    new.kill()
    await charged(http, gateway, headers, 2)
    explained = partial(first_ahead, http, gateway, headers)
    assert (await explained()).startswith("Workers send and ask nothing")
    await fetch(stage, "UPDATE pauses SET probe_at = now() - interval '10 min' RETURNING since")
    assert not (await explained()).startswith("Workers send and ask nothing")


async def first_ahead(http: httpx.AsyncClient, gateway: Running, headers: dict[str, str]) -> str:
    """The first thing that is explained to be ahead of the payment made last."""
    (payment,) = (await http.get(f"{gateway.url}/payments?limit=1", headers=headers)).json()["payments"]
    explained = await http.get(f"{gateway.url}/payments/{payment['payment_id']}/explanation", headers=headers)
    return str(explained.json()["ahead"][0]["what"])


async def test_doubt_is_measured_by_number_and_amount(stage: Stage, http: httpx.AsyncClient) -> None:
    """Unknown for an hour: so many payments of so much are in doubt, until it is known; the oldest has its age."""
    headers = await authority(stage)
    gateway = stage.start("gateway")
    fault = {"fault": "reset", "times": None}
    (await http.post(f"{stage.sandbox_url}/_sandbox/faults", json=fault)).raise_for_status()
    for number in range(2):
        await charged(http, gateway, headers, number)
    await fetch(stage, "UPDATE attempts SET unknown_since = now() - interval '1 h' RETURNING number")
    hour = "UPDATE payments SET created_at = now() - interval '1 h', next_check_at = now() RETURNING id"
    await fetch(stage, hour)

    worker = stage.start("worker")

    doubted = partial(metric, http, worker, 'counterfoil_in_doubt_payments{currency="EUR"}')
    amount = partial(metric, http, worker, 'counterfoil_in_doubt_amount{currency="EUR"}')
    oldest = partial(metric, http, worker, "counterfoil_oldest_open_payment_seconds")
    await becomes(2.0, doubted)
    assert await amount() == 3998.0
    assert 3600 <= (await oldest() or 0) < 7200

    await accept(http, stage)
    await fetch(stage, "UPDATE payments SET next_check_at = now() RETURNING id")

    await becomes(0.0, doubted)
    await becomes(0.0, amount)
    await becomes(0.0, oldest)
    assert await fetch(stage, "SELECT state, count(*) FROM payments GROUP BY state") == [("succeeded", 2)]
