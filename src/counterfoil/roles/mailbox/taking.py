"""The mailbox as a process: letters are taken at one port and shown at another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette

from counterfoil.roles import probes
from counterfoil.roles.mailbox import pages
from counterfoil.roles.mailbox.box import Box
from counterfoil.roles.problems import EXCEPTION_HANDLERS
from counterfoil.roles.serving import serve
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import Ids, TimeOrderedIds
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.runtime.shutdown import Shutdown

LETTER_BYTES: Final = 1024 * 1024
"""A receipt with two hundred items is a twentieth of this."""

SILENCE_SECONDS: Final = 60.0
"""A client that says nothing for this long has gone."""

BODY_LIMIT_BYTES: Final = 1024
"""Of requests: nothing is sent to the pages."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the mailbox is: the folder it keeps letters in, its address, and its two ports."""

    folder: Path
    host: str
    port: int
    smtp_port: int


class Taker:
    """Takes every letter that is handed in, whoever it is for."""

    def __init__(self, box: Box, ids: Ids) -> None:
        self._box, self._ids = box, ids

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's
        """Keep a letter, and say so."""
        assert isinstance(envelope.content, bytes)
        try:
            self._box.keep(envelope.content, self._ids.new())
        except OSError:
            return "452 4.3.1 there is no room to keep this letter"
        return "250 2.0.0 kept"


async def run(place: Place, shutdown: Shutdown) -> None:
    """Take letters and show them until asked to stop.

    Raises:
        PortInUse: another program listens at the port of the pages.
        OSError: the SMTP port cannot be had.
    """
    ids = TimeOrderedIds(SystemClock())
    box = Box(place.folder)
    shown = Starlette(
        routes=[*pages.routes(box), *probes.routes([], REGISTRY, shutdown)], exception_handlers=EXCEPTION_HANDLERS
    )
    async with taking(Taker(box, ids), place.host, place.smtp_port):
        await serve(
            shown,
            host=place.host,
            port=place.port,
            body_limit_bytes=BODY_LIMIT_BYTES,
            shutdown=shutdown,
            new_request_id=lambda: str(ids.new()),
            allowed_hosts=(place.host, "localhost"),
        )


@asynccontextmanager
async def taking(taker: Taker, host: str, port: int) -> AsyncIterator[None]:
    """Listen for letters for as long as the context lasts."""
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        return SMTP(
            taker, hostname="mailbox", ident="mailbox", data_size_limit=LETTER_BYTES, timeout=SILENCE_SECONDS, loop=loop
        )

    listener = await loop.create_server(connection, host, port)
    try:
        yield
    finally:
        listener.close()
