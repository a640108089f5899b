"""A tiny application behind the real server, and the roles as processes, for whoever wants to send them bytes."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.told import Clock

from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles.framing import Limits
from counterfoil.roles.gateway.application import application
from counterfoil.roles.gateway.authentication import Doorkeeper
from counterfoil.roles.gateway.charging import Charging
from counterfoil.roles.gateway.routing import Gateway
from counterfoil.roles.serving import serve
from counterfoil.roles.world import World
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store.pool import Pool


@dataclass
class Echo:
    """Answers the length of what it was sent; `gate` holds every answer back until it is set."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Scope] = field(default_factory=list)
    finished: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.seen.append(scope)
        message = await receive()
        if scope["path"] != "/at-once":
            await self.gate.wait()
        self.finished += 1
        body = f"{len(message['body'])} more={message['more_body']}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Served:
    """A server at work, and what is needed to end it."""

    app: Any
    port: int
    shutdown: Shutdown
    task: "asyncio.Task[None]"

    async def send(self, *parts: bytes, pause_seconds: float = 0.0) -> bytes:
        """Send raw bytes on a fresh connection, part by part; return everything that comes back until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = asyncio.ensure_future(reader.read())
        try:
            for part in parts:
                if answer.done():
                    break
                writer.write(part)
                await asyncio.sleep(pause_seconds)
            return await asyncio.wait_for(answer, timeout=10)
        finally:
            writer.close()


@asynccontextmanager
async def serving(app: ASGIApp, **settings: Any) -> AsyncIterator[Served]:
    shutdown = Shutdown()
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    numbers = itertools.count(1)
    task = asyncio.create_task(
        serve(
            app,
            host="127.0.0.1",
            port=settings.pop("port", 0),
            body_limit_bytes=settings.pop("body_limit_bytes", 64 * 1024),
            shutdown=shutdown,
            new_request_id=lambda: f"request-{next(numbers)}",
            on_ready=ready.set_result,
            limits=settings.pop("limits", Limits(receive_seconds=0.3)),
            **settings,
        )
    )
    first: set[asyncio.Future[Any]] = {task, ready}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield Served(app, ready.result(), shutdown, task)
    finally:
        shutdown.request()
        shutdown.request()
        await task


@pytest.fixture
async def server() -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """Starts servers; each is stopped after the test, whatever it had in hand."""
    async with AsyncExitStack() as stack:

        async def start(app: ASGIApp | None = None, **settings: Any) -> Served:
            if app is None:
                app = Echo()
                app.gate.set()
            return await stack.enter_async_context(serving(app, **settings))

        yield start


@pytest.fixture
async def told_gateway(
    server: Callable[..., Awaitable[Served]], pool: Pool, clock: Clock, ids: Ids
) -> AsyncIterator[Served]:
    """A gateway in a time that is told. There is no processor behind it, so nothing can be charged."""
    world, shutdown = World(pool, clock, ids), Shutdown()
    processor = StripeProcessor("sk_test_none", livemode=False)
    charging = Charging(world, processor, "test", shutdown.requested)
    gateway = Gateway(
        world=world,
        charging=charging,
        doorkeeper=Doorkeeper(pool, clock),
        shutdown=shutdown,
        default_method=None,
    )
    yield await server(application(gateway, []))
    await charging.drain()
    await processor.close()
