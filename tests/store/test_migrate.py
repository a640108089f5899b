"""The schema: what the migrations lead to is what schema.sql says, and getting there is safe."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files

import asyncpg
import pytest
from tests import told

from counterfoil.domain.errors import Misconfigured
from counterfoil.domain.states import AttemptState, PaymentState
from counterfoil.store.migrate import latest, migrate, migrations

SCHEMA = (files("counterfoil.store") / "schema.sql").read_text("utf-8")

MakeDatabase = Callable[[], Awaitable[str]]

CATALOG = """
SELECT 'column' AS kind, c.table_name || '.' || c.column_name AS name,
       concat_ws(' ', c.data_type, c.is_nullable, c.column_default, c.is_identity, c.ordinal_position) AS definition
  FROM information_schema.columns AS c WHERE c.table_schema = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
  FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'function', p.proname, pg_get_functiondef(p.oid)
  FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'partitioning', relname, pg_get_partkeydef(oid) FROM pg_class WHERE relkind = 'p'
"""


async def described(connection: "asyncpg.Connection[asyncpg.Record]") -> set[tuple[str, str, str]]:
    """Everything the catalog knows of our schema, but for the daily partitions, which differ from day to day."""
    rows = await connection.fetch(CATALOG)
    return {tuple(row.values()) for row in rows if "notice_bodies_2" not in row["name"]}


async def migrated(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    connection = await asyncpg.connect(url)
    await migrate(connection, told.START.date())
    return connection


async def test_the_migrations_lead_to_schema_sql(database_url: str, make_database: MakeDatabase) -> None:
    """The prose that people read and the database that they run are the same thing."""
    by_steps = await migrated(database_url)
    at_once = await asyncpg.connect(await make_database())
    await at_once.execute(SCHEMA)
    assert await described(at_once) == await described(by_steps)
    await by_steps.close()
    await at_once.close()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE payments ADD COLUMN forgotten text",
        "ALTER TABLE attempts DROP CONSTRAINT attempts_number_is_positive",
        "DROP INDEX payments_due",
        "ALTER TABLE notices ALTER COLUMN reason SET NOT NULL",
        "DROP TRIGGER outbox_told ON outbox",
    ],
)
async def test_the_comparison_notices_a_change_on_either_side(migrated_url: str, change: str) -> None:
    """One column more, one constraint, index or trigger less: the test above would fail."""
    connection = await asyncpg.connect(migrated_url)
    before = await described(connection)
    await connection.execute(change)
    assert before != await described(connection)
    await connection.close()


async def test_migrating_again_does_nothing(migrated_url: str) -> None:
    """Every start may migrate; only the first finds work."""
    connection = await asyncpg.connect(migrated_url)
    assert await migrate(connection, told.START.date()) == []
    await connection.close()


async def test_two_migrations_at_once_both_succeed(database_url: str) -> None:
    """One does the work, the other waits for it and finds none left."""
    connections = [await asyncpg.connect(database_url) for _ in range(2)]
    applied = await asyncio.gather(*(migrate(connection, told.START.date()) for connection in connections))
    assert [0, latest()] == sorted(len(steps) for steps in applied)
    for connection in connections:
        await connection.close()


async def test_a_newer_schema_is_left_alone(migrated_url: str) -> None:
    """An older program cannot know what the newer schema means: it changes nothing and says who must migrate."""
    connection = await asyncpg.connect(migrated_url)
    newer = latest() + 1
    await connection.execute("INSERT INTO schema_migrations (version, name) VALUES ($1, 'newer')", newer)
    before = await described(connection)
    with pytest.raises(Misconfigured, match=f"schema version {newer}"):
        await migrate(connection, told.START.date())
    assert before == await described(connection)
    await connection.close()


async def test_a_server_that_could_lose_commits_is_refused(database_url: str) -> None:
    """synchronous_commit off would make a durable answer a lie."""
    connection = await asyncpg.connect(database_url, server_settings={"synchronous_commit": "off"})
    with pytest.raises(Misconfigured, match="synchronous_commit"):
        await migrate(connection, told.START.date())
    await connection.close()


async def test_the_checks_know_exactly_the_states_of_the_domain(migrated_url: str) -> None:
    """The SQL checks are derived from the tables: each state passes, any other word does not."""
    connection = await asyncpg.connect(migrated_url)
    definitions = {
        row["conname"]: row["definition"]
        for row in await connection.fetch("SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint")
    }
    await connection.close()
    for name, states in (("payments_state_is_known", PaymentState), ("attempts_state_is_known", AttemptState)):
        words = {word for word in definitions[name].replace("(", "'").split("'") if word.replace("_", "").isalpha()}
        assert {state.value for state in states} == words - {"CHECK", "state", "text", "ARRAY"}


def test_every_migration_gives_up_a_lock_soon() -> None:
    """Behind a waiting ALTER TABLE every query waits; two seconds is what a request can bear."""
    patient = [migration.name for migration in migrations() if "SET LOCAL lock_timeout = '2s'" not in migration.text]
    assert patient == []


def test_there_are_migrations_to_compare() -> None:
    """With a single one the comparison would prove little."""
    assert latest() >= 2
