"""What every route needs: what it works with, who may call it, what was sent, and how it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import pydantic_core
from fastapi import Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from counterfoil.domain.errors import NotFound
from counterfoil.domain.order import Order
from counterfoil.domain.screening import NO_SCREENING, Screening
from counterfoil.messages import trace_context
from counterfoil.roles.gateway.authentication import Doorkeeper
from counterfoil.roles.gateway.charging import Charging
from counterfoil.roles.world import World
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store.tokens import Bearer, Scope

MOST_PER_PAGE: Final = 100
"""Rows of a page, of whatever is listed; a page is built in memory."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the routes work with."""

    world: World
    charging: Charging
    doorkeeper: Doorkeeper
    shutdown: Shutdown
    default_method: str | None
    screening: Screening = NO_SCREENING
    return_url: str | None = None
    livemode: bool = False


def admit(gateway: Gateway, scope: Scope) -> Callable[[Request], Awaitable[Bearer]]:
    """Return the check that a request shows a token with that scope; it raises Unauthorized or Forbidden."""

    async def check(request: Request) -> Bearer:
        return await gateway.doorkeeper.admit(request.headers.get("authorization"), scope)

    return check


def payment_id_of(text: str) -> UUID:
    """Return the id that a path names; raises NotFound for what is none."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("payment") from None


def traced(order: Order, request: Request) -> Order:
    """Return the order with the trace that its request names; one that is not well formed, or not alone, is none."""
    given = request.headers.getlist(trace_context.HEADER)
    return replace(order, traceparent=trace_context.passed_on(given[0]) if len(given) == 1 else None)


def json_answer(content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; times in it are RFC 3339 in UTC."""
    return Response(pydantic_core.to_json(content), status_code, headers, media_type="application/json")


def json_body(model: type[BaseModel], *, required: bool = True) -> dict[str, object]:
    """Return what OpenAPI has to say of a route whose body is decoded by ourselves, strictly, and not by FastAPI."""
    schema = model.model_json_schema(by_alias=False)
    return {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": required}}


def demand_json(request: Request) -> None:
    """Raise 415 for anything but JSON in UTF-8; browsers cannot send that to another site without asking first."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise HTTPException(415)
