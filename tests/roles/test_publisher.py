"""Publishers as processes: one leads, another takes over, and no fact is lost or told twice."""

import asyncio
import re
from collections import Counter
from typing import Any

import asyncpg
import httpx
from tests.stage import Running, Stage, authority, becomes, fetch, now, order

from counterfoil.store import outbox

TAKEN_OVER_SECONDS = 5


async def leads(http: httpx.AsyncClient, publisher: Running) -> bool:
    metrics = (await http.get(f"{publisher.url}/metrics")).text
    return "counterfoil_publisher_leads 1.0" in metrics


async def leaders(http: httpx.AsyncClient, publishers: list[Running]) -> list[Running]:
    return [publisher for publisher in publishers if await leads(http, publisher)]


async def test_a_killed_leader_is_followed_within_5_s(stage: Stage, http: httpx.AsyncClient) -> None:
    """Of two publishers one leads; killed under load, the other goes on, and no position is missed or doubled."""
    headers = await authority(stage)
    gateway = stage.start("gateway")
    publishers = [stage.start("outbox-publisher") for _ in range(2)]
    (leader,) = await becomes(lambda found: len(found) == 1, lambda: leaders(http, publishers))
    publishers.remove(leader)

    async def shop(number: int) -> None:
        for count in range(20):
            body = order(f"{number}-{count}")
            answer = await http.post(f"{gateway.url}/charge", json=body, headers=headers)
            assert answer.status_code == 200
            await asyncio.sleep(0.02)

    shops = [asyncio.create_task(shop(number)) for number in range(10)]
    await becomes(lambda rows: rows[0][0] > 50, lambda: fetch(stage, "SELECT count(*) FROM positions"))
    leader.kill()
    killed = now()
    await becomes(publishers, lambda: leaders(http, publishers))
    taken_over_seconds = now() - killed
    await asyncio.gather(*shops)
    await becomes([(0,)], lambda: fetch(stage, "SELECT count(*) FROM outbox"))

    assert taken_over_seconds < TAKEN_OVER_SECONDS
    published = await fetch(stage, "SELECT payment_id, version FROM positions ORDER BY position")
    assert Counter(published) == Counter(await fetch(stage, "SELECT payment_id, version FROM facts"))
    assert len(published) == 400
    seen: dict[Any, int] = {}
    for payment_id, version in published:
        assert version == seen.get(payment_id, 0) + 1
        seen[payment_id] = version


async def test_a_fact_has_its_place_moments_after_its_commit(stage: Stage, http: httpx.AsyncClient) -> None:
    """The publisher is told of a commit and does not wait for its own timer: far less than the 2 s of that."""
    headers = await authority(stage)
    gateway, publisher = stage.start("gateway"), stage.start("outbox-publisher")
    await becomes([publisher], lambda: leaders(http, [publisher]))
    for number in range(5):
        await http.post(f"{gateway.url}/charge", json=order(number), headers=headers)
        await becomes([(0,)], lambda: fetch(stage, "SELECT count(*) FROM outbox"))
    waits = await fetch(
        stage,
        "SELECT extract(epoch FROM published_at - occurred_at)::float8 "
        "FROM positions JOIN facts USING (payment_id, version)",
    )
    assert len(waits) == 10
    assert sorted(waits)[5][0] < 1.0


async def test_what_waits_is_measured_by_who_does_not_lead_too(stage: Stage, http: httpx.AsyncClient) -> None:
    """Nobody publishes while a session of somebody else's holds the lead; every publisher tells how much waits."""
    connection = await asyncpg.connect(stage.database_url)
    assert await outbox.try_to_lead(connection)
    headers = await authority(stage)
    gateway, publisher = stage.start("gateway"), stage.start("outbox-publisher")
    await http.post(f"{gateway.url}/charge", json=order(1), headers=headers)

    await becomes("2.0", lambda: gauge(http, publisher, "counterfoil_outbox_waiting"))
    await connection.close()
    await becomes("0.0", lambda: gauge(http, publisher, "counterfoil_outbox_waiting"))


async def gauge(http: httpx.AsyncClient, running: Running, name: str) -> str | None:
    found = re.search(rf"^{name} (.+)$", (await http.get(f"{running.url}/metrics")).text, re.MULTILINE)
    return found[1] if found else None
