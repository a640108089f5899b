"""The route that cancels an order."""

from fastapi import Depends, FastAPI, Request, Response

from counterfoil.journey import cancel
from counterfoil.messages.decoding import decode
from counterfoil.messages.field_types import ExternalId
from counterfoil.messages.order_cancelled import CancelOrder
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_answer, json_body
from counterfoil.store.tokens import Scope


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add this route to the application."""

    @app.post(
        "/orders/{order_id:path}/cancel",
        status_code=202,
        dependencies=[Depends(admit(gateway, Scope.CHARGE))],
        openapi_extra=json_body(CancelOrder),
    )
    async def cancel_order(order_id: ExternalId, request: Request) -> Response:
        """Cancel an order: its payments end without the money, or give it back, and so does one that comes later."""
        demand_json(request)
        cancellation = decode(await request.body(), CancelOrder).of(order_id)
        world = gateway.world
        cancelled = await cancel.run(world.pool, world.ids, cancellation, world.clock.now())
        return json_answer(shapes.cancelled(order_id, cancelled), 202)
