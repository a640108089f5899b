"""500 payments: a fifth of their events never made, the rest doubled and out of order, the receiver down for a day."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from tests.acceptance.merchant import Merchant, answers_challenge, listed
from tests.stage import Running, Stage, authority, becomes, fetch, order

from counterfoil.store.tokens import Scope

PAYMENTS = 500
BEFORE, DURING = range(100), range(100, 400)
AFTER = range(400, PAYMENTS)
MANDATE = {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "192.0.2.7", "user_agent": "a browser"}
KINDS = (
    *("card", "card", "card", "declined"),
    *("approved", "refused", "debit", "bounced"),
    *("captured", "refunded"),
)
METHODS = {
    "declined": "pm_card_chargeDeclined",
    "approved": "pm_card_threeDSecure2Required",
    "refused": "pm_card_threeDSecure2Required",
    "debit": "pm_usBankAccount_success",
    "bounced": "pm_usBankAccount_insufficientFunds",
}
PAID = frozenset({"card", "captured", "refunded", "approved", "debit"})
LOSSES: tuple[dict[str, Any], ...] = (
    {"fault": "event_never_made", "times": None, "probability": 0.2, "seed": 7},
    {"fault": "event_repeated", "times": None, "probability": 0.5, "seed": 8, "copies": 1},
    {"fault": "event_twice", "times": None, "probability": 0.3, "seed": 9},
    {"fault": "event_reordered", "times": None, "probability": 0.5, "seed": 10, "behind": 5},
)
MOVING = "SELECT count(*) FROM payments WHERE state NOT IN ('succeeded', 'failed', 'canceled')"
TIME_PASSES = (
    "UPDATE payments SET next_check_at = now() WHERE next_check_at > now() RETURNING 1",
    "UPDATE refunds SET next_check_at = now() WHERE next_check_at > now() RETURNING 1",
    "UPDATE catch_ups SET due_at = now() RETURNING 1",
)


def wished(number: int) -> dict[str, Any]:
    """An order; what kind of payment it becomes follows from its number."""
    kind = KINDS[number % len(KINDS)]
    changes: dict[str, Any] = {"payment_method": METHODS.get(kind, "pm_card_visa")}
    if kind in {"debit", "bounced"}:
        changes |= {"currency": "USD", "mandate": MANDATE}
    if kind == "captured":
        changes["capture_method"] = "manual"
    return order(number, **changes)


def end(number: int) -> tuple[str, int, int]:
    """How a payment is to end: its state, what is taken, and what is given back."""
    kind = KINDS[number % len(KINDS)]
    if kind not in PAID:
        return "failed", 0, 0
    return "succeeded", 700 if kind == "captured" else 1999, 500 if kind == "refunded" else 0


async def lived(merchant: Merchant, http: httpx.AsyncClient, numbers: range) -> None:
    """Place orders, some at once, and do to each payment what its kind wants done."""
    slots = asyncio.Semaphore(8)

    async def live(number: int) -> None:
        async with slots:
            body = (await merchant.charge(http, wished(number))).json()
            kind, path = KINDS[number % len(KINDS)], f"{merchant.gateway.url}/payments/{body['payment_id']}"
            if kind in {"approved", "refused"}:
                outcome = "approve" if kind == "approved" else "refuse"
                await answers_challenge(http, body["action"]["url"], outcome)
            elif kind == "captured":
                answer = await http.post(f"{path}/capture", json={"amount": 700}, headers=merchant.headers)
                assert answer.status_code == 200, answer.text
            elif kind == "refunded":
                headers = {**merchant.headers, "Idempotency-Key": f"back-{number}"}
                answer = await http.post(f"{path}/refunds", json={"amount": 500}, headers=headers)
                assert answer.status_code == 202, answer.text

    await asyncio.gather(*map(live, numbers))


async def settled(stage: Stage) -> None:
    """Let time pass on our side until nothing is open any more: what looks itself up by and by does so at once."""
    for _ in range(12):
        for statement in TIME_PASSES:
            await fetch(stage, statement)
        await asyncio.sleep(1)
        if await fetch(stage, MOVING) == [(0,)]:
            return
    await becomes([(0,)], lambda: fetch(stage, MOVING))


def reconciled(folder: Path, gateway: Running, headers: dict[str, str]) -> dict[str, Any]:
    """Compare both books as a person does; the command must end well."""
    token = headers["Authorization"].removeprefix("Bearer ")
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "COUNTERFOIL_URL": gateway.url, "COUNTERFOIL_TOKEN": token}
    command = [sys.executable, "-m", "counterfoil", "reconcile", "--json"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    compared: dict[str, Any] = json.loads(done.stdout)
    return compared


async def test_five_hundred_payments_end_right_though_notices_do_not_come(
    stage: Stage, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Both books are equal in the end, by nobody's hand: each payment as it was meant, and none charged twice."""
    headers = await authority(stage, *Scope)
    place = stage.registered()
    receiver = stage.start("webhook-receiver", **place)
    gateway = stage.start("gateway")
    stage.start("worker")
    merchant = Merchant(stage, gateway, headers)
    for fault in LOSSES:
        await merchant.script(http, "faults", fault)

    await lived(merchant, http, BEFORE)
    receiver.kill()
    await lived(merchant, http, DURING)
    await merchant.days_pass(http, 1)
    stage.start("webhook-receiver", **place)
    await lived(merchant, http, AFTER)
    await merchant.days_pass(http, 5)
    await settled(stage)
    compared = await asyncio.to_thread(reconciled, tmp_path, gateway, headers)

    assert (compared["payments_compared"], compared["differences"]["left"]) == (PAYMENTS, 0)
    states = await fetch(stage, "SELECT event_id, state, amount_captured, amount_refunded FROM payments")
    assert {event: tuple(rest) for event, *rest in states} == {f"event-{one}": end(one) for one in range(PAYMENTS)}
    captured = Counter(one["metadata"]["payment_id"] for one in await listed(http, stage, "charges") if one["captured"])
    assert max(captured.values()) == 1
    assert len(captured) == sum(1 for one in range(PAYMENTS) if end(one)[0] == "succeeded")
    assert await fetch(stage, "SELECT count(*) > 300 FROM notices WHERE deliveries = 0") == [(True,)]
    lost = await fetch(stage, "SELECT count(*) FROM notices WHERE state NOT IN ('done', 'foreign')")
    assert lost == [(0,)]
