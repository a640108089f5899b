"""A real browser, driven over its DevTools protocol with the keyboard."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-proxy-server", "--remote-debugging-port=0",
)  # fmt: skip

needed = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
"""Marks a test that opens it."""


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


@asynccontextmanager
async def opened(profile: Path) -> AsyncIterator[Browser]:
    """Yield a tab of a browser that has never been used; it is closed at the end."""
    assert CHROMIUM is not None
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
