import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import stripe
from aiohttp import web
from tests.sandbox import openapi

from stripe_sandbox.clock import Clock
from stripe_sandbox.ids import Ids
from stripe_sandbox.sandbox import Sandbox, Server

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

NOON = 1_750_000_000.0
"""Where the sandbox's clock stands still unless a test moves it."""

KEY = "sk_test_counterfoil"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def error(self) -> Any:
        """What went wrong, in Stripe's words."""
        return self.body["error"]


@dataclass(frozen=True, slots=True)
class Http:
    """Raw calls, for what an SDK would hide."""

    session: aiohttp.ClientSession
    url: str

    async def send(
        self,
        method: str,
        path: str,
        form: Mapping[str, Any] | str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Sends a request with a test key, and follows no redirect."""
        sent = {"Authorization": f"Bearer {KEY}", **(headers or {})}
        async with self.session.request(
            method, self.url + path, data=form, headers=sent, allow_redirects=False
        ) as answer:
            text = await answer.text()
            body = await answer.json() if answer.content_type == "application/json" else text
            openapi.check_answer(method, path, answer.status, body)
            return Reply(answer.status, answer.headers, body)

    async def get(self, path: str, **headers: str) -> Reply:
        """Reads."""
        return await self.send("GET", path, headers=headers)

    async def post(self, path: str, form: Mapping[str, Any] | str | None = None, *, key: str | None = None) -> Reply:
        """Sends a form, or text that is one already."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.send("POST", path, form, headers)

    async def pay(self, method: str = "pm_card_visa", *, key: str | None = None, **more: str) -> Reply:
        """Creates and confirms a PaymentIntent of 19.99 EUR."""
        form = {
            "amount": "1999",
            "currency": "eur",
            "payment_method": method,
            "payment_method_types[]": "card",
            "confirm": "true",
            **more,
        }
        return await self.post("/v1/payment_intents", form, key=key)

    async def advance(self, seconds: float) -> None:
        """Moves the sandbox's clock."""
        async with self.session.post(self.url + "/_sandbox/clock", json={"advance_seconds": seconds}) as answer:
            answer.raise_for_status()

    async def event_types(self) -> list[str]:
        """Every event so far, oldest first."""
        events = (await self.get("/v1/events?limit=100")).body["data"]
        return [event["type"] for event in reversed(events)]


class CheckedTransport(stripe.AIOHTTPClient):
    """The SDK's own transport; what it brings is held against Stripe's OpenAPI file before the SDK sees it."""

    @override
    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[Any, int, Any]:
        """Sends a request as the SDK's transport does."""
        content, status, answered = await super().request_async(method, url, headers, post_data)
        openapi.check_answer(method.upper(), urlsplit(url).path, status, json.loads(content))
        return content, status, answered


@dataclass(slots=True)
class Receiver:
    """A real HTTP server that takes deliveries and answers what it is told to."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Keeps a delivery and answers, once it may, with the next status, or 200; redirects lead back here."""
        body = await request.read()
        openapi.check_event(json.loads(body))
        self.received.append((dict(request.headers), body))
        self.arrived.set()
        await self.may_answer.wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200, headers={"Location": self.url})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Sandbox(clock=Clock(lambda: NOON), ids=Ids(seed=1)).serve() as running:
        yield running


@pytest.fixture
async def http(server: Server) -> AsyncIterator[Http]:
    async with aiohttp.ClientSession() as session:
        yield Http(session, server.url)


@pytest.fixture
async def sdk(server: Server) -> AsyncIterator[stripe.StripeClient]:
    transport = CheckedTransport()
    yield stripe.StripeClient(KEY, base_addresses={"api": server.url}, http_client=transport, max_network_retries=0)
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves this one untyped


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.may_answer.set()
    runner = web.ServerRunner(web.Server(receiver.answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()
