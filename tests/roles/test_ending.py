"""SIGTERM in the middle of the work: what was accepted is finished, and the process ends with 0."""

import asyncio
import json

import aiohttp
import httpx
import pytest
from tests import deliveries
from tests.relay import relayed
from tests.stage import Running, Stage, authority, becomes, fetch, now, order

DRAIN_SECONDS = 15
LEEWAY_SECONDS = 5
"""For a machine that is busy with other tests."""


async def ended(role: Running) -> tuple[int, float]:
    """Return the exit code, and how long after now it came."""
    began = now()
    code = await asyncio.to_thread(role.ended, 30)
    return code, now() - began


async def test_charges_at_the_processor_are_answered(stage: Stage, http: httpx.AsyncClient) -> None:
    """A gateway that is asked to end waits for what it holds: each charge is answered with its result; exit 0."""
    stage.start_sandbox("--latency", "2")
    gateway = stage.start("gateway")
    posts = await held(stage, http, gateway)

    gateway.terminate()
    answers = await asyncio.gather(*posts)
    code, _ = await ended(gateway)

    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "succeeded")}
    assert code == 0, gateway.log()
    assert await fetch(stage, "SELECT state, count(*) FROM payments GROUP BY state") == [("succeeded", 20)]


async def test_a_silent_processor_holds_nobody_back(stage: Stage, http: httpx.AsyncClient) -> None:
    """A gateway answers 202 after 10 s; a worker leaves its call to its claim; both exit 0 within 15 s."""
    stage.start_sandbox("--latency", "40")
    gateway = stage.start("gateway")
    stage.start_sandbox("--latency", "40")  # another one, for the first would say that the key is in use
    worker = stage.start("worker")
    posts = await held(stage, http, gateway)
    await fetch(
        stage,
        "WITH due AS (UPDATE payments SET next_check_at = now() WHERE event_id = 'event-7' RETURNING id)"
        " UPDATE attempts SET claim_expires_at = now() FROM due WHERE payment_id = due.id RETURNING payment_id",
    )
    await becomes([(2,)], lambda: fetch(stage, "SELECT max(fence) FROM attempts"))  # the worker sends it, too

    gateway.terminate()
    worker.terminate()
    began = now()
    answers = await asyncio.gather(*posts)
    answered_seconds = now() - began
    codes = [(await ended(role))[0] for role in (gateway, worker)]
    ended_seconds = now() - began

    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "processing")}
    assert codes == [0, 0], gateway.log() + worker.log()
    assert answered_seconds < 10 + LEEWAY_SECONDS
    assert ended_seconds < DRAIN_SECONDS + LEEWAY_SECONDS
    assert "worker.left_work" in worker.log()
    assert await fetch(stage, "SELECT state, count(*) FROM attempts GROUP BY state") == [("sent", 20)]


async def held(stage: Stage, http: httpx.AsyncClient, gateway: Running) -> "list[asyncio.Task[httpx.Response]]":
    """Post 20 charges, and return once all of them are with the processor."""
    headers = await authority(stage)
    posts = [
        asyncio.create_task(http.post(f"{gateway.url}/charge", json=order(number), headers=headers))
        for number in range(20)
    ]
    await becomes([(20,)], lambda: fetch(stage, "SELECT count(*) FROM attempts WHERE state = 'sent'"))
    return posts


async def test_charges_that_arrive_meanwhile_are_answered_or_never_taken(stage: Stage) -> None:
    """Under load nobody's connection is reset with a charge in it: each is answered, or could not connect."""
    headers = await authority(stage)
    gateway = stage.start("gateway")
    answered: list[str] = []
    refused: list[str] = []

    async def client(session: aiohttp.ClientSession, number: int) -> None:
        for count in range(1000):
            name = f"{number}-{count}"
            try:
                async with session.post(f"{gateway.url}/charge", json=order(name), headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
                    answered.append((await answer.json())["event_id"])
            except aiohttp.ClientConnectorError:
                refused.append(name)
                return

    # A connection for each request: one that is kept open may be closed by us just as the client sends into it.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        clients = [asyncio.create_task(client(session, number)) for number in range(20)]
        await becomes(lambda count: count > 100, lambda: counted(answered))
        gateway.terminate()
        await asyncio.gather(*clients)

    assert await ended(gateway) <= (0, DRAIN_SECONDS)
    assert len(refused) == 20
    rows = await fetch(stage, "SELECT event_id, state FROM payments")
    assert {(name, "succeeded") for name in answered} == set(rows)


async def counted(things: list[str]) -> int:
    return len(things)


async def test_deliveries_that_were_acknowledged_are_kept(stage: Stage) -> None:
    """A receiver asked to end under load loses nothing: every 200 is a row, and nobody is reset."""
    receiver = stage.start("webhook-receiver")
    acknowledged: list[str] = []

    async def sender(session: aiohttp.ClientSession, number: int) -> None:
        for count in range(1000):
            body = deliveries.encoded(deliveries.event(f"{number}_{count}"))
            try:
                url = f"{receiver.url}/webhooks/stripe"
                async with session.post(url, data=body, headers=deliveries.signed(body)) as answer:
                    assert answer.status == 200, await answer.text()
                    acknowledged.append(json.loads(await answer.text())["received"])
            except aiohttp.ClientConnectorError:
                return

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        senders = [asyncio.create_task(sender(session, number)) for number in range(20)]
        await becomes(lambda count: count > 100, lambda: counted(acknowledged))
        receiver.terminate()
        await asyncio.gather(*senders)

    assert await ended(receiver) <= (0, DRAIN_SECONDS)
    rows = await fetch(stage, "SELECT event_id FROM notices")
    assert {(name,) for name in acknowledged} == set(rows)


@pytest.mark.parametrize("role", ["worker", "outbox-publisher"])
async def test_an_idle_role_ends_at_once(stage: Stage, role: str) -> None:
    """With nothing in hand the exit code is 0 within a few seconds."""
    running = stage.start(role)
    running.terminate()
    code, seconds = await ended(running)
    assert (code, seconds < LEEWAY_SECONDS) == (0, True), running.log()


@pytest.mark.parametrize("role", ["worker", "outbox-publisher"])
async def test_a_silent_database_holds_no_role_back(stage: Stage, role: str) -> None:
    """Connected, and then no answer to anything: a role that is asked to end does so with 0, within its 15 s."""
    with relayed(stage.database_url) as relay:
        running = stage.start(role, DATABASE_URL=relay.url)
        relay.fall_silent()
        await asyncio.sleep(3)  # by then a question of each kind is without an answer

        running.terminate()
        code, seconds = await ended(running)

    assert (code, seconds < DRAIN_SECONDS + LEEWAY_SECONDS) == (0, True), running.log()


async def test_a_publisher_gives_up_a_silent_database(stage: Stage) -> None:
    """A question without an answer ends by itself, so that the lead is sought anew, on another connection."""
    with relayed(stage.database_url) as relay:
        running = stage.start("outbox-publisher", DATABASE_URL=relay.url)
        await becomes(lambda log: "publisher.leads" in log, lambda: logged(running))
        relay.fall_silent()

        await becomes(lambda log: "publisher.interrupted" in log, lambda: logged(running), seconds=20)

    assert running.process.poll() is None


async def logged(role: Running) -> str:
    return role.log()
