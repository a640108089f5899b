"""The pipeline as processes: what `counterfoil up --kafka` runs, with the shop between the database and the roles."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from counterfoil import config
from counterfoil.cli.family import Member
from counterfoil.cli.installation import Installation, Plan, ground
from counterfoil.cli.ports import ADDRESS, Ports
from counterfoil.messages.topics import TOPIC_OF
from examples.pipeline import procfile

PROCFILE: Final = Path(__file__).parents[2] / "Procfile"

SHOP: Final = "shop"
"""The shop's line in the Procfile, its database and its name among the sources of outboxes."""

TOPICS: Final[Mapping[str, str]] = {name: TOPIC_OF[name] for name in ("OrderPlaced", "OrderCancelled")}
"""Where what the shop says goes."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What runs: an installation of Counterfoil's, and a shop beside it."""

    here: Installation
    shop_url: str


@asynccontextmanager
async def pipeline(plan: Plan, shop_port: int | None = None) -> AsyncIterator[Pipeline]:
    """Run everything for as long as the context lasts, each process by its line in the Procfile.

    The shop has any free port unless one is given.

    The shop has a database of its own on the same server, and the outbox-publisher reads the outbox there. Raises
    UnfitProcfileError, and as `counterfoil.cli.installation.installation` does.
    """
    commands = procfile.read(PROCFILE.read_text("utf-8"))
    procfile.demand(commands, [SHOP, *config.Role])
    async with ground(replace(plan, kafka=True, commands=commands)) as here:
        database_url = await _database(here)
        plan.say("Starting the shop …")
        shop = f"http://{ADDRESS}:{shop_port or Ports.free_one()}"
        await here.kept.start(_shop(here, commands[SHOP], shop, database_url))
        source = {"name": SHOP, "database_url": database_url, "topics": dict(TOPICS)}
        await here.start_roles({"OUTBOX_SOURCES": json.dumps([source])})
        yield Pipeline(here, shop)


async def _database(here: Installation) -> str:
    """Return the address of the shop's database, which is made where it is not there yet."""
    url = urlsplit(here.database_url.reveal())
    connection = await asyncpg.connect(url.geturl())
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", SHOP):
            await connection.execute(f"CREATE DATABASE {SHOP}")
    finally:
        await connection.close()
    return url._replace(path=f"/{SHOP}").geturl()


def _shop(here: Installation, command: tuple[str, ...], url: str, database_url: str) -> Member:
    own = {"HOST": ADDRESS, "PORT": str(urlsplit(url).port), "SHOP_DATABASE_URL": database_url}
    return Member(
        name=SHOP,
        command=command,
        environment=config.environment_of_child({**own, "KAFKA_BROKERS": here.own["KAFKA_BROKERS"]}),
        health_url=f"{url}/readyz",
        log=here.plan.log(SHOP),
    )
