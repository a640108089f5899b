"""Which databases a role calls ready, in what words it refuses the others, and that it waits for them."""

from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from tests.conftest import DatabaseMaker
from tests.stage import Running, Stage, becomes, order, ready

from counterfoil.runtime.clock import SystemClock
from counterfoil.store import migrate, partitions

ROLES = ("gateway", "webhook-receiver", "worker", "outbox-publisher")


async def said(role: Running, words: str) -> int:
    """How often a role has logged these words."""
    return role.log().count(words)


async def code(role: Running) -> int:
    return ready(role)[0]


async def change(url: str, statement: str, *arguments: Any) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement, *arguments)
    await connection.close()


async def test_a_database_that_was_never_migrated_is_waited_for(
    stage: Stage, make_database: DatabaseMaker, http: httpx.AsyncClient
) -> None:
    """All roles start, live, and say `counterfoil migrate`; no request is a 500; once migrated, all are ready."""
    stage.database_url = await make_database()
    roles = [stage.listening(role) for role in ROLES]

    words = "names a database without our schema; run `counterfoil migrate`"
    for role in roles:
        status, said_of = ready(role)
        assert (status, said_of["ready"], said_of["checks"]["database"]) == (503, False, f"DATABASE_URL {words}")
        await becomes(1, partial(said, role, words))
    charge = await http.post(f"{roles[0].url}/charge", json=order(1), headers={"Authorization": "Bearer cft_x"})
    assert charge.status_code == 503

    connection = await asyncpg.connect(stage.database_url)
    await migrate.migrate(connection, SystemClock().now().date())
    await connection.close()

    for role in roles:
        await becomes(200, partial(code, role), seconds=5)
        assert role.log().count("store.not_ready") == 1
        assert "Traceback" not in role.log()


async def test_a_schema_may_be_newer_but_not_older(stage: Stage) -> None:
    """One version ahead (a rolling deploy) is ready (G11); one behind is not, and says what to do (G10)."""
    latest = migrate.latest()
    connection = await asyncpg.connect(stage.database_url)
    await partitions.make_partitions(connection, SystemClock().now().date())
    await connection.close()
    receiver = stage.listening("webhook-receiver")
    await change(stage.database_url, "INSERT INTO schema_migrations (version, name) VALUES ($1, 'newer')", latest + 1)
    newer = ready(receiver)
    await change(stage.database_url, "DELETE FROM schema_migrations WHERE version >= $1", latest)
    older = ready(receiver)

    assert newer == (200, {"ready": True, "checks": {"database": "ok"}})
    words = f"at schema version {latest - 1}, older than {latest}; run `counterfoil migrate`"
    assert older == (503, {"ready": False, "checks": {"database": f"DATABASE_URL names a database {words}"}})
    again = stage.listening("webhook-receiver")
    await becomes(1, partial(said, again, words))


@pytest.mark.parametrize("role", ["gateway", "outbox-publisher"])
async def test_a_server_that_may_lose_what_it_acknowledged_is_refused(stage: Stage, role: str) -> None:
    """With synchronous_commit off no role goes on: it exits 78 with one line that says why."""
    name = urlsplit(stage.database_url).path.removeprefix("/")
    await change(stage.database_url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    running = stage.launch(role)
    assert running.ended() == 78
    last = running.log().splitlines()[-1]
    assert last.startswith("counterfoil: DATABASE_URL names a server with synchronous_commit off")


async def test_a_database_or_account_that_does_not_exist_is_waited_for(stage: Stage) -> None:
    """A name that is not there yet, as after a restore or a rotation, is not ready; the process lives on (G09)."""
    nowhere = urlsplit(stage.database_url)._replace(path="/not_there").geturl()
    role = stage.listening("webhook-receiver", DATABASE_URL=nowhere)
    assert ready(role) == (503, {"ready": False, "checks": {"database": "the database does not answer"}})
    assert role.process.poll() is None


async def test_a_database_that_takes_no_connections_is_waited_for(stage: Stage, postgres_url: str) -> None:
    """What nobody foresaw is not ready and is logged by its name; the role lives on, and is ready when it is over."""
    name = urlsplit(stage.database_url).path.removeprefix("/")
    await change(postgres_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    role = stage.listening("worker")
    await becomes(1, partial(said, role, '"why": "ObjectNotInPrerequisiteStateError", "event": "store.not_ready"'))
    assert await code(role) == 503

    await change(postgres_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    await becomes(200, partial(code, role), seconds=5)
    assert role.process.poll() is None
