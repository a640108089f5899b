"""Topics at a real Kafka: made, and held against what they should be."""

import pytest
from confluent_kafka.admin import NewTopic
from tests.broker import LACKING, WHY_SKIPPED, Kafka

from counterfoil.bus import topics
from counterfoil.bus.connection import client_config
from counterfoil.bus.topics import Found
from counterfoil.domain.errors import Unavailable

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_all_topics_are_made_once(kafka: Kafka) -> None:
    """What is there is left as it is, and is as it should be."""
    assert await topics.create(kafka.config, 1) == []
    assert await topics.check(kafka.config) == [Found(name) for name in topics.names()]


async def test_what_we_hear_has_a_topic_of_dead_letters() -> None:
    """Nothing that cannot be worked on is without a place."""
    names = topics.names()
    assert {"orders.placed.dlq", "orders.cancelled.dlq", "payments.commands.dlq", "fraud.checks.dlq"} <= set(names)
    assert "payments.completed.dlq" not in names


async def test_what_is_missing_or_differs_is_found(kafka: Kafka) -> None:
    """A topic that is gone, one that is compacted, one that forgets too soon, one with too few partitions."""
    admin = kafka.admin()
    changed = {"fraud.checks": {}, "fraud.checks.dlq": {"cleanup.policy": "compact", "retention.ms": "3600000"}}
    for deleted in admin.delete_topics(list(changed)).values():
        deleted.result(10)
    (found,) = [one for one in await topics.check(kafka.config) if one.name == "fraud.checks"]
    assert found == Found("fraud.checks", missing=True)

    (made,) = admin.create_topics(
        [NewTopic("fraud.checks.dlq", num_partitions=1, replication_factor=1, config=changed["fraud.checks.dlq"])]
    ).values()
    made.result(10)
    (differing,) = [one for one in await topics.check(kafka.config) if one.name == "fraud.checks.dlq"]
    assert differing.differs == (
        "has 1 partitions, not 3",
        "is compacted: facts would be lost",
        "keeps messages 1 h, less than 7 days",
    )

    (gone,) = admin.delete_topics(["fraud.checks.dlq"]).values()
    gone.result(10)
    assert await topics.create(kafka.config, 1) == ["fraud.checks", "fraud.checks.dlq"]
    assert await topics.check(kafka.config) == [Found(name) for name in topics.names()]


async def test_no_broker_is_unavailable() -> None:
    """Where nobody listens, that is said."""
    with pytest.raises(Unavailable):
        await topics.check(client_config("127.0.0.1:9", {}))
