"""The routes that ask for money."""

from collections.abc import Mapping
from typing import Final

from fastapi import Depends, FastAPI, Request, Response

from counterfoil.domain.errors import AmountRefused
from counterfoil.domain.payment import Payment
from counterfoil.messages.another_method import AnotherMethod
from counterfoil.messages.decoding import decode
from counterfoil.messages.order_placed import OrderPlaced
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_answer, json_body, payment_id_of, traced
from counterfoil.roles.problems import Kind, Problem, response
from counterfoil.runtime.metrics import CHARGES
from counterfoil.store.tokens import Scope

CHARGE: Final = "/charge"


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""

    @app.post(CHARGE, dependencies=[Depends(admit(gateway, Scope.CHARGE))], openapi_extra=json_body(OrderPlaced))
    async def charge(request: Request) -> Response:
        """Charge an order. Idempotent on ``event_id``: the same order again answers by the payment's present state."""
        demand_json(request)
        placed = decode(await request.body(), OrderPlaced)
        try:
            done = await gateway.charging.charge(traced(placed.order(), request), gateway.default_method)
        except AmountRefused as refusal:
            if refusal.field == "amount":
                refusal.field = "amount_cents"  # as the caller wrote it
            raise
        headers = {"Idempotent-Replayed": "true"} if done.repeated else {}
        return charged(done.payment, headers, shapes.status_of(done.payment))

    @app.post(
        "/payments/{payment_id}/payment-method",
        dependencies=[Depends(admit(gateway, Scope.CHARGE))],
        openapi_extra=json_body(AnotherMethod),
    )
    async def charge_anew(payment_id: str, request: Request) -> Response:
        """Try a failed payment again with another method; answers as a charge does. 409 while it has not failed."""
        demand_json(request)
        method = decode(await request.body(), AnotherMethod)
        payment = await gateway.charging.charge_anew(payment_id_of(payment_id), method)
        return charged(payment, {}, shapes.status_of(payment))


def charged(payment: Payment, headers: Mapping[str, str], status: int) -> Response:
    """Return the answer to whoever asked for money: how the payment stands, with that HTTP status."""
    CHARGES.labels(status).inc()
    shown = shapes.charge(payment)
    if status == Kind.CARD_DECLINED.status:
        detail = shown["failure_message"] or "the payment was declined"
        # A problem's own `status` is the number (RFC 9457); the payment's stands beside it.
        extra = shown | {"payment_status": shown["status"]}
        return response(Problem(Kind.CARD_DECLINED, detail, extra=extra, headers=headers))
    return json_answer(shown, status_code=status, headers=headers)
