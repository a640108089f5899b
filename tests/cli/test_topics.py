import json
import subprocess
from collections.abc import Callable

import pytest
from tests.broker import LACKING, WHY_SKIPPED, Kafka

Command = Callable[..., subprocess.CompletedProcess[str]]

needs_kafka = pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED)


@needs_kafka
@pytest.mark.asyncio(loop_scope="session")
async def test_topics_are_made_and_checked(kafka: Kafka, counterfoil: Command) -> None:
    """What is missing is named and makes the exit code 1; made, all is well; made again, nothing is done."""
    settings = {"KAFKA_BROKERS": kafka.brokers}
    admin = kafka.admin()
    for deleted in admin.delete_topics(["refunds.requested"]).values():
        deleted.result(10)

    lacking = counterfoil("topics", "check", settings=settings)
    made = counterfoil("topics", "create", settings=settings)
    checked = counterfoil("topics", "check", "--json", settings=settings)
    again = counterfoil("topics", "create", settings=settings)

    (line,) = [line for line in lacking.stdout.splitlines() if line.startswith("refunds.requested")]
    assert (lacking.returncode, line.split(maxsplit=1)[1]) == (1, "missing: counterfoil topics create")
    assert (made.returncode, made.stdout) == (0, "made refunds.requested\n")
    assert checked.returncode == 0
    assert {(one["missing"], tuple(one["differs"])) for one in json.loads(checked.stdout)} == {(False, ())}
    assert (again.returncode, again.stdout) == (0, "all topics are there\n")


def test_brokers_have_to_be_named(counterfoil: Command) -> None:
    """One line says which setting is missing."""
    done = counterfoil("topics", "check")
    assert (done.returncode, done.stderr) == (78, "counterfoil: KAFKA_BROKERS is missing: where Kafka is\n")


def test_nobody_there_is_unreachable(counterfoil: Command) -> None:
    """A broker that does not answer ends the command with 69, and one line."""
    done = counterfoil("topics", "check", settings={"KAFKA_BROKERS": "127.0.0.1:9"})
    assert (done.returncode, done.stderr) == (69, "counterfoil: the broker at KAFKA_BROKERS does not answer\n")
