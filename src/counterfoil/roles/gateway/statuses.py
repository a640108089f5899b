"""The route that says in one word how an order's payment stands."""

from fastapi import Depends, FastAPI, Response

from counterfoil.domain.errors import NotFound
from counterfoil.domain.states import PaymentState
from counterfoil.messages.field_types import ExternalId
from counterfoil.messages.payment_status import status_of
from counterfoil.roles.gateway.routing import Gateway, admit, json_answer
from counterfoil.store import statuses
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.tokens import Scope


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add this route to the application."""

    # As a path, for an order's id may hold slashes, and %2F is one before a router sees it.
    @app.get("/orders/{order_id:path}/status", dependencies=[Depends(admit(gateway, Scope.READ))])
    async def status_of_order(order_id: ExternalId) -> Response:
        """Say how an order's payment stands: pending, completed, failed or refunded (GetPaymentStatus)."""
        async with unavailable_when_down():
            found = await statuses.of_order(gateway.world.pool, order_id)
        if found is None:
            raise NotFound("payment")
        status = status_of(PaymentState(found.state), found.amount_captured, found.amount_refunded)
        return json_answer(
            {
                "order_id": order_id,
                "payment_id": str(found.payment_id),
                "status": status.value,
                "amount": found.amount,
                "currency": found.currency,
                "amount_captured": found.amount_captured,
                "amount_refunded": found.amount_refunded,
                "updated_at": found.updated_at,
            }
        )
