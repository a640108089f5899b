"""The route that takes ProcessPayment, as a queue will bring it too."""

from typing import Final

from fastapi import Depends, FastAPI, Request, Response

from counterfoil.domain.errors import IdempotencyKeyReused
from counterfoil.messages.decoding import decode
from counterfoil.messages.process_payment import ProcessPayment
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.charges import charged
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_body, traced
from counterfoil.store.tokens import Scope

PROCESS: Final = "/payments"

WAIT: Final = "wait"
"""The preference (RFC 7240) of who wants to hear how the payment ends, and not only that it is taken in."""


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add this route to the application."""

    @app.post(
        PROCESS,
        dependencies=[Depends(admit(gateway, Scope.CHARGE))],
        openapi_extra=json_body(ProcessPayment),
    )
    async def process(request: Request) -> Response:
        """Make a payment under the id its sender chose: 202, or with ``Prefer: wait`` answered as a charge is."""
        demand_json(request)
        asked = decode(await request.body(), ProcessPayment)
        order, waits = traced(asked.order(), request), _prefers_to_wait(request)
        if waits:
            done = await gateway.charging.charge(order, payment_id=asked.payment_id)
        else:
            done = await gateway.charging.queue(order, asked.payment_id)
        if done.payment.id != asked.payment_id:  # the key made another payment before
            raise IdempotencyKeyReused
        headers = {"Idempotent-Replayed": "true"} if done.repeated else {}
        if waits:
            headers["Preference-Applied"] = WAIT
        return charged(done.payment, headers, shapes.status_of(done.payment))


def _prefers_to_wait(request: Request) -> bool:
    told = ",".join(request.headers.getlist("prefer")).split(",")
    return any(one.partition(";")[0].partition("=")[0].strip().lower() == WAIT for one in told)
