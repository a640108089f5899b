"""The receiver is down while Stripe concludes payments: the worker's catch-up ends each of them right, by itself."""

from typing import Any

import httpx
import pytest
from tests.acceptance.merchant import Merchant, answers_challenge, merchant_at
from tests.stage import Running, Stage, becomes, fetch, order

CHALLENGED = "pm_card_threeDSecure2Required"
MANDATE = {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "192.0.2.7", "user_agent": "a browser"}
TEN_MINUTES_LATER = "UPDATE catch_ups SET due_at = now() RETURNING due_at"
ENDS = {
    "passed": ("PaymentActionRequired", "PaymentSucceeded"),
    "passed-too": ("PaymentActionRequired", "PaymentSucceeded"),
    "refused": ("PaymentActionRequired", "PaymentFailed"),
    "settled": ("PaymentProcessing", "PaymentSucceeded"),
    "settled-too": ("PaymentProcessing", "PaymentSucceeded"),
    "bounced": ("PaymentProcessing", "PaymentFailed"),
}
AT_STRIPE = {"PaymentSucceeded": "succeeded", "PaymentFailed": "requires_payment_method"}


def debit(name: str, method: str) -> dict[str, Any]:
    return order(name, payment_method=method, currency="USD" if "usBank" in method else "EUR", mandate=MANDATE)


async def opened(merchant: Merchant, http: httpx.AsyncClient, body: dict[str, Any]) -> Any:
    answer = await merchant.charge(http, body)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def concluded_at_stripe(merchant: Merchant, http: httpx.AsyncClient) -> dict[str, Any]:
    """Place orders that are left open, and let Stripe hear how each ends: at once, or days later."""
    left = {name: await opened(merchant, http, order(name, payment_method=CHALLENGED)) for name in list(ENDS)[:3]}
    left["settled"] = await opened(merchant, http, debit("settled", "pm_usBankAccount_success"))
    left["settled-too"] = await opened(merchant, http, debit("settled-too", "pm_sepaDebit_success_de"))
    left["bounced"] = await opened(merchant, http, debit("bounced", "pm_usBankAccount_insufficientFunds"))
    for name in list(ENDS)[:3]:
        await answers_challenge(http, left[name]["action"]["url"], "refuse" if name == "refused" else "approve")
    await merchant.days_pass(http, 4)
    return left


async def killed_while_listing(merchant: Merchant, http: httpx.AsyncClient, worker: Running) -> None:
    """Kill the worker with SIGKILL while Stripe's list of events is being sent to it."""
    await merchant.script(http, "hold", {"method": "GET", "path": "/v1/events"})
    await fetch(merchant.stage, TEN_MINUTES_LATER)
    held = await http.get(f"{merchant.stage.sandbox_url}/_sandbox/hold?held=1&wait_seconds=30")
    assert held.raise_for_status().json()
    worker.kill()
    (await http.delete(f"{merchant.stage.sandbox_url}/_sandbox/hold")).raise_for_status()


@pytest.mark.parametrize("killed", [False, True], ids=["", "and a worker is killed"])
async def test_an_outage_of_the_receiver_is_made_up_for(stage: Stage, http: httpx.AsyncClient, *, killed: bool) -> None:
    """Six payments end while it is down, by their customers' and banks' doing; each ends right here, once."""
    receiver = stage.start_registered_receiver()
    worker = stage.start("worker")
    stage.start("outbox-publisher")
    merchant = await merchant_at(stage)
    await merchant.charge(http, order("before"))
    await becomes(lambda rows: rows != [(0,)], lambda: fetch(stage, "SELECT count(*) FROM notices"))
    receiver.kill()

    left = await concluded_at_stripe(merchant, http)
    unheard = {await merchant.status(http, one["payment_id"]) for one in left.values()}
    if killed:
        await killed_while_listing(merchant, http, worker)
        stage.start("worker")
    await fetch(stage, TEN_MINUTES_LATER)

    for name, story in ENDS.items():
        told = ["PaymentRequested", *story]
        await becomes(told, lambda name=name: merchant.story(http, left[name]["payment_id"]), seconds=60)  # type: ignore[misc]  # a loop's own name
        intent = await merchant.at_stripe(http, "GET", f"/v1/payment_intents/{left[name]['payment_intent_id']}")
        assert (intent["status"], await merchant.learned_by(left[name]["payment_id"])) == (
            AT_STRIPE[story[-1]],
            "notice",
        )
    assert unheard == {"requires_action", "processing"}
    assert await fetch(stage, "SELECT count(*) FROM notices WHERE state NOT IN ('done', 'foreign')") == [(0,)]
    report = (await becomes(lambda seen: seen["last"] is not None, lambda: merchant.ask(http, "/catch-up")))["last"]
    assert report["expected"] >= len(ENDS)
    assert report["expected"] == report["found"] + report["missing"]
