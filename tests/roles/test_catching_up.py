"""A person has Stripe's list of events looked through: command, gateway and worker together."""

import asyncio
import json
import os
import sys
from typing import Any

import httpx
from tests.stage import Stage, authority, fetch, order

from counterfoil.store.tokens import Scope


async def catch_up(stage: Stage, url: str, headers: dict[str, str], *options: str) -> dict[str, Any]:
    """Run the command and return what it prints."""
    settings = {"COUNTERFOIL_URL": url, "COUNTERFOIL_TOKEN": headers["Authorization"].removeprefix("Bearer ")}
    command = [sys.executable, "-m", "counterfoil", "catch-up", "--json", *options]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=stage.folder, env={"PATH": os.defpath, **settings}, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(printed)
    return report


async def test_a_run_is_made_at_once_for_who_asks(stage: Stage, http: httpx.AsyncClient) -> None:
    """No webhook endpoint was ever registered: two payments' events are missing at first, and found the next time."""
    headers = await authority(stage, Scope.CHARGE, Scope.READ, Scope.ADMIN)
    gateway = stage.start("gateway")
    for number in range(2):
        (await http.post(f"{gateway.url}/charge", json=order(number), headers=headers)).raise_for_status()
    stage.start("worker")

    first = await catch_up(stage, gateway.url, headers)
    second = await catch_up(stage, gateway.url, headers, "--since", "2026-01-01T00:00:00Z")
    shown = await catch_up(stage, gateway.url, headers, "--show")

    kept = await fetch(stage, "SELECT count(*), sum(deliveries)::int FROM notices")
    assert first["expected"] == first["found"] + first["missing"] == second["found"] == kept[0][0] == 4
    assert (second["missing"], kept[0][1], shown) == (0, 0, second)
    assert second["since"] < first["since"]
