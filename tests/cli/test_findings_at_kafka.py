from datetime import UTC, datetime, timedelta

import pytest

from counterfoil.bus.standing import Greeting, Refusal, Unread
from counterfoil.bus.topics import COMPACTED, Found
from counterfoil.cli import findings_at_kafka as findings
from counterfoil.cli.findings import Finding, Level
from counterfoil.config import OutboxSource
from counterfoil.store.sources import COUNTED, Waiting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHOP = OutboxSource(
    name="shop", database_url=None, table="shop.outbox", topics={"OrderPlaced": "orders.placed"}, channel="outbox"
)
NOTHING = Unread(5, 0)


def told(found: list[Finding]) -> list[tuple[Level, str]]:
    assert [one.remedy is None for one in found] == [one.level is Level.OK for one in found]
    return [(one.level, one.line) for one in found]


@pytest.mark.parametrize("refusal", Refusal)
def test_whatever_keeps_us_out_is_a_failure_with_a_remedy(refusal: Refusal) -> None:
    """Each has its own words; who answers is well."""
    ((level, line),) = told(findings.of_kafka(Greeting(0, frozenset(), refusal, "the client's words")))
    assert (level, line.endswith(": the client's words")) == (Level.FAILURE, True)
    assert told(findings.of_kafka(Greeting(3, frozenset()))) == [(Level.OK, "its 3 brokers answer")]


def test_a_topic_that_is_missing_or_compacted_loses_facts() -> None:
    """What only differs is a warning; of many that are missing a few are named."""
    assert told(findings.of_topics([Found("a", missing=True)])) == [
        (Level.FAILURE, "a is missing: what is for it waits")
    ]
    many = [Found(f"t{number}", missing=True) for number in range(7)]
    assert told(findings.of_topics(many)) == [
        (Level.FAILURE, "t0, t1, t2, t3, t4 and 2 more are missing: what is for them waits")
    ]
    differing = [Found("a", differs=(COMPACTED,)), Found("b", differs=("has 1 partitions, not 3",)), Found("c")]
    assert told(findings.of_topics(differing)) == [
        (Level.FAILURE, "a is compacted: facts would be lost"),
        (Level.WARNING, "b has 1 partitions, not 3"),
    ]
    assert told(findings.of_topics([Found("a")])) == [(Level.OK, "all 1 are there, and as they should be")]


@pytest.mark.parametrize(
    ("late", "too_late", "level"),
    [
        (NOTHING, NOTHING, None),
        (Unread(5, 2), NOTHING, Level.WARNING),
        (Unread(5, 2), Unread(5, 1), Level.FAILURE),
    ],
)
def test_messages_that_wait_too_long_are_told_of(late: Unread, too_late: Unread, level: Level | None) -> None:
    """However many there are: those of this minute are on their way."""
    assert [one for one, _ in told(findings.of_unread("worker", late, too_late))] == ([] if level is None else [level])


@pytest.mark.parametrize(
    ("waits", "level"),
    [
        (timedelta(seconds=60), Level.OK),
        (timedelta(seconds=61), Level.WARNING),
        (timedelta(minutes=10, seconds=1), Level.FAILURE),
    ],
)
def test_rows_that_wait_too_long_are_told_of(waits: timedelta, level: Level) -> None:
    """By the age of the oldest; a count that was cut off says so."""
    found = findings.of_source(SHOP, Waiting(3, NOW - waits, 0, None), NOW)
    assert [one for one, _ in told(found)] == [level]
    assert "3 rows wait" in found[0].line
    assert f"{COUNTED} or more rows" in findings.of_source(SHOP, Waiting(COUNTED, NOW - waits, 0, None), NOW)[0].line


def test_types_without_a_topic_are_a_warning() -> None:
    """Beside what waits, not instead of it."""
    found = told(findings.of_source(SHOP, Waiting(0, None, 2, "OrderShipped"), NOW))
    assert found == [(Level.WARNING, "2 rows are of types without a topic, such as OrderShipped")]
