"""The pages as a real browser shows them, driven over its DevTools protocol with the keyboard."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-proxy-server", "--remote-debugging-port=0",
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@dataclass(slots=True)
class Browser:
    """One tab."""

    socket: aiohttp.ClientWebSocketResponse
    numbers: "count[int]"
    session: str = ""

    async def ask(self, method: str, **params: Any) -> Any:
        """Sends a command and waits for its answer, passing over events."""
        number = next(self.numbers)
        command = {"id": number, "method": method, "params": params}
        await self.socket.send_json(command | ({"sessionId": self.session} if self.session else {}))
        while True:
            told = await self.socket.receive_json(timeout=30)
            if told.get("id") == number:
                return told["result"]

    async def evaluate(self, expression: str) -> Any:
        """What JavaScript gives in the page."""
        return (await self.ask("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Waits until JavaScript gives something that is true."""
        async with asyncio.timeout(30):
            while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 - a page tells only who asks
                await asyncio.sleep(0.05)
        return value

    async def press(self, key: str, code: int) -> None:
        """Presses and lets go a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    async def tab_to(self, text: str) -> None:
        """Moves the focus with the tabulator to what has that text, and nothing else."""
        for _ in range(40):
            await self.press("Tab", 9)
            if await self.evaluate("document.activeElement.innerText || document.activeElement.name") == text:
                return
        raise AssertionError(f"the keyboard does not reach {text!r}")

    async def open(self, url: str) -> None:
        """Goes to an address and waits until it is there."""
        await self.ask("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href.startsWith({url!r})")


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Browser]:
    """A tab of a browser that has never been used."""
    assert CHROMIUM is not None
    profile = tmp_path / "profile"
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        announced = profile / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not (announced.exists() and len(announced.read_text().splitlines()) == 2):  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.05)
        port, path = announced.read_text().splitlines()
        async with aiohttp.ClientSession() as session, session.ws_connect(f"ws://127.0.0.1:{port}{path}") as socket:
            browser = Browser(socket, count(1))
            target = (await browser.ask("Target.createTarget", url="about:blank"))["targetId"]
            attached = await browser.ask("Target.attachToTarget", targetId=target, flatten=True)
            browser.session = attached["sessionId"]
            yield browser
    finally:
        process.kill()
        await process.wait()


async def test_a_person_follows_a_payment_and_approves_it(http: "Http", tab: Browser) -> None:
    """With the keyboard alone: from the list to the payment, to the bank's question, to a payment that succeeded."""
    intent = (await http.pay("pm_card_threeDSecure2Required", return_url="https://shop.example/back")).body["id"]

    await tab.open(f"{http.url}/")
    await tab.tab_to(intent)
    await tab.press("Enter", 13)
    await tab.until(f"location.pathname === '/objects/{intent}'")
    await tab.tab_to("Approve")
    await tab.press("Enter", 13)
    heading = await tab.until("document.querySelector('h1').innerText.includes('succeeded')")

    assert heading
    assert (await http.get(f"/v1/payment_intents/{intent}")).body["status"] == "succeeded"
    assert await tab.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse"


async def test_a_person_advances_the_clock(http: "Http", tab: Browser) -> None:
    """The form on the first page moves time and comes back to it."""
    await tab.open(f"{http.url}/")
    await tab.tab_to("advance")
    await tab.press("Enter", 13)
    shown = await tab.until("document.body.innerText.includes('86,400 s ahead')")

    assert shown
    assert (await http.get("/_sandbox/clock")).body["offset_seconds"] == 86_400


async def test_a_bank_sends_the_customer_back_to_the_shop(http: "Http", tab: Browser) -> None:
    """The page that the shop's customer sees leads back to `return_url`, which the policy of the page allows."""
    back = f"{http.url.replace('127.0.0.1', 'localhost')}/receipts/none"
    asked = (await http.pay("pm_card_threeDSecure2Required", return_url=back)).body

    await tab.open(asked["next_action"]["redirect_to_url"]["url"])
    await tab.tab_to("Refuse")
    await tab.press("Enter", 13)
    arrived = await tab.until("location.search.includes('redirect_status=failed') && location.href")

    assert arrived.startswith(back)
