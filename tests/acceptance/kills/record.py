"""The system of record as the kill tests touch it. All their SQL stands here.

A process is killed at a commit by making it wait there: the test holds, in a transaction of its own, what the
process must lock, and sees in `pg_stat_activity` that the process's backend waits for it.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
from tests.acceptance.kills.books import FactRow, PaymentRow
from tests.stage import becomes

from counterfoil.cli.comparison import from_row
from counterfoil.store.pool import Connection
from counterfoil.store.reading import Wanted, page

# A change is not committed while the row in `gates` that bears its name is locked: COMMIT itself has to wait. What the
# test moves, the time of a payment's next check, is no such change.
_GATES = """
CREATE TABLE gates (name text PRIMARY KEY);
CREATE FUNCTION pass_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM gates WHERE name = to_jsonb(NEW) ->> TG_ARGV[0] FOR SHARE;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER gated AFTER UPDATE ON payments DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.updated_at <> NEW.updated_at) EXECUTE FUNCTION pass_gate('event_id');
CREATE CONSTRAINT TRIGGER gated AFTER INSERT ON notices DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION pass_gate('event_id');
CREATE CONSTRAINT TRIGGER gated AFTER INSERT ON positions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION pass_gate('payment_id');
"""
_NEW_GATE = "INSERT INTO gates VALUES ($1) ON CONFLICT DO NOTHING"
_LOCK_GATE = "SELECT FROM gates WHERE name = $1 FOR UPDATE"

_LOCK_PAYMENT = "SELECT FROM payments WHERE event_id = $1 FOR UPDATE"
_LOCK_ATTEMPTS = """
SELECT FROM attempts WHERE payment_id = (SELECT id FROM payments WHERE event_id = $1) FOR UPDATE
"""
_LOCK_NOTICES = "LOCK TABLE notices IN SHARE MODE"
_LOCK_POSITIONS = "LOCK TABLE positions IN SHARE MODE"

# Whatever columns a payment has, the rival has those of some other payment, but for its names.
_RIVAL = """
INSERT INTO payments
SELECT (jsonb_populate_record(p, jsonb_build_object(
           'id', gen_random_uuid(), 'event_id', $1::text, 'order_id', $1::text, 'intent_id', NULL))).*
  FROM payments AS p LIMIT 1
"""

_WAITING = """
SELECT pid FROM pg_stat_activity
 WHERE wait_event_type = 'Lock' AND application_name LIKE 'counterfoil ' || $1 || '%'
   AND $2 = ANY(pg_blocking_pids(pid))
"""
_THERE = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
_SEVER = "SELECT pg_terminate_backend($1)"

_STATES = "SELECT event_id, state FROM payments WHERE event_id = ANY($1::text[])"
_FENCES = """
SELECT event_id, fence FROM attempts AS a JOIN payments AS p ON p.id = a.payment_id
 WHERE event_id = ANY($1::text[]) AND number = 1
"""
_OPEN = "SELECT event_id FROM payments WHERE state IN ('requested', 'processing', 'in_doubt')"
_CHECKS_COME = "UPDATE payments SET next_check_at = now() WHERE event_id = ANY($1::text[]) AND next_check_at > now()"
_CHECKS_WAIT = "UPDATE payments SET next_check_at = now() + interval '1 day' WHERE event_id = ANY($1::text[])"
_CLAIMS_EXPIRE = """
UPDATE attempts SET claim_expires_at = now()
 WHERE payment_id IN (SELECT id FROM payments WHERE event_id = ANY($1::text[])) AND claim_expires_at > now()
"""
_FACTS = """
SELECT payment_id, version, name, position IS NOT NULL AS published
  FROM facts LEFT JOIN positions USING (payment_id, version) ORDER BY payment_id, version
