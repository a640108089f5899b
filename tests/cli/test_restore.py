"""`counterfoil restore` tells the database that it was put back, before any role runs on it."""

import asyncio
import subprocess
from collections.abc import Callable

import pytest

from counterfoil.store.pool import open_pool

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_begin_stops_all_sending_and_says_what_comes_next(counterfoil: Command, migrated_url: str) -> None:
    """Said twice it is the same restore; what is known until then is told, or the last that is on record."""
    settings = {"DATABASE_URL": migrated_url}
    to = ("--to", "2026-03-01T12:00:00")
    first = counterfoil("restore", "begin", "--reason", "a disk was lost", *to, settings=settings)
    second = counterfoil("restore", "begin", "--reason", "another", settings=settings)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "what happened since 2026-03-01T12:00:00Z may be forgotten" in first.stdout
    assert "nothing is sent already" in second.stdout
    assert "a disk was lost" in second.stdout


async def test_whoever_sends_already_is_named(counterfoil: Command, migrated_url: str) -> None:
    """What they have in hand may still be sent: they were to be stopped first."""
    async with open_pool(migrated_url, name="counterfoil worker", largest=1) as pool, pool.acquire():
        done = await asyncio.to_thread(
            counterfoil, "restore", "begin", "--reason", "a test", settings={"DATABASE_URL": migrated_url}
        )
    assert done.returncode == 0
    assert done.stderr == "connected already: worker. What they have in hand may still be sent.\n"


def test_finish_is_refused_until_it_has_caught_up(counterfoil: Command, migrated_url: str) -> None:
    """One line says what is missing (exit 1)."""
    settings = {"DATABASE_URL": migrated_url}
    none = counterfoil("restore", "finish", settings=settings)
    counterfoil("restore", "begin", "--reason", "a test", "--to", "2026-03-01T12:00:00Z", settings=settings)
    early = counterfoil("restore", "finish", settings=settings)
    assert (none.returncode, none.stderr) == (1, "counterfoil: nothing is to be finished: no restore is under way\n")
    assert (early.returncode, early.stderr) == (
        1,
        "counterfoil: nothing was compared since: run `counterfoil reconcile --since 2026-03-01T11:00:00Z`\n",
    )


@pytest.mark.parametrize("to", ["yesterday", "2999-01-01T00:00:00Z"])
def test_a_moment_that_cannot_be_is_usage(counterfoil: Command, migrated_url: str, to: str) -> None:
    """No time, or one that is still ahead (exit 2)."""
    command = ("restore", "begin", "--reason", "a test", "--to", to)
    assert counterfoil(*command, settings={"DATABASE_URL": migrated_url}).returncode == 2


def test_an_unmigrated_database_says_so(counterfoil: Command, database_url: str) -> None:
    """A restored database of an older version is migrated first (exit 1)."""
    done = counterfoil("restore", "begin", "--reason", "a test", settings={"DATABASE_URL": database_url})
    assert (done.returncode, "run `counterfoil migrate`" in done.stderr) == (1, True)
