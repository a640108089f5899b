"""The gateway's routes. Every answer goes through one table from error to problem document."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import pydantic_core
import structlog
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from counterfoil.domain.errors import (
    AmountRefused,
    CounterfoilError,
    InvalidRequest,
    MethodRefused,
    NotFound,
    Unavailable,
)
from counterfoil.domain.explanation import Sends, explain
from counterfoil.domain.payment import Payment
from counterfoil.domain.states import PaymentState
from counterfoil.messages.another_method import AnotherMethod
from counterfoil.messages.decoding import decode
from counterfoil.messages.field_types import ExternalId
from counterfoil.messages.order_placed import OrderPlaced
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.authentication import Doorkeeper, Forbidden, Unauthorized
from counterfoil.roles.gateway.charging import Charging
from counterfoil.roles.gateway.refusals import problem_of
from counterfoil.roles.problems import Kind, Problem, on_error, response
from counterfoil.roles.world import World
from counterfoil.runtime.metrics import CHARGES
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import pauses, payments, reading
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.reading import PaymentView, PublishedFact, Wanted
from counterfoil.store.tokens import Scope

CHARGE: Final = "/charge"

MOST_PER_PAGE: Final = 100
"""Rows of a page; a page is built in memory."""

FOLLOW_SECONDS: Final = 0.25
"""How often a follower of /events is looked after: soon enough for a person to watch, rare enough to cost nothing."""

SILENCE_SECONDS: Final = 15.0
"""After this a follower gets a comment, so that proxies do not take the stream for dead."""


_log = structlog.get_logger()

_POSITION: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the routes work with."""

    world: World
    charging: Charging
    doorkeeper: Doorkeeper
    shutdown: Shutdown
    default_method: str | None


def application(gateway: Gateway, probes: list[BaseRoute]) -> FastAPI:
    """Return the gateway as an ASGI application."""
    app = FastAPI(
        title="Counterfoil",
        summary="Takes payment orders and sees each one through to money and a record of it.",
        routes=probes,
        docs_url=None,  # its pages load scripts from elsewhere; the document itself is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,  # one canonical path for each thing
    )
    app.add_exception_handler(CounterfoilError, _refused)
    app.add_exception_handler(Unauthorized, _unauthorized)
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, on_error)
    app.add_exception_handler(Exception, on_error)
    _charge_route(app, gateway)
    _payment_routes(app, gateway)
    _event_route(app, gateway)
    return app


def _admit(gateway: Gateway, scope: Scope) -> Callable[[Request], Awaitable[None]]:
    async def admit(request: Request) -> None:
        await gateway.doorkeeper.admit(request.headers.get("authorization"), scope)

    return admit


def _charge_route(app: FastAPI, gateway: Gateway) -> None:
    body = {"content": {"application/json": {"schema": OrderPlaced.model_json_schema()}}, "required": True}

    @app.post(CHARGE, dependencies=[Depends(_admit(gateway, Scope.CHARGE))], openapi_extra={"requestBody": body})
    async def charge(request: Request) -> Response:
        """Charge an order. Idempotent on ``event_id``: the same order again answers by the payment's present state."""
        _demand_json(request)
        placed = decode(await request.body(), OrderPlaced)
        order = placed.order(gateway.default_method)
        if order is None:
            raise MethodRefused("is missing, and there is no default to charge instead")
        try:
            charged = await gateway.charging.charge(order)
        except AmountRefused as refusal:
            if refusal.field == "amount":
                refusal.field = "amount_cents"  # as the caller wrote it
            raise
        headers = {"Idempotent-Replayed": "true"} if charged.repeated else {}
        return _charged(charged.payment, headers)

    body = {"content": {"application/json": {"schema": AnotherMethod.model_json_schema()}}, "required": True}

    @app.post(
        "/payments/{payment_id}/payment-method",
        dependencies=[Depends(_admit(gateway, Scope.CHARGE))],
        openapi_extra={"requestBody": body},
    )
    async def charge_anew(payment_id: str, request: Request) -> Response:
        """Try a failed payment again with another method; answers as a charge does. 409 while it has not failed."""
        _demand_json(request)
        method = decode(await request.body(), AnotherMethod)
        return _charged(await gateway.charging.charge_anew(_payment_id(payment_id), method), {})


def _charged(payment: Payment, headers: Mapping[str, str]) -> Response:
    """Return the answer to a charge: how the payment stands."""
    status = shapes.status_of(payment)
    CHARGES.labels(status).inc()
    shown = shapes.charge(payment)
    if status == Kind.CARD_DECLINED.status:
        detail = shown["failure_message"] or "the payment was declined"
        # A problem's own `status` is the number (RFC 9457); the payment's stands beside it.
        extra = shown | {"payment_status": shown["status"]}
        return response(Problem(Kind.CARD_DECLINED, detail, extra=extra, headers=headers))
    return _json(shown, status_code=status, headers=headers)


