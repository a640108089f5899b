import asyncio
import json
import subprocess
from collections.abc import Callable

import asyncpg
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def settings(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url}


async def test_migrate_brings_an_empty_database_up_and_then_has_nothing_to_do(
    counterfoil: Command, settings: dict[str, str]
) -> None:
    """The first run says what it applied, the second that all is there; both exit 0, also at once (C06)."""
    runs = await asyncio.gather(*(asyncio.to_thread(counterfoil, "migrate", settings=settings) for _ in range(2)))
    assert [run.returncode for run in runs] == [0, 0]
    said = sorted((run.stdout.splitlines() for run in runs), key=len)
    assert [len(said[0]), said[1][-1]] == [1, said[0][0]]
    assert said[1][0].startswith("applied 0001 ")


async def test_a_newer_schema_is_left_alone(counterfoil: Command, settings: dict[str, str]) -> None:
    """An older program refuses a database that a newer one has migrated, and changes nothing (C07)."""
    counterfoil("migrate", settings=settings)
    database = await asyncpg.connect(settings["DATABASE_URL"])
    await database.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'from the future')")
    await database.close()
    done = await asyncio.to_thread(counterfoil, "migrate", settings=settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "schema version 9999" in done.stderr


async def test_a_token_is_made_listed_and_revoked(counterfoil: Command, settings: dict[str, str]) -> None:
    """The token itself is printed alone, for a script to take, and is never listed."""
    counterfoil("migrate", settings=settings)
    made = counterfoil("token", "create", "shop", "--scope", "read", "--scope", "charge", settings=settings)
    token = made.stdout.strip()
    assert (made.returncode, token[:4], made.stdout.count("\n")) == (0, "cft_", 1)
    assert counterfoil("token", "revoke", "shop", settings=settings).returncode == 0
    listed = counterfoil("token", "list", "--json", settings=settings).stdout
    assert token not in listed
    [row] = json.loads(listed)
    assert (row["name"], row["scopes"], row["revoked_at"] is not None) == ("shop", ["charge", "read"], True)


async def test_what_a_token_cannot_be(counterfoil: Command, settings: dict[str, str]) -> None:
    """A scope that there is not, a name that is taken, a token that is not there: one line each."""
    counterfoil("migrate", settings=settings)
    unknown = counterfoil("token", "create", "shop", "--scope", "all", settings=settings)
    assert (unknown.returncode, unknown.stderr) == (
        2,
        "counterfoil: --scope must be one of: charge, refund, read, admin\n",
    )
    assert counterfoil("token", "create", "shop", settings=settings).returncode == 2
    counterfoil("token", "create", "shop", "--scope", "read", settings=settings)
    again = counterfoil("token", "create", "shop", "--scope", "read", settings=settings)
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (1, "", 1)
    assert counterfoil("token", "revoke", "nobody", settings=settings).returncode == 1


def test_a_database_that_does_not_answer_is_exit_69(counterfoil: Command) -> None:
    """Nothing listens: one line, without the password."""
    done = counterfoil("migrate", settings={"DATABASE_URL": "postgresql://app:hunter2@127.0.0.1:1/x"})
    assert (done.returncode, "hunter2" in done.stderr) == (69, False)
    assert done.stderr.startswith("counterfoil: the database cannot be reached")
