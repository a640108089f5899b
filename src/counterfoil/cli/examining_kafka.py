"""What the doctor asks Kafka, and the databases of other services whose outboxes we send there."""

from collections.abc import Collection
from typing import Any, Final

import asyncpg

from counterfoil.bus import letters, standing, topics
from counterfoil.cli import findings, findings_at_kafka
from counterfoil.cli.database import connected
from counterfoil.cli.exits import CommandFailed, Unreachable
from counterfoil.cli.findings import LATE, TOO_LATE, Finding
from counterfoil.cli.topics import kafka_config
from counterfoil.config import OutboxSource, Settings
from counterfoil.domain.errors import Misconfigured, Unavailable
from counterfoil.messages.topics import TOPIC_OF
from counterfoil.roles import dispatcher
from counterfoil.roles.forwarding import demand_topics_of_others
from counterfoil.roles.worker.listening import GROUP, TOPICS
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.secret import Secret
from counterfoil.store import sources

READERS: Final = (
    ("dispatcher", dispatcher.GROUP, (TOPIC_OF[dispatcher.ORDER],)),
    ("worker", GROUP, TOPICS),
)
"""The roles that read, each with its group and topics."""


async def examine(settings: Settings, own_database: Secret | None, clock: Clock) -> list[Finding]:
    """Return what is found at the brokers of the settings, which must name some, and at each source.

    ``own_database`` is where sources are that name no database; None where that is not known.
    """
    config = kafka_config(settings)
    greeting = await standing.greet(config)
    found = findings_at_kafka.of_kafka(greeting)
    if greeting.refusal is None:
        try:
            found += await _of_brokers(config, clock)
        except Unavailable as error:
            remedy = "see to the brokers, and ask again"
            found.append(findings.failure("kafka", f"{error} any more: not all of it was asked", remedy))
    try:
        demand_topics_of_others(settings.outbox_sources)
    except Misconfigured as error:
        found.append(findings.failure("sources", str(error), "name another topic: no outbox-publisher starts with it"))
    for source in settings.outbox_sources:
        there = None if greeting.refusal is not None else greeting.topics
        found += await _of_source(source, source.database_url or own_database, there, clock)
    return found


async def _of_brokers(config: dict[str, Any], clock: Clock) -> list[Finding]:
    found = findings_at_kafka.of_topics(await topics.check(config))
    found += findings_at_kafka.of_letters(await letters.count(config))
    behind = []
    for role, group, names in READERS:
        now = clock.now()
        late = await standing.unread(config, group, names, now - LATE)
        too_late = await standing.unread(config, group, names, now - TOO_LATE)
        behind += findings_at_kafka.of_unread(role, late, too_late)
    line = f"no message waits to be read for more than {LATE.total_seconds() / 60:.0f} min"
    return found + (behind or [findings.ok("unread", line)])


async def _of_source(
    source: OutboxSource, url: Secret | None, there: Collection[str] | None, clock: Clock
) -> list[Finding]:
    """Return what is found of one source; ``there`` are the topics, None where nobody told."""
    found = [] if there is None else findings_at_kafka.of_source_topics(source, there)
    if url is None:
        why = "it is in our own database, and that is not known here"
        return [*found, findings_at_kafka.of_source_out_of_reach(source, why)]
    table = sources.Table(source.table)
    try:
        async with connected(url) as connection:
            lacks = await sources.lacking(connection, table)
            if lacks is not None:
                return [*found, findings_at_kafka.of_source_without_table(source, lacks)]
            waiting = await sources.waiting(connection, table, source.topics.keys())
    except (Unreachable, CommandFailed, asyncpg.PostgresError) as error:
        return [*found, findings_at_kafka.of_source_out_of_reach(source, str(error))]
    return found + findings_at_kafka.of_source(source, waiting, clock.now())
