"""`/_sandbox`: what a test may ask of the sandbox itself, in JSON.

Each answer is an object. What cannot be used is 400, what is not there 404, both with a sentence in `error`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final, Protocol

from aiohttp import web

from stripe_sandbox import wire
from stripe_sandbox.account import Account
from stripe_sandbox.clock import Clock
from stripe_sandbox.deliveries import Deliveries
from stripe_sandbox.faults import Script
from stripe_sandbox.holds import Holds
from stripe_sandbox.requests_log import RequestLog, shown
from stripe_sandbox.resources.webhook_endpoints import LONGEST_OVERLAP_SECONDS
from stripe_sandbox.told import UnusableError, decoded, number, read, text
from stripe_sandbox.trigger import RECIPES, trigger

FURTHEST_SECONDS: Final = 366 * 86_400
"""Further than anything is due; a slip of the keyboard should not end in the year 9999."""

LONGEST_WAIT_SECONDS: Final = 60.0
"""How long a question may wait for its answer."""


class Controlled(Protocol):
    """What `/_sandbox` reaches."""

    clock: Clock
    log: RequestLog
    deliveries: Deliveries
    script: Script
    holds: Holds

    def account(self, *, livemode: bool = False) -> Account:
        """The objects of one mode."""

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
    sent = read(decoded(await request.read()), {"advance_seconds": number(0, FURTHEST_SECONDS)})
    if "advance_seconds" not in sent:
        raise UnusableError('Send {"advance_seconds": <number>}.')
    await sandbox.advance(sent["advance_seconds"])
    return _json(_time(sandbox))


async def _requests(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    path, key = request.query.get("path"), request.query.get("idempotency_key")
    entries = [
        shown(entry) for entry in sandbox.log if path in (None, entry.path) and key in (None, entry.idempotency_key)
    ]
    limit = request.query.get("limit", "")
    return _json({"requests": entries[-int(limit) :] if limit.isdecimal() and int(limit) else entries})


async def _request(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    entry = sandbox.log.find(_last(request))
    return _json({"error": "No such request."}, 404) if entry is None else _json(shown(entry))


async def _deliveries(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    return _json({"deliveries": [asdict(attempt) for attempt in sandbox.deliveries.attempts.values()]})


async def _roll(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    fields = {"webhook_endpoint": text, "overlap_seconds": number(0, LONGEST_OVERLAP_SECONDS)}
    sent = read(decoded(await request.read()), fields)
    if "webhook_endpoint" not in sent:
        raise UnusableError('Send {"webhook_endpoint": "we_…", "overlap_seconds": <number>}.')
    try:
        return _json({"secret": sandbox.roll_secret(sent["webhook_endpoint"], sent.get("overlap_seconds", 0))})
    except KeyError:
        return _json({"error": "No such webhook endpoint."}, 404)


async def _faults(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    return _json({"faults": sandbox.script.shown()})


async def _add_faults(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    sent = decoded(await request.read())
    return _json({"faults": sandbox.script.add(sent if isinstance(sent, list) else [sent])})


async def _clear_faults(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    sandbox.script.clear()
    return _json({"faults": []})


async def _remove_fault(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    known = sandbox.script.remove(_last(request))
    return _json({"faults": sandbox.script.shown()}) if known else _json({"error": "No such fault."}, 404)


async def _held(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    wait = request.query.get("wait_seconds", "0")
    count = request.query.get("held", "1")
    if not (wait.isdecimal() and int(wait) <= LONGEST_WAIT_SECONDS and count.isdecimal()):
        raise UnusableError(f"wait_seconds and held are whole numbers, the first at most {LONGEST_WAIT_SECONDS:.0f}.")
    await sandbox.holds.until_held(int(count), int(wait))
    return _json(sandbox.holds.shown())


async def _add_hold(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    return _json(sandbox.holds.add(decoded(await request.read())))


async def _release_all(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    sandbox.holds.release()
    return _json(sandbox.holds.shown())


async def _release(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    known = sandbox.holds.release(_last(request))
    return _json(sandbox.holds.shown()) if known else _json({"error": "No such hold."}, 404)


async def _triggers(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request, sandbox
    return _json({"events": list(RECIPES)})


async def _trigger(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    sent = read(decoded(await request.read()), {"event": text})
    if sent.get("event") not in RECIPES:
        raise UnusableError(f'Send {{"event": <type>}}, one of {", ".join(RECIPES)}.')
    events = trigger(sandbox.account(), sent["event"], f"{request.scheme}://{request.host}")
    return _json({"events": events})


async def _dump(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    modes = {"test": sandbox.account(livemode=False), "live": sandbox.account(livemode=True)}
    held = {
        mode: {kind: list(records) for kind, records in account.records().items()} for mode, account in modes.items()
    }
    return _json({**_time(sandbox), **held})


async def _reset(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    _ = request
    sandbox.reset()
    return _json({"status": "ok", **_time(sandbox)})


def _last(request: web.BaseRequest) -> str:
    return request.path.rstrip("/").rpartition("/")[2]


ROUTES: Final[dict[tuple[str, str], Callable[[web.BaseRequest, Controlled], Awaitable[web.Response]]]] = {
    ("GET", "health"): _health,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _advance,
    ("GET", "requests"): _requests,
    ("GET", "requests/{id}"): _request,
    ("GET", "deliveries"): _deliveries,
    ("POST", "roll"): _roll,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("DELETE", "faults/{id}"): _remove_fault,
    ("GET", "hold"): _held,
    ("POST", "hold"): _add_hold,
    ("DELETE", "hold"): _release_all,
    ("DELETE", "hold/{id}"): _release,
    ("GET", "trigger"): _triggers,
    ("POST", "trigger"): _trigger,
    ("GET", "dump"): _dump,
    ("POST", "reset"): _reset,
}


async def answer(request: web.BaseRequest, sandbox: Controlled) -> web.Response:
    """Answers one request under `/_sandbox/`."""
    name, _, rest = request.path.removeprefix("/_sandbox/").strip("/").partition("/")
    route = ROUTES.get((request.method, f"{name}/{{id}}" if rest else name))
    if route is None or "/" in rest:
        return _json({"error": "No such page."}, 404)
    try:
        return await route(request, sandbox)
    except UnusableError as error:
        return _json({"error": str(error)}, 400)
