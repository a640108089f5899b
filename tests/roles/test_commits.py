"""Requests that arrive together are committed together, as PostgreSQL itself counts."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
from tests import deliveries
from tests.stage import KEY, Running, Stage, authority, order


@pytest.fixture
async def flood() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with as many connections as requests."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def commits(postgres_url: str, stage: Stage) -> int:
    """Commits so far in the stage's database, counted from another one. Sessions still open may hold some back."""
    server = await asyncpg.connect(postgres_url)
    try:
        name = urlsplit(stage.database_url).path.removeprefix("/")
        found: int = await server.fetchval("SELECT xact_commit FROM pg_stat_database WHERE datname = $1", name)
        return found
    finally:
        await server.close()


async def post(flood: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    async with flood.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def stopped(role: Running) -> None:
    """Let the role end: its sessions then report every commit they made."""
    role.terminate()
    assert role.ended() == 0, role.log()


async def test_200_charges_at_once_are_a_handful_of_commits(
    stage: Stage, postgres_url: str, flood: aiohttp.ClientSession
) -> None:
    """200 concurrent charges succeed, each with its row and its charge, and cost at most 60 commits together."""
    headers = {**await authority(stage), "Content-Type": "application/json"}
    before = await commits(postgres_url, stage)
    gateway = stage.start("gateway")

    answers = await asyncio.gather(
        *(post(flood, f"{gateway.url}/charge", json.dumps(order(number)).encode(), headers) for number in range(200))
    )
    await stopped(gateway)

    spent = await commits(postgres_url, stage) - before
    assert [(status, body["status"]) for status, body in answers] == [(200, "succeeded")] * 200
    connection = await asyncpg.connect(stage.database_url)
    rows = await connection.fetchval("SELECT count(*) FROM payments WHERE state = 'succeeded'")
    await connection.close()
    assert (rows, await charges(flood, stage)) == (200, 200)
    assert spent <= 60


async def test_200_charges_with_methods_of_unknown_kind_are_a_handful_of_commits(
    stage: Stage, postgres_url: str, flood: aiohttp.ClientSession
) -> None:
    """Where Stripe has to be asked first, and takes its time, all are looked up together: at most 100."""
    sandbox = stage.start_sandbox("--latency", "0.3")
    methods = await asyncio.gather(*(new_method(flood, sandbox) for _ in range(200)))
    headers = {**await authority(stage), "Content-Type": "application/json"}
    before = await commits(postgres_url, stage)
    gateway = stage.start("gateway")
    placed = [order(number, payment_method=method) for number, method in enumerate(methods)]

    answers = await asyncio.gather(
        *(post(flood, f"{gateway.url}/charge", json.dumps(one).encode(), headers) for one in placed)
    )
    await stopped(gateway)

    spent = await commits(postgres_url, stage) - before
    assert [(status, body["status"]) for status, body in answers] == [(200, "succeeded")] * 200
    assert spent <= 100


async def new_method(flood: aiohttp.ClientSession, sandbox: str) -> str:
    """Return the name of a new card at the sandbox, which does not say that it is one."""
    card = {"type": "card", "card[token]": "tok_visa"}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with flood.post(f"{sandbox}/v1/payment_methods", data=card, headers=headers) as answer:
        return str((await answer.json())["id"])


async def charges(flood: aiohttp.ClientSession, stage: Stage) -> int:
    """Charges that the sandbox has made."""
    async with flood.get(f"{stage.sandbox_url}/_sandbox/requests", params={"path": "/v1/payment_intents"}) as answer:
        made = (await answer.json())["requests"]
    return len(made)


@pytest.mark.parametrize("names", [range(1000), [7] * 1000], ids=["each its own", "one event"])
async def test_1000_deliveries_at_once_are_a_handful_of_commits(
    stage: Stage, postgres_url: str, flood: aiohttp.ClientSession, names: list[int]
) -> None:
    """1,000 concurrent deliveries are all acknowledged, kept once for each event (W16), in at most 100 commits."""
    before = await commits(postgres_url, stage)
    receiver = stage.start("webhook-receiver")
    bodies = [deliveries.encoded(deliveries.event(str(name))) for name in names]

    answers = await asyncio.gather(
        *(post(flood, f"{receiver.url}/webhooks/stripe", body, deliveries.signed(body)) for body in bodies)
    )
    await stopped(receiver)

    spent = await commits(postgres_url, stage) - before
    assert [(200, {"received": f"evt_{name}"}) for name in names] == answers
    connection = await asyncpg.connect(stage.database_url)
    row = await connection.fetchrow("SELECT count(*), sum(deliveries) FROM notices")
    assert row is not None
    bodies_kept = await connection.fetchval("SELECT count(*) FROM notice_bodies")
    await connection.close()
    assert (len(set(names)), 1000, len(set(names))) == (row["count"], row["sum"], bodies_kept)
    assert spent <= 100
