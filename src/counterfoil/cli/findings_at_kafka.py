"""What the doctor makes of what Kafka told it, and the outboxes of other services. Asks nobody itself."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from counterfoil.bus.standing import Greeting, Refusal, Unread
from counterfoil.bus.topics import COMPACTED, Found
from counterfoil.cli.findings import LATE, TOO_LATE, Finding, failure, ok, warning
from counterfoil.config import OutboxSource
from counterfoil.messages.topics import DEAD_LETTERS
from counterfoil.store.sources import COUNTED, Waiting

NAMED = 5
"""Of many topics so many are named: whoever wants them all has a command for that."""

_REMEDIES = {
    Refusal.UNREACHABLE: "start it, or let KAFKA_BROKERS name brokers that run",
    Refusal.TLS: "let KAFKA_CONFIG have the security.protocol of that listener, and an ssl.ca.location that knows it",
    Refusal.SASL: "let KAFKA_CONFIG have the mechanism, name and password that the brokers know, and restart the roles",
    Refusal.SETTINGS: "mend KAFKA_CONFIG: its names and values are librdkafka's",
}
_SAID = {
    Refusal.UNREACHABLE: "no broker answers",
    Refusal.TLS: "the brokers and we do not agree on TLS",
    Refusal.SASL: "the brokers do not let us in",
    Refusal.SETTINGS: "its client does not take KAFKA_CONFIG",
}


def of_kafka(greeting: Greeting) -> list[Finding]:
    """Judge whether Kafka lets us in."""
    if greeting.refusal is not None:
        line = f"{_SAID[greeting.refusal]}: {greeting.why}"
        return [failure("kafka", line, _REMEDIES[greeting.refusal])]
    answers = "its broker answers" if greeting.brokers == 1 else f"its {greeting.brokers} brokers answer"
    return [ok("kafka", answers)]


def of_topics(topics: Sequence[Found]) -> list[Finding]:
    """Judge whether all our topics are there, and as they should be."""
    missing = [one.name for one in topics if one.missing]
    found = []
    if missing:
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        verb, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        line = f"{named} {verb} missing: what is for {them} waits"
        found.append(failure("topics", line, "run `counterfoil topics create`"))
    for one in topics:
        if one.differs:
            judge = failure if COMPACTED in one.differs else warning
            remedy = "change it at the brokers; `counterfoil topics check` compares"
            found.append(judge("topics", f"{one.name} {' and '.join(one.differs)}", remedy))
    return found or [ok("topics", f"all {len(topics)} are there, and as they should be")]


def of_letters(letters: Mapping[str, int]) -> list[Finding]:
    """Judge whether dead letters wait for a person, by the topics that have any."""
    if not letters:
        return [ok("dead letters", "none waits")]
    line = ", ".join(f"{count} on {topic}" for topic, count in sorted(letters.items()))
    return [warning("dead letters", line, "`counterfoil dlq list`, then replay or drop each")]


def of_unread(role: str, late: Unread, too_late: Unread) -> list[Finding]:
    """Judge whether a role reads its topics in time; what was there `LATE` and `TOO_LATE` ago, and is unread still."""
    if not late.since:
        return []
    since, judge = (too_late.since, failure) if too_late.since else (late.since, warning)
    minutes = (TOO_LATE if too_late.since else LATE).total_seconds() / 60
    line = f"of {late.count} messages for the {role} {since} are unread for more than {minutes:.0f} min"
    return [judge("unread", line, f"see whether a {role} runs and what it logs; more of them may run")]


def of_source_topics(source: OutboxSource, there: Collection[str]) -> list[Finding]:
    """Judge whether a source's topics are there, each with that of its dead letters."""
    check = f"source {source.name}"
    found = []
    for topic in sorted(set(source.topics.values())):
        if topic not in there:
            line = f"the topic {topic} is missing: what is for it waits"
            found.append(failure(check, line, f"make {topic} and {topic}{DEAD_LETTERS}"))
        elif f"{topic}{DEAD_LETTERS}" not in there:
            line = f"the topic {topic}{DEAD_LETTERS} is missing: a row that is too large would hold up its aggregate"
            found.append(warning(check, line, "make it"))
    return found


def of_source_out_of_reach(source: OutboxSource, why: str) -> Finding:
    """Return that a source's database does not answer, or not let us in."""
    remedy = "start it, or mend the database_url of that source in OUTBOX_SOURCES"
    return failure(f"source {source.name}", why, remedy)


def of_source_without_table(source: OutboxSource, lacks: str) -> Finding:
    """Return that a source's table is no outbox; ``lacks`` follows its name."""
    remedy = "let its service make it as docs/concepts/outbox-sources.md says"
    return failure(f"source {source.name}", f"its table {source.table} {lacks}", remedy)


def of_source(source: OutboxSource, waiting: Waiting, now: datetime) -> list[Finding]:
    """Judge whether a source's rows are sent in time, and whether all its types have a topic."""
    check = f"source {source.name}"
    found = []
    age = timedelta() if waiting.since is None else now - waiting.since
    count = f"{COUNTED} or more" if waiting.count >= COUNTED else str(waiting.count)
    if age > LATE:
        line = f"{count} rows wait, the oldest for {age.total_seconds() / 60:.0f} min"
        judge = failure if age > TOO_LATE else warning
        found.append(judge(check, line, "see whether an outbox-publisher runs with this source, and what it logs"))
    if waiting.unmapped:
        line = f"{waiting.unmapped} rows are of types without a topic, such as {waiting.unmapped_type}"
        remedy = "name their topic in OUTBOX_SOURCES, or let the service write them elsewhere"
        found.append(warning(check, line, remedy))
    return found or [ok(check, f"its table {source.table} can be read, and {count} rows wait")]
