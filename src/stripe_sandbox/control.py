"""`/_sandbox`: what a test may ask of the sandbox itself, in JSON.

GET  /_sandbox/health            is it up
GET  /_sandbox/clock             its time
POST /_sandbox/clock             {"advance_seconds": 86400}: everything due happens, in order, before the answer
GET  /_sandbox/requests          the log, oldest first; ?path= and ?idempotency_key= filter, ?limit= the last so many
GET  /_sandbox/requests/{id}     one of them
GET  /_sandbox/deliveries        each try to deliver an event
POST /_sandbox/roll              {"webhook_endpoint": "we_…", "overlap_seconds": 3600}: a new secret, beside the old one
POST /_sandbox/reset             as if it had just started
"""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final, Protocol

from aiohttp import web

from stripe_sandbox import wire
from stripe_sandbox.clock import Clock
from stripe_sandbox.deliveries import Deliveries
from stripe_sandbox.requests_log import RequestLog, shown
from stripe_sandbox.resources.webhook_endpoints import LONGEST_OVERLAP_SECONDS

FURTHEST_SECONDS: Final = 366 * 86_400
"""Further than anything is due; a slip of the keyboard should not end in the year 9999."""


class Controlled(Protocol):
    """What `/_sandbox` reaches."""

    clock: Clock
    log: RequestLog
    deliveries: Deliveries

    async def advance(self, seconds: float) -> None:
        """Moves time forward."""

    def roll_secret(self, endpoint_id: str, overlap_seconds: float) -> str:
        """Gives an endpoint a new secret."""

    def reset(self) -> None:
        """Starts over."""


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=wire.written(value).encode(), status=status, content_type="application/json")


def _time(sandbox: Controlled) -> dict[str, Any]:
    return {"now": sandbox.clock.now(), "offset_seconds": sandbox.clock.offset_seconds}


async def _health(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    return _json({"status": "ok", **_time(sandbox)})


async def _clock(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    return _json(_time(sandbox))


async def _advance(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    try:
        sent = json.loads(await request.read())
        seconds = sent["advance_seconds"]
    except (ValueError, KeyError, TypeError):
        seconds = None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not math.isfinite(seconds):
        return _json({"error": 'Send {"advance_seconds": <number>}.'}, 400)
    if not 0 <= seconds <= FURTHEST_SECONDS:
        return _json({"error": f"advance_seconds must be between 0 and {FURTHEST_SECONDS}."}, 400)
    await sandbox.advance(seconds)
    return _json(_time(sandbox))


async def _requests(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    path, key = request.query.get("path"), request.query.get("idempotency_key")
    entries = [
        shown(entry) for entry in sandbox.log if path in (None, entry.path) and key in (None, entry.idempotency_key)
    ]
    limit = request.query.get("limit", "")
    return _json({"requests": entries[-int(limit) :] if limit.isdecimal() and int(limit) else entries})


async def _request(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    entry = sandbox.log.find(request.path.rpartition("/")[2])
    return _json({"error": "No such request."}, 404) if entry is None else _json(shown(entry))


async def _deliveries(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    return _json({"deliveries": [asdict(attempt) for attempt in sandbox.deliveries.attempts]})


async def _roll(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    try:
        sent = json.loads(await request.read())
        endpoint, overlap = sent["webhook_endpoint"], sent.get("overlap_seconds", 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return _json({"error": 'Send {"webhook_endpoint": "we_…", "overlap_seconds": <number>}.'}, 400)
    if not isinstance(overlap, int | float) or not 0 <= overlap <= LONGEST_OVERLAP_SECONDS:
        return _json({"error": f"overlap_seconds must be between 0 and {LONGEST_OVERLAP_SECONDS}."}, 400)
    try:
        return _json({"secret": sandbox.roll_secret(str(endpoint), overlap)})
    except KeyError:
        return _json({"error": "No such webhook endpoint."}, 404)


async def _reset(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    sandbox.reset()
    return _json({"status": "ok", **_time(sandbox)})


ROUTES: Final[dict[tuple[str, str], Callable[[web.BaseRequest, Controlled], Awaitable[web.Response]]]] = {
    ("GET", "health"): _health,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _advance,
    ("GET", "requests"): _requests,
    ("GET", "deliveries"): _deliveries,
    ("POST", "roll"): _roll,
    ("POST", "reset"): _reset,
}


async def answer(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    """Answers one request under `/_sandbox/`."""
    name = request.path.removeprefix("/_sandbox/").strip("/")
    if request.method == "GET" and name.startswith("requests/"):
        return await _request(request, sandbox)
    route = ROUTES.get((request.method, name))
    return _json({"error": "No such page."}, 404) if route is None else await route(request, sandbox)