"""
_ID = "SELECT id::text FROM payments WHERE event_id = $1"
_PUBLISHED = """
SELECT o.version FROM positions AS o JOIN payments AS p ON p.id = o.payment_id WHERE event_id = $1 ORDER BY position
"""
_TO_PUBLISH = "SELECT count(*) FROM outbox"
_NOTICES = "SELECT event_id, state, deliveries FROM notices"
_MOST_PAYMENTS = 1000
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Lock:
    """Something that the test holds, and that a process of ours has to wait for."""

    watcher: Connection
    holder: int

    async def waited_for(self, role: str) -> int:
        """Return which backend of a role waits for it, once there is one."""
        found = await becomes(bool, lambda: self.watcher.fetch(_WAITING, role, self.holder))
        backend: int = found[0]["pid"]
        return backend


@dataclass(frozen=True, slots=True)
class Record:
    """The database that all processes of a test share."""

    url: str
    connection: Connection

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str) -> AsyncIterator[Self]:
        """Yield the record behind a URL."""
        connection = await asyncpg.connect(url, command_timeout=_ANSWER_SECONDS)
        yield cls(url, connection)
        await connection.close()

    async def make_gates(self) -> None:
        """Give the test a way to hold a commit; once for each database."""
        await self.connection.execute(_GATES)

    @asynccontextmanager
    async def payment_locked(self, event: str) -> AsyncIterator[Lock]:
        """Hold the row of a payment: nobody else can begin to record anything of it."""
        async with self._holding(_LOCK_PAYMENT, event) as lock:
            yield lock

    @asynccontextmanager
    async def attempts_locked(self, event: str) -> AsyncIterator[Lock]:
        """Hold the rows of a payment's attempts: a claim of them stops in the middle of its transaction."""
        async with self._holding(_LOCK_ATTEMPTS, event) as lock:
            yield lock

    @asynccontextmanager
    async def commit_held(self, name: str) -> AsyncIterator[Lock]:
        """Hold a commit: all is done, COMMIT was sent, and it does not end.

        What has to wait is a change of the payment of that event, the keeping of that event of Stripe's, or the
        publication of a fact of the payment of that id.
        """
        await self.connection.execute(_NEW_GATE, name)
        async with self._holding(_LOCK_GATE, name) as lock:
            yield lock

    @asynccontextmanager
    async def rivalled(self, event: str) -> AsyncIterator[Lock]:
        """Hold a payment of the same event that never commits: who accepts the event must wait for its end."""
        async with self._holding(_RIVAL, event) as lock:
            yield lock

    @asynccontextmanager
    async def notices_locked(self) -> AsyncIterator[Lock]:
        """Let nobody begin to keep a notice."""
        async with self._holding(_LOCK_NOTICES) as lock:
            yield lock

    @asynccontextmanager
    async def positions_locked(self) -> AsyncIterator[Lock]:
        """Let nobody begin to publish."""
        async with self._holding(_LOCK_POSITIONS) as lock:
            yield lock

    async def gone(self, backend: int) -> None:
        """Return once the server has noticed that this backend's client is dead."""
        await becomes(0, lambda: self.connection.fetchval(_THERE, backend))

    async def sever(self, backend: int) -> None:
        """Let the server notice it now, before what the backend waits for comes: nothing of it is committed."""
        await self.connection.execute(_SEVER, backend)
        await self.gone(backend)

    async def pass_time(self, events: Iterable[str]) -> None:
        """Play the passing of time: claims on these payments expire, and their next checks are due.

        A claim is for two minutes, which no test waits: it moves the record's own hands instead.
        """
        names = list(events)
        await self.expire_claims(names)
        await self.connection.execute(_CHECKS_COME, names)

    async def stop_time(self, events: Iterable[str]) -> None:
        """Let no check of these payments become due by itself, however slow the machine is."""
        await self.connection.execute(_CHECKS_WAIT, list(events))

    async def expire_claims(self, events: Iterable[str]) -> None:
        """Play the first half of it: nobody looks at a claim before its payment's check is due."""
        await self.connection.execute(_CLAIMS_EXPIRE, list(events))

    async def states(self, events: Iterable[str]) -> Mapping[str, str]:
        """Return how the payments of these events stand."""
        return dict(await self._pairs(_STATES, list(events)))

    async def fences(self, events: Iterable[str]) -> Mapping[str, int]:
        """Return how often the first attempts of these events' payments were claimed."""
        return dict(await self._pairs(_FENCES, list(events)))

    async def open_events(self) -> list[str]:
        """Return the events of payments whose outcome we do not know."""
        return [row["event_id"] for row in await self.connection.fetch(_OPEN)]

    async def payments(self) -> list[PaymentRow]:
        """Return every payment."""
        found = await page(self.connection, before=None, wanted=Wanted(), most=_MOST_PAYMENTS)
        assert len(found) < _MOST_PAYMENTS
        return [PaymentRow(one.id, one.event_id, one.version, from_row(one)) for one in found]

    async def facts(self) -> list[FactRow]:
        """Return every fact, in order of payment and version."""
        return [FactRow(**dict(row)) for row in await self.connection.fetch(_FACTS)]

    async def id_of(self, event: str) -> str:
        """Return the id of an event's payment."""
        found: str = await self.connection.fetchval(_ID, event)
        return found

    async def published(self, event: str) -> list[int]:
        """Return the versions of a payment's facts that have a position, in that order."""
        return [row["version"] for row in await self.connection.fetch(_PUBLISHED, event)]

    async def to_publish(self) -> int:
        """Return how many facts wait to be published."""
        count: int = await self.connection.fetchval(_TO_PUBLISH)
        return count

    async def notices(self) -> Mapping[str, tuple[str, int]]:
        """Return, by event of Stripe's, what became of its notice and how often it was delivered."""
        rows = await self.connection.fetch(_NOTICES)
        return {row["event_id"]: (row["state"], row["deliveries"]) for row in rows}

    async def _pairs(self, query: str, *arguments: Any) -> list[tuple[str, Any]]:
        return [tuple(row.values()) for row in await self.connection.fetch(query, *arguments)]

    @asynccontextmanager
    async def _holding(self, statement: str, *arguments: Any) -> AsyncIterator[Lock]:
        """Hold what a statement locks, and undo what it did at the end."""
        holder = await asyncpg.connect(self.url, command_timeout=_ANSWER_SECONDS)
        try:
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute(statement, *arguments)
            yield Lock(self.connection, holder.get_server_pid())
            await transaction.rollback()
        finally:
            await holder.close()
