"""A letter that means harm, opened in a real browser."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from tests import browser
from tests.roles.mailbox.conftest import Running

from counterfoil.domain.effects import Outcome

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

pytestmark = browser.needed


@dataclass
class Elsewhere:
    """A place on the network that a letter would like to be heard at."""

    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)


class Connection(asyncio.Protocol):
    """One that writes down what is asked, and says nothing."""

    def __init__(self, place: Elsewhere) -> None:
        self._place = place
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._place.asked.append(data.partition(b"\r\n")[0])
        self._place.heard.set()
        self._transport.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self._transport.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Elsewhere]:
    """Listen until the context ends, which is when its clients have gone."""
    place = Elsewhere()
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(place), "127.0.0.1", 0)
    place.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener:
        yield place


def hostile(url: str) -> EmailMessage:
    """Return a letter that would run a script, send its reader elsewhere and tell that it was opened."""
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "eve@shop.example", "kim@shop.example", "Open me"
    letter.set_content("nothing")
    letter.add_alternative(
        f"<h1>Dear reader</h1><img src='{url}/opened.png'><link rel=stylesheet href='{url}/style.css'>"
        f"<script>document.querySelector('h1').innerText = 'It ran'; fetch('{url}/script')</script>"
        f"<meta http-equiv=refresh content='0;url={url}/away'>",
        subtype="html",
    )
    return letter


async def test_a_letter_that_means_harm_does_nothing(mailbox: Running, tmp_path: Path) -> None:
    """It is shown, on the mailbox's page and by itself, and nothing of it runs, leads away or is fetched."""
    async with listening() as elsewhere, browser.opened(tmp_path / "profile") as tab:
        assert await mailbox.deliver(hostile(elsewhere.url).as_bytes()) is Outcome.ACCEPTED
        await tab.open(f"{mailbox.url}/")
        await tab.tab_to("Open me")
        await tab.press("Enter", 13)
        page = await tab.until("document.readyState === 'complete' && document.querySelector('iframe')?.src")
        await tab.open(page)
        shown = await tab.until("document.querySelector('h1')?.innerText")
        heard = list(elsewhere.asked)
        await tab.ask("Page.navigate", url=f"{elsewhere.url}/control")  # whoever goes there is heard
        await asyncio.wait_for(elsewhere.heard.wait(), 30)

    assert (shown, heard) == ("Dear reader", [])
    assert elsewhere.asked == [b"GET /control HTTP/1.1"]
