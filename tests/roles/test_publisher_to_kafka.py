"""Publishers as processes, and a real Kafka: nothing is lost on the way, and no payment's facts change places."""

import asyncio
import json

import httpx
import pytest
from confluent_kafka import Message
from tests.broker import LACKING, WHY_SKIPPED, Kafka, header
from tests.stage import Stage, authority, becomes, fetch, order, ready

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]


async def said(kafka: Kafka, stage: Stage, topic: str, least: int) -> list[Message]:
    """Return what this stage's installation has said on a topic, once it is so much."""
    ((name,),) = await fetch(stage, "SELECT current_database()")

    def ours(found: list[Message]) -> list[Message]:
        source = ("ce_source", f"/counterfoil/{name}".encode())
        return [one for one in found if source in (one.headers() or [])]  # others say things without headers

    return ours(await kafka.heard(topic, lambda found: len(ours(found)) >= least))


async def charged(stage: Stage, http: httpx.AsyncClient, count: int) -> None:
    """Charge so many orders, side by side."""
    headers, gateway = await authority(stage), stage.start("gateway")

    async def charge(number: int) -> None:
        answer = await http.post(f"{gateway.url}/charge", json=order(number), headers=headers)
        assert answer.status_code == 200

    await asyncio.gather(*(charge(number) for number in range(count)))


async def published(stage: Stage) -> None:
    """Return once nothing waits in the outbox."""
    await becomes([(0,)], lambda: fetch(stage, "SELECT count(*) FROM outbox"), seconds=90)


async def test_facts_arrive_on_their_topics(stage: Stage, kafka: Kafka, http: httpx.AsyncClient) -> None:
    """Each with the id it has on record, under its payment's key."""
    await charged(stage, http, 3)
    publisher = stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers)
    await published(stage)

    for topic, name in (("payments.requested", "PaymentRequested"), ("payments.completed", "PaymentSucceeded")):
        messages = await said(kafka, stage, topic, 3)
        recorded = await fetch(stage, f"SELECT id, payment_id FROM facts WHERE name = '{name}'")  # noqa: S608 - a name of the test's own
        assert sorted((header(one, "ce_id"), (one.key() or b"").decode()) for one in messages) == sorted(
            (str(fact_id), str(payment_id)) for fact_id, payment_id in recorded
        )
        assert {json.loads(one.value() or b"")["amount"] for one in messages} == {1999}
    publisher.terminate()
    assert publisher.ended() == 0


@pytest.mark.storm
async def test_no_fact_is_lost_when_the_leader_is_killed(stage: Stage, kafka: Kafka, http: httpx.AsyncClient) -> None:
    """Killed with messages on their way: the next one hands them over again, and positions are given once."""
    publishers = [stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers) for _ in range(2)]
    charging = asyncio.create_task(charged(stage, http, 100))
    for _ in range(6):
        await asyncio.sleep(0.4)
        publishers.pop(0).kill()
        publishers.append(stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers))
    await charging
    await published(stage)

    recorded = {str(fact_id) for (fact_id,) in await fetch(stage, "SELECT id FROM facts")}
    messages = [
        one for topic in ("payments.requested", "payments.completed") for one in await said(kafka, stage, topic, 100)
    ]
    assert {header(one, "ce_id") for one in messages} == recorded
    assert await fetch(stage, "SELECT count(*), count(DISTINCT (payment_id, version)) FROM positions") == [(200, 200)]


@pytest.mark.storm
async def test_a_broker_that_was_killed_is_caught_up_with(stage: Stage, kafka: Kafka, http: httpx.AsyncClient) -> None:
    """Facts wait while it is away, and charges go on; the publisher is not ready meanwhile."""
    publisher = stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers)
    await kafka.killed()
    await charged(stage, http, 5)

    async def readiness() -> int:
        return await asyncio.to_thread(lambda: ready(publisher)[0])

    await becomes(503, readiness)
    assert await fetch(stage, "SELECT count(*) FROM positions") == [(0,)]
    await kafka.again()
    await published(stage)
    await becomes(200, readiness)
    assert len({header(one, "ce_id") for one in await said(kafka, stage, "payments.completed", 5)}) == 5


async def test_a_fact_too_large_for_the_broker_is_parked(stage: Stage, kafka: Kafka, http: httpx.AsyncClient) -> None:
    """It has its place and an alarm; what comes after it in the same payment arrives."""
    await charged(stage, http, 1)
    padded = "UPDATE facts SET body = body || jsonb_build_object('padding', repeat('x', 2000000)) WHERE version = 1"
    await fetch(stage, padded)
    publisher = stage.start("outbox-publisher", KAFKA_BROKERS=kafka.brokers)
    await published(stage)

    assert len(await said(kafka, stage, "payments.completed", 1)) == 1
    assert await fetch(stage, "SELECT version, undelivered FROM positions ORDER BY version") == [
        (1, "MSG_SIZE_TOO_LARGE"),
        (2, None),
    ]
    assert "announce.parked" in publisher.log()