def _payment_routes(app: FastAPI, gateway: Gateway) -> None:
    may_read = [Depends(_admit(gateway, Scope.READ))]

    @app.get("/payments", dependencies=may_read)
    async def listed(
        limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 20,
        cursor: UUID | None = None,
        status: PaymentState | None = None,
        order_id: ExternalId | None = None,
        customer_id: ExternalId | None = None,
    ) -> Response:
        """List payments, newest first; ``next_cursor`` is the cursor of the following page, null on the last."""
        wanted = Wanted(status.value if status else None, order_id, customer_id)
        async with unavailable_when_down():
            found = await reading.page(gateway.world.pool, before=cursor, wanted=wanted, most=limit + 1)
        more = len(found) > limit
        shown = [shapes.payment(view) for view in found[:limit]]
        return _json({"payments": shown, "next_cursor": shown[-1]["payment_id"] if more else None})

    @app.get("/payments/{payment_id}", dependencies=may_read)
    async def payment(payment_id: str) -> Response:
        """Show a payment as it stands."""
        return _json(shapes.payment(await _payment(gateway, payment_id)))

    @app.get("/payments/{payment_id}/timeline", dependencies=may_read)
    async def timeline(payment_id: str) -> Response:
        """Show what is on record about a payment, in the order it happened."""
        view = await _payment(gateway, payment_id)
        async with unavailable_when_down():
            entries = await reading.timeline(gateway.world.pool, view.id)
        return _json({"payment_id": str(view.id), "entries": [shapes.entry(line) for line in entries]})

    @app.get("/payments/{payment_id}/explanation", dependencies=may_read)
    async def explanation(payment_id: str) -> Response:
        """Explain a payment in words: what is known, what is not, and what happens next and when."""
        wanted, now = _payment_id(payment_id), gateway.world.clock.now()
        async with unavailable_when_down(), gateway.world.pool.acquire() as connection:
            held = (await payments.read(connection, [wanted])).get(wanted)
            pause = await pauses.current(connection, gateway.charging.credential)
        if held is None:
            raise NotFound("payment")
        sends = [
            Sends(kept.request.key, kept.first_sent_at, kept.last_sent_at, kept.claim_expires_at) for kept in held.kept
        ]
        explained = explain(held.payment, sends, now, paused=pause.reason if pause else None)
        return _json(shapes.explanation(held.payment, explained))

    # As a path, for an order's id may hold slashes, and %2F is one before a router sees it.
    @app.get("/orders/{order_id:path}/payment", dependencies=may_read)
    async def payment_of_order(order_id: ExternalId) -> Response:
        """Show the live payment of an order, else its latest."""
        async with unavailable_when_down():
            view = await reading.payment_of_order(gateway.world.pool, order_id)
        if view is None:
            raise NotFound("payment")
        return _json(shapes.payment(view))


def _event_route(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/events", dependencies=[Depends(_admit(gateway, Scope.READ))])
    async def events(
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """Show published facts after a position, in order; as ``text/event-stream`` where that is accepted."""
        if "text/event-stream" in request.headers.get("accept", ""):
            resumed = _POSITION.fullmatch(request.headers.get("last-event-id", ""))
            position = int(resumed[0]) if resumed else after
            return StreamingResponse(_followed(gateway, request, position), media_type="text/event-stream")
        async with unavailable_when_down():
            found = await reading.facts_after(gateway.world.pool, after, limit)
        return _json({"events": [shapes.fact(one) for one in found], "next": found[-1].position if found else after})


async def _followed(gateway: Gateway, request: Request, position: int) -> AsyncIterator[bytes]:
    """Yield facts as server-sent events (WHATWG HTML, section 9.2), as they are published, until we stop.

    A store that is away is silence. A token that is revoked ends the stream, as it would end a request.
    """
    clock = gateway.world.clock
    spoke_at, away = clock.monotonic(), False
    while not gateway.shutdown.requested.is_set():
        found: list[PublishedFact] = []
        try:
            await _admit(gateway, Scope.READ)(request)
            async with unavailable_when_down():
                found = await reading.facts_after(gateway.world.pool, position, MOST_PER_PAGE)
        except (Unauthorized, Forbidden):
            return
        except Unavailable:
            if not away:
                _log.warning("events.waiting", position=position)
            away = True
        else:
            away = False
        for one in found:
            position = one.position
            data = pydantic_core.to_json(shapes.fact(one)).decode()
            yield f"id: {one.position}\nevent: {one.name}\ndata: {data}\n\n".encode()
        if found:
            spoke_at = clock.monotonic()
        elif clock.monotonic() - spoke_at >= SILENCE_SECONDS:
            spoke_at = clock.monotonic()
            yield b": nothing new\n\n"
        if len(found) < MOST_PER_PAGE:
            await clock.sleep(FOLLOW_SECONDS)


def _payment_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("payment") from None


async def _payment(gateway: Gateway, payment_id: str) -> PaymentView:
    wanted = _payment_id(payment_id)
    async with unavailable_when_down():
        view = await reading.payment(gateway.world.pool, wanted)
    if view is None:
        raise NotFound("payment")
    return view


def _json(content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; times in it are RFC 3339 in UTC."""
    return Response(pydantic_core.to_json(content), status_code, headers, media_type="application/json")


def _demand_json(request: Request) -> None:
    """Raise 415 for anything but JSON in UTF-8; browsers cannot send that to another site without asking first."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise HTTPException(415)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, CounterfoilError)
    problem = problem_of(error)
    if request.url.path == CHARGE:
        CHARGES.labels(problem.status_code).inc()
    return response(problem)


async def _unauthorized(_request: Request, _error: Exception) -> Response:
    headers = {"WWW-Authenticate": 'Bearer realm="counterfoil"'}
    return response(Problem(Kind.UNAUTHORIZED, "send a token of this gateway as a bearer token", headers=headers))


async def _forbidden(_request: Request, _error: Exception) -> Response:
    return response(Problem(Kind.FORBIDDEN, "this token lacks the scope that the route needs"))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    place = str(error.errors()[0]["loc"][-1])
    return response(problem_of(InvalidRequest(place, "is not what the route documents")))
