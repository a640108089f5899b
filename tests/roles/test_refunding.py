"""Money given back by the roles together: asked at the gateway, sent by the worker, and told by Stripe's webhooks."""

from collections.abc import Mapping
from typing import Any

import httpx
from tests.stage import KEY, Running, Stage, authority, becomes, fetch, order

from counterfoil.store.tokens import Scope


async def charge(gateway: Running, http: httpx.AsyncClient, headers: Mapping[str, str], name: str) -> dict[str, Any]:
    """Charge an order."""
    answer = await http.post(f"{gateway.url}/charge", json=order(name), headers=headers)
    charged: dict[str, Any] = answer.json()
    return charged


async def test_a_refund_goes_from_the_gateway_to_stripe_and_back(stage: Stage, http: httpx.AsyncClient) -> None:
    """202 at once, processed by and by; shown by itself, with its payment, and on the payment's timeline."""
    gateway, headers = stage.start("gateway"), await authority(stage, *Scope)
    payment_id = (await charge(gateway, http, headers, "1"))["payment_id"]
    stage.start("worker")

    asked = await http.post(
        f"{gateway.url}/payments/{payment_id}/refunds",
        json={"amount": 500, "currency": "eur", "reason": "it arrived broken"},
        headers={**headers, "Idempotency-Key": "refund-1"},
    )
    refund = asked.json()

    async def status() -> str:
        shown = await http.get(f"{gateway.url}/refunds/{refund['refund_id']}", headers=headers)
        return str(shown.json()["status"])

    await becomes("processed", status)
    payment = (await http.get(f"{gateway.url}/orders/order-1/payment", headers=headers)).json()
    timeline = (await http.get(f"{gateway.url}/payments/{payment_id}/timeline", headers=headers)).json()["entries"]
    again = await http.post(
        f"{gateway.url}/payments/{payment_id}/refunds",
        json={"amount": 500, "currency": "eur", "reason": "it arrived broken"},
        headers={**headers, "Idempotency-Key": "refund-1"},
    )
    assert (asked.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (202, 200, "true")
    assert (payment["status"], payment["amount_refunded"], payment["refunds"]) == ("succeeded", 500, [again.json()])
    assert {"payment_id": payment_id, "amount": 500, "currency": "EUR", "reason": "it arrived broken"}.items() <= (
        refund.items()
    )
    assert again.json()["processor_reference"].startswith("re_")
    names = [entry["name"] for entry in timeline if "efund" in entry["name"]]
    assert names == ["RefundRequested", "refund", "RefundProcessed"]


async def test_a_refund_in_the_dashboard_comes_in_by_webhook(stage: Stage, http: httpx.AsyncClient) -> None:
    """The receiver keeps what Stripe tells, the worker asks for the charge once, and the payment shows it."""
    stage.start_registered_receiver()
    gateway, headers = stage.start("gateway"), await authority(stage, *Scope)
    charged = await charge(gateway, http, headers, "1")
    stage.start("worker")

    await http.post(
        f"{stage.sandbox_url}/v1/refunds",
        data={"payment_intent": charged["payment_intent_id"], "amount": "700"},
        headers={"Authorization": f"Bearer {KEY}"},
    )

    await becomes([(700,)], lambda: fetch(stage, "SELECT amount_refunded FROM payments"))
    shown = (await http.get(f"{gateway.url}/payments/{charged['payment_id']}", headers=headers)).json()
    assert [(one["amount"], one["status"]) for one in shown["refunds"]] == [(700, "processed")]


async def test_a_refund_of_a_worker_that_died_is_made_once(stage: Stage, http: httpx.AsyncClient) -> None:
    """Killed between the send and its record: another worker sends the same under the same key."""
    stage.start_sandbox("--latency", "2")
    gateway, headers = stage.start("gateway"), await authority(stage, *Scope)
    payment_id = (await charge(gateway, http, headers, "1"))["payment_id"]
    doomed = stage.start("worker")
    await http.post(
        f"{gateway.url}/payments/{payment_id}/refunds", json={}, headers={**headers, "Idempotency-Key": "refund-1"}
    )
    await becomes([(1,)], lambda: fetch(stage, "SELECT count(*) FROM refunds WHERE first_sent_at IS NOT NULL"))
    doomed.kill()
    await fetch(stage, "UPDATE refunds SET next_check_at = now(), claim_expires_at = now() RETURNING id")

    stage.start("worker")

    await becomes([(1999, 0)], lambda: fetch(stage, "SELECT amount_refunded, amount_refund_reserved FROM payments"))
    made = await http.get(f"{stage.sandbox_url}/v1/refunds", headers={"Authorization": f"Bearer {KEY}"})
    assert [one["amount"] for one in made.json()["data"]] == [1999]
