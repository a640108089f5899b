"""What every test may ask for: a real PostgreSQL, and an empty database of one's own in it."""

import itertools
import os
import random  # noqa: TID251 - seeded, so that every run sees the same ids
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio
from tests import told
from tests.aws import Aws, server
from tests.broker import Kafka
from tests.stage import Stage, staged

from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.store import embedded
from counterfoil.store.migrate import migrate
from counterfoil.store.pool import Pool, open_pool

NUMBERS = itertools.count(1)


class DatabaseMaker(Protocol):
    """Makes a database that is dropped after the test, and gives its URL."""

    async def __call__(self, template: str | None = None) -> str:
        """Copy the named template, else take PostgreSQL's empty one. No session may be open on a template."""
        ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of a server: DATABASE_URL_FOR_TESTS if set, else an embedded one, started once for each test process."""
    given = os.environ.get("DATABASE_URL_FOR_TESTS")  # noqa: TID251 - which server to test on is the caller's to say
    if given:
        yield given
        return
    home = tmp_path_factory.mktemp("postgres")
    async with embedded.server(home) as server:
        yield server.url
    embedded.remove(home)


@pytest_asyncio.fixture
async def make_database(postgres_url: str) -> AsyncIterator[DatabaseMaker]:
    """Makes databases, as many as a test wants, each gone afterwards with whatever session it still had."""
    names: list[str] = []
    connection = await asyncpg.connect(postgres_url)

    async def make(template: str | None = None) -> str:
        name = f"test_{os.getpid()}_{next(NUMBERS)}"  # runs side by side may share a server
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')
        names.append(name)
        return urlsplit(postgres_url)._replace(path=f"/{name}").geturl()

    yield make
    for name in names:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest.fixture
def database_template() -> str | None:
    """The template of `database_url`; a folder whose tests want tables overrides this with a migrated one."""
    return None


@pytest_asyncio.fixture
async def database_url(make_database: DatabaseMaker, database_template: str | None) -> str:
    """The URL of a fresh database for this test alone."""
    return await make_database(database_template)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_template(postgres_url: str) -> AsyncIterator[str]:
    """The name of a migrated database to copy, made once for each test process; partitions from told.START on."""
    name = f"template_{os.getpid()}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    connection = await asyncpg.connect(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
    await migrate(connection, told.START.date())
    await connection.close()
    yield name
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest_asyncio.fixture
async def migrated_url(make_database: DatabaseMaker, migrated_template: str) -> str:
    """The URL of a fresh database with our schema, for this test alone."""
    return await make_database(migrated_template)


@pytest_asyncio.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    """Connections to a fresh database with our schema."""
    async with open_pool(migrated_url, name="test", largest=5) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> AsyncIterator[Kafka]:
    """A real Kafka with all topics, one for each module: what others say there, poison too, is on nobody's topics."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    started = await Kafka.started(tmp_path_factory.mktemp("kafka"), shared / "kafka-jars")
    yield started
    await started.running.stop()


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """Step Functions, SQS and IAM, started once for each test process: what a test makes there has its own name."""
    with server(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture
def clock() -> told.Clock:
    """A clock that stands still until it is told."""
    return told.Clock()


@pytest.fixture
def ids(clock: told.Clock) -> TimeOrderedIds:
    """Identifiers that are the same in every run."""
    return TimeOrderedIds(clock, random.Random(1))  # noqa: S311 - a test wants the same ids each time


@pytest.fixture
def stage(migrated_url: str, tmp_path: Path) -> Iterator[Stage]:
    """Starts roles as processes on a fresh database of this test's own."""
    with staged(migrated_url, tmp_path) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_stage(
    postgres_url: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    """Starts roles as processes on a database that all tests of a module share."""
    folder = tmp_path_factory.mktemp("stage")
    name = f"stage_{folder.name}_{folder.parent.name}".replace("-", "_")
    server = await asyncpg.connect(postgres_url)
    await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')
    with staged(urlsplit(postgres_url)._replace(path=f"/{name}").geturl(), folder) as stage:
        yield stage
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Asks over real HTTP."""
    async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
        yield client
