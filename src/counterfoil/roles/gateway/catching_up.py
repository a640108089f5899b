"""The routes about events that were never delivered: what was found in Stripe's list, and to have it looked through."""

from fastapi import Depends, FastAPI, Request, Response

from counterfoil.messages.catch_up_wanted import CatchUpWanted
from counterfoil.messages.decoding import decode
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_answer, json_body
from counterfoil.store import catch_up
from counterfoil.store.catch_up import Source
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.tokens import Scope


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""
    source, pool = Source("", gateway.livemode), gateway.world.pool

    @app.get("/catch-up", dependencies=[Depends(admit(gateway, Scope.READ))])
    async def catching_up() -> Response:
        """Show how far the list was looked through, and what the last run found."""
        async with unavailable_when_down():
            return json_answer(shapes.catching_up(await catch_up.shown(pool, source)))

    @app.post(
        "/catch-up",
        status_code=202,
        dependencies=[Depends(admit(gateway, Scope.ADMIN))],
        openapi_extra=json_body(CatchUpWanted),
    )
    async def catch_up_now(request: Request) -> Response:
        """Have a worker look through the list, at once or when the run under way has ended."""
        demand_json(request)
        wanted = decode(await request.body(), CatchUpWanted)
        async with unavailable_when_down():
            await catch_up.ask(pool, source, wanted.since, gateway.world.clock.now())
            return json_answer(shapes.catching_up(await catch_up.shown(pool, source)), 202)
