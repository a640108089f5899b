"""`python -m examples.shop`: the shop as one process. It ends with 0 when asked to, with 78 if a setting is wrong."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import uvicorn
from asyncpg import InterfaceError, PostgresError

from examples.shop.api import application
from examples.shop.database import open_pool
from examples.shop.hearing import hear
from examples.shop.listening import Listener

GROUP: Final = "shop"
"""The consumer group: all processes of the shop share the topics' partitions."""

SETTINGS_WRONG: Final = 78
"""What a process ends with that is set up wrongly (EX_CONFIG)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the shop finds what it needs, and where it is found."""

    database_url: str
    brokers: str
    host: str
    port: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            ValueError: one is missing or wrong; the sentence names it.
        """
        for name in ("SHOP_DATABASE_URL", "KAFKA_BROKERS"):
            if not environment.get(name):
                raise ValueError(f"{name} is not set")
        if not environment["SHOP_DATABASE_URL"].startswith(("postgresql://", "postgres://")):
            raise ValueError("SHOP_DATABASE_URL must start with postgresql://")
        port = environment.get("PORT", "8090")
        if not (port.isascii() and port.isdigit()):
            raise ValueError("PORT is no number")
        return cls(
            environment["SHOP_DATABASE_URL"],
            environment["KAFKA_BROKERS"],
            environment.get("HOST", "127.0.0.1"),
            int(port),
        )


async def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return what to exit with. Orders are served until the last fact is heard."""
    async with open_pool(settings.database_url) as pool:
        listening = socket.create_server((settings.host, settings.port))  # before the shop joins its group
        listener = Listener(settings.brokers, GROUP, partial(hear, pool))
        app = application(pool, lambda: listener.is_ready)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        asked = asyncio.Event()  # uvicorn hears the same signals, and raises them again once it has ended
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, asked.set)
        listener.start()
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        waits = [asyncio.create_task(asked.wait()), asyncio.create_task(listener.ended()), serving]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await listener.stop()
        await serving
        return 0 if asked.is_set() else 1


def main() -> int:
    """Read the settings, and run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.read(os.environ)  # noqa: TID251 - the one place where the shop reads the environment
    except ValueError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return SETTINGS_WRONG
    try:
        return asyncio.run(run(settings))
    except (OSError, PostgresError, InterfaceError) as error:  # its port is taken, or its database is not there
        _log.critical("cannot go on: %s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
