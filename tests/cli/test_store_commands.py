import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from urllib.parse import urlsplit

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


@pytest.mark.parametrize(
    "arguments",
    [("create", "shop", "--scope", "read"), ("list",), ("revoke", "shop")],
    ids=["create", "list", "revoke"],
)
async def test_tokens_of_a_database_that_was_never_migrated(
    counterfoil: Command, settings: dict[str, str], arguments: tuple[str, ...]
) -> None:
    """One line that says what to run first, and exit 1: the database does answer."""
    done = counterfoil("token", *arguments, settings=settings)
    words = "counterfoil: the database does not have our schema: run `counterfoil migrate`\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", words)


async def test_an_account_that_may_not_migrate_is_told_so(counterfoil: Command, settings: dict[str, str]) -> None:
    """What the database does not allow is one line in its own words, and exit 1."""
    database = await asyncpg.connect(settings["DATABASE_URL"])
    name = f"reader_{os.getpid()}"
    await database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    url = urlsplit(settings["DATABASE_URL"])
    theirs = url._replace(netloc=f"{name}:x@{url.netloc.rpartition('@')[2]}").geturl()

    done = counterfoil("migrate", settings={"DATABASE_URL": theirs})

    await database.execute(f"DROP ROLE {name}")
    await database.close()
    assert (done.returncode, done.stderr.count("\n"), done.stderr[:43]) == (
        *(1, 1),
        "counterfoil: the database does not allow it",
    )


async def test_a_table_that_stays_locked_is_exit_69(counterfoil: Command, settings: dict[str, str]) -> None:
    """A table that somebody holds locked is waited for no longer than a lock may take; one line, exit 69."""
    counterfoil("migrate", settings=settings)
    database = await asyncpg.connect(settings["DATABASE_URL"])
    async with database.transaction():
        await database.execute("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")
        done = await asyncio.to_thread(counterfoil, "token", "list", settings=settings)
    await database.close()
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
    assert done.stderr.startswith("counterfoil: the database did not do it")
