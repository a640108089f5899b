"""The routes that give money back."""

import re
from typing import Final
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response

from counterfoil.domain.errors import InvalidRequest, NotFound
from counterfoil.domain.refunding import OPEN
from counterfoil.journey import refund
from counterfoil.messages.decoding import decode
from counterfoil.messages.refund_wanted import RefundWanted
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_answer, json_body, payment_id_of
from counterfoil.store import refunds
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.refunds import RefundView
from counterfoil.store.tokens import Scope

KEY: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]{1,255}", re.ASCII)


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""

    @app.post(
        "/payments/{payment_id}/refunds",
        status_code=202,
        dependencies=[Depends(admit(gateway, Scope.REFUND))],
        openapi_extra=json_body(RefundWanted),
    )
    async def ask_back(payment_id: str, request: Request) -> Response:
        """Give money back, all that is left where no amount is named. Idempotent on ``Idempotency-Key``."""
        demand_json(request)
        key = _key_of(request)
        wish = decode(await request.body(), RefundWanted).wish(payment_id_of(payment_id), key)
        world = gateway.world
        asked = await refund.ask(world.pool, world.ids, wish, world.clock.now())
        shown = await _refund(gateway, asked.refund_id)
        headers = {"Idempotent-Replayed": "true"} if asked.repeated else {}
        return json_answer(shapes.refund(shown), 202 if shown.state in OPEN else 200, headers)

    @app.get("/refunds/{refund_id}", dependencies=[Depends(admit(gateway, Scope.READ))])
    async def show(refund_id: str) -> Response:
        """Show a refund as it stands."""
        try:
            wanted = UUID(refund_id)
        except ValueError:
            raise NotFound("refund") from None
        return json_answer(shapes.refund(await _refund(gateway, wanted)))


def _key_of(request: Request) -> str:
    """Return the request's one idempotency key.

    Raises:
        InvalidRequest: there is none, or more than one, or it is no printable ASCII without spaces.
    """
    keys = request.headers.getlist(KEY)
    if len(keys) != 1:
        raise InvalidRequest(KEY, "is required" if not keys else "was sent more than once")
    key = keys[0].strip(" \t")
    if not _KEY.fullmatch(key):
        raise InvalidRequest(KEY, "must be 1 to 255 printable ASCII characters without spaces")
    return key


async def _refund(gateway: Gateway, refund_id: UUID) -> RefundView:
    async with unavailable_when_down():
        found = await refunds.view(gateway.world.pool, refund_id)
    if found is None:
        raise NotFound("refund")
    return found
