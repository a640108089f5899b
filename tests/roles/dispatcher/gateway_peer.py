"""A real HTTP server in the gateway's place, for answers that a healthy gateway does not give when asked."""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Reply:
    """What the peer answers; a status of 0 hangs up."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


ACCEPTED = Reply(200, {"payment_id": "p", "status": "succeeded"})


def problem(status: int, kind: str, **more: str) -> Reply:
    """Return a problem document as the gateway writes it."""
    return Reply(status, {"type": f"urn:counterfoil:problem:{kind}", "detail": "as it is", **more})


@dataclass(slots=True)
class GatewayPeer:
    """Gives each order its replies, one after the other, then takes it; keeps what it was asked."""

    url: str = ""
    is_ready: bool = True
    checks: dict[str, str] = field(default_factory=lambda: {"database": "ok"})
    replies: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    asked: Counter[str] = field(default_factory=Counter)
    tokens: set[str | None] = field(default_factory=set)

    async def charge(self, request: web.Request) -> web.StreamResponse:
        """Answer an order by its id; what has none goes by the name of nothing."""
        self.tokens.add(request.headers.get("Authorization"))
        try:
            order_id = str((await request.json()).get("order_id", ""))
        except (ValueError, AttributeError):
            order_id = ""
        self.asked[order_id] += 1
        left = self.replies[order_id]
        reply = left.pop(0) if left else ACCEPTED
        if not reply.status:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=reply.status or 500, text=json.dumps(dict(reply.body)), headers=dict(reply.headers))

    async def ready(self, _request: web.Request) -> web.Response:
        """Say whether it is ready."""
        said = {"ready": self.is_ready, "checks": self.checks}
        return web.json_response(said, status=200 if self.is_ready else 503)


@asynccontextmanager
async def listening_peer() -> AsyncIterator[GatewayPeer]:
    """Yield a peer that listens."""
    peer, app = GatewayPeer(), web.Application()
    app.add_routes([web.post("/charge", peer.charge), web.get("/readyz", peer.ready)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield peer
    finally:
        await runner.cleanup()
