"""The drill: a backup is restored, the payments of the lost time are forgotten, and nothing is charged again."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests import deliveries
from tests.acceptance.merchant import listed
from tests.conftest import DatabaseMaker
from tests.stage import KEY, Running, Stage, authority, becomes, fetch, order, ready

from counterfoil.store.tokens import Scope

BEFORE = 12
LOST = 200
STRIPE = {"Authorization": f"Bearer {KEY}"}
METHODS = ("pm_card_visa", "pm_card_visa", "pm_card_mastercard", "pm_card_visa", "pm_card_chargeDeclined")

BOOK = """
SELECT order_id, event_id, id::text, state, amount, currency, amount_captured, amount_refunded, intent_id, owns_order,
       (SELECT array_agg(charge_id) FROM attempts AS a WHERE a.payment_id = p.id AND a.state = 'captured')
  FROM payments AS p ORDER BY order_id, created_at
"""

REFUNDED = 7
"""Where what was given back stands in a row of that."""


def wished(number: int) -> dict[str, Any]:
    """An order: of five one is declined, and each seventh is held first."""
    held = {"capture_method": "manual"} if number % 7 == 0 else {}
    return order(number, payment_method=METHODS[number % 5], **held)


async def delivered(http: httpx.AsyncClient, gateway: Running, headers: Mapping[str, str], numbers: range) -> list[int]:
    """Deliver orders, some at once, as Kafka's consumers do; return how each was answered."""
    slots = asyncio.Semaphore(8)

    async def deliver(number: int) -> int:
        async with slots:
            answer = await http.post(f"{gateway.url}/charge", json=wished(number), headers=headers)
            return answer.status_code

    return list(await asyncio.gather(*map(deliver, numbers)))


async def money(http: httpx.AsyncClient, stage: Stage) -> dict[str, list[tuple[str, Any, Any, Any]]]:
    """What the processor has: each intent, charge and refund, how it stands, and of how much."""
    return {
        kind: [
            (one["id"], one["status"], one["amount"], one.get("amount_refunded"))
            for one in await listed(http, stage, kind)
        ]
        for kind in ("payment_intents", "charges", "refunds")
    }


def counterfoil(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **settings}
    command = [sys.executable, "-m", "counterfoil", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=90, check=False)


async def refunded(http: httpx.AsyncClient, gateway: Running, headers: dict[str, str], names: Sequence[str]) -> None:
    for name in names:
        url = f"{gateway.url}/payments/{name}/refunds"
        answer = await http.post(url, json={"amount": 500}, headers=headers | {"Idempotency-Key": f"back-{name}"})
        assert answer.status_code == 202, answer.text


async def given_back_by_hand(
    http: httpx.AsyncClient, stage: Stage, row: tuple[Any, ...], amount: int
) -> tuple[Any, ...]:
    """Give back some of a payment at Stripe itself, which nobody tells us of; return its row as it will be."""
    wanted = {"charge": row[-1][0], "amount": str(amount)}
    answer = await http.post(f"{stage.sandbox_url}/v1/refunds", data=wanted, headers=STRIPE)
    assert answer.status_code == 200, answer.text
    return (*row[:REFUNDED], row[REFUNDED] + amount, *row[REFUNDED + 1 :])


async def ended(*roles: Running) -> None:
    for role in roles:
        role.terminate()
    for role in roles:
        await asyncio.to_thread(role.ended)


async def test_nothing_is_charged_again_after_a_restore(
    stage: Stage, http: httpx.AsyncClient, make_database: DatabaseMaker, tmp_path: Path
) -> None:
    """Snapshot, 200 more payments, the snapshot back: orders and notices come again; in the end both books are equal.

    Of the 200 some are declined, held, captured and given back; so are some from before. Until the reconciliation has
    cleared it nothing is sent, whatever is asked for, and the restore cannot be finished. What notices say of the lost
    payments is read once those are back.
    """
    headers = await authority(stage, *Scope)
    gateway, worker = stage.start("gateway"), stage.start("worker")
    await delivered(http, gateway, headers, range(BEFORE))
    await ended(gateway, worker)
    snapshot = await make_database(urlsplit(stage.database_url).path.removeprefix("/"))

    gateway, worker = stage.start("gateway"), stage.start("worker")
    answers = await delivered(http, gateway, headers, range(BEFORE, BEFORE + LOST))
    assert {status: answers.count(status) for status in set(answers)} == {200: 160, 402: 40}
    held = await fetch(stage, "SELECT id FROM payments WHERE state = 'authorized' ORDER BY created_at")
    for (name,) in (held[0], held[-1]):  # one from before the snapshot, one of the lost
        assert (await http.post(f"{gateway.url}/payments/{name}/capture", headers=headers)).status_code == 200
    assert (await http.post(f"{gateway.url}/payments/{held[1][0]}/cancel", headers=headers)).status_code == 200
    paid = await fetch(stage, "SELECT id FROM payments WHERE state = 'succeeded' ORDER BY created_at")
    await refunded(http, gateway, headers, [str(name) for (name,) in (*paid[:3], *paid[-17:])])
    await becomes([(20,)], lambda: fetch(stage, "SELECT count(*) FROM refunds WHERE state = 'processed'"))
    await ended(gateway, worker)
    forgotten = await fetch(stage, BOOK)
    place = [row[2] for row in forgotten].index(str(paid[-1][0]))
    forgotten[place] = await given_back_by_hand(http, stage, forgotten[place], 100)
    at_stripe = await money(http, stage)
    events = await listed(http, stage, "events")

    stage.database_url = snapshot
    begun = counterfoil(tmp_path, "restore", "begin", "--reason", "the drill", DATABASE_URL=snapshot)
    assert begun.returncode == 0, begun.stderr
    gateway, worker = stage.start("gateway"), stage.listening("worker")
    receiver = stage.start("webhook-receiver")
    again = await delivered(http, gateway, headers, range(BEFORE + LOST))
    assert {status: again[BEFORE:].count(status) for status in set(again[BEFORE:])} == {503: LOST}
    assert 503 not in again[:BEFORE]
    for event in events[::3]:
        body = json.dumps(event).encode()
        kept = await http.post(f"{receiver.url}/webhooks/stripe", content=body, headers=deliveries.signed(body))
        assert kept.status_code == 200
    assert (ready(gateway)[0], ready(worker)[0]) == (200, 503)
    early = counterfoil(tmp_path, "restore", "finish", DATABASE_URL=snapshot)
    assert (early.returncode, "nothing was compared since" in early.stderr) == (1, True)

    token = {"COUNTERFOIL_URL": gateway.url, "COUNTERFOIL_TOKEN": headers["Authorization"].removeprefix("Bearer ")}
    compared = await asyncio.to_thread(counterfoil, tmp_path, "reconcile", "--json", **token)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    finished = counterfoil(tmp_path, "restore", "finish", DATABASE_URL=snapshot)
    assert finished.returncode == 0, finished.stderr

    last = await delivered(http, gateway, headers, range(BEFORE + LOST))
    assert {status: last.count(status) for status in set(last)} == {200: 170, 402: 42}
    assert await money(http, stage) == at_stripe
    assert await fetch(stage, BOOK) == forgotten
    await becomes([], lambda: fetch(stage, "SELECT event_id, reason FROM notices WHERE state IN ('kept', 'parked')"))
