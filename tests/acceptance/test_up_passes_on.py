"""What `up` is told of others reaches the roles that it starts: whose outboxes they send, whose tasks they take."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from tests.acceptance.test_up import STOPPED_SECONDS, running
from tests.aws import server
from tests.broker import LACKING, WHY_SKIPPED, Kafka
from tests.conftest import DatabaseMaker
from tests.outboxes import TABLE, Shop

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]


@pytest_asyncio.fixture
async def shop(make_database: DatabaseMaker) -> Shop:
    """Another service with an empty outbox."""
    made = Shop(await make_database())
    await made.execute(TABLE)
    return made


async def test_sources_and_the_queue_of_tasks_are_passed_on(
    home: Path, port_base: int, environment: dict[str, str], kafka: Kafka, shop: Shop
) -> None:
    """The publisher reads the other service's outbox, and the worker asks the queue: each has a check of its own."""
    source = {"name": "shop", "database_url": shop.url, "topics": {"OrderPlaced": "orders.placed"}}

    def checks() -> list[dict[str, str]]:
        with server(home.parent) as aws:
            dead = aws.sqs.create_queue(QueueName="dead")["QueueUrl"]
            about = aws.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
            policy = json.dumps({"deadLetterTargetArn": about["QueueArn"], "maxReceiveCount": 8})
            queue = aws.sqs.create_queue(QueueName="tasks", Attributes={"RedrivePolicy": policy})["QueueUrl"]
            told = {"OUTBOX_SOURCES": json.dumps([source]), "STEP_FUNCTIONS_QUEUE_URL": queue}
            settings = {**environment, **aws.settings, **told, "KAFKA_BROKERS": kafka.brokers}
            with running(home, port_base, settings, "--kafka") as process:
                found = [ready(port_base + offset) for offset in (3, 4)]
                process.terminate()
                process.wait(STOPPED_SECONDS)
                return found

    worker, publisher = await asyncio.to_thread(checks)
    assert worker["task queue"] == "ok"
    assert publisher["source shop"] == "ok"


def ready(port: int) -> dict[str, str]:
    checks: dict[str, str] = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).json()["checks"]
    return checks
