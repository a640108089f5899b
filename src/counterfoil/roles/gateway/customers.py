"""The route that links a customer of ours to one of Stripe's."""

from fastapi import Depends, FastAPI, Request, Response

from counterfoil.domain.errors import CardDataNotAccepted, InvalidRequest
from counterfoil.messages.card_numbers import holds_card_number
from counterfoil.messages.customer_link import CustomerLink
from counterfoil.messages.decoding import decode
from counterfoil.messages.field_types import ExternalId
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_answer, json_body
from counterfoil.store import customers
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.tokens import Scope


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add this route to the application."""

    # Whoever may charge may name any method anyhow, so a link gives them nothing that they could not do without it.
    @app.put(
        "/customers/{customer_id:path}",
        dependencies=[Depends(admit(gateway, Scope.CHARGE))],
        openapi_extra=json_body(CustomerLink),
    )
    async def link_customer(customer_id: ExternalId, request: Request) -> Response:
        """Link a customer to Stripe's, with the method that is charged when an order names none."""
        demand_json(request)
        if holds_card_number(customer_id):
            raise CardDataNotAccepted("customer_id")
        link = decode(await request.body(), CustomerLink).link()
        if customer_id.startswith("cus_") and customer_id != link.processor_customer_id:
            raise InvalidRequest("stripe_customer", "is another one than the id that is to be linked")
        now = gateway.world.clock.now()
        async with unavailable_when_down():
            await customers.put(gateway.world.pool, customer_id, link, now)
        return json_answer(
            {
                "customer_id": customer_id,
                "stripe_customer": link.processor_customer_id,
                "default_payment_method": link.default_method,
                "updated_at": now,
            }
        )
