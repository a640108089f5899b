"""The routes that hold money, take what is held, and let it go."""

from typing import Final

from fastapi import Depends, FastAPI, Request, Response
from pydantic import TypeAdapter, ValidationError

from counterfoil.domain.errors import InvalidRequest, WrongState
from counterfoil.domain.states import PaymentState
from counterfoil.messages.authorize_payment import AuthorizePayment
from counterfoil.messages.capture_payment import CapturePayment
from counterfoil.messages.decoding import decode
from counterfoil.messages.field_types import ExternalId
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.charges import charged
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_answer, json_body, payment_id_of, traced
from counterfoil.store.tokens import Scope

AUTHORIZE: Final = "/payments/authorize"

CREATED: Final = 201
"""What answers a hold that is there: something new may now be captured."""

_KEY: Final = TypeAdapter(ExternalId)


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""
    may_charge = [Depends(admit(gateway, Scope.CHARGE))]

    @app.post(AUTHORIZE, dependencies=may_charge, openapi_extra=json_body(AuthorizePayment))
    async def authorize(request: Request) -> Response:
        """Hold money for an order. Idempotent on ``Idempotency-Key``, or without one on the order's id."""
        demand_json(request)
        asked = decode(await request.body(), AuthorizePayment)
        order = traced(asked.order(_key_of(request)), request)
        done = await gateway.charging.charge(order, gateway.default_method)
        held = done.payment.state is PaymentState.AUTHORIZED
        headers = {"Idempotent-Replayed": "true"} if done.repeated else {}
        return charged(done.payment, headers, CREATED if held else shapes.status_of(done.payment))

    @app.post(
        "/payments/{payment_id}/capture",
        dependencies=may_charge,
        openapi_extra=json_body(CapturePayment, required=False),
    )
    async def capture(payment_id: str, request: Request) -> Response:
        """Take what is held, or a part of it: 200 once it is taken, 202 while that is not known. 409 if nothing is."""
        asked, raw = CapturePayment(), await request.body()
        if raw:
            demand_json(request)
            asked = decode(raw, CapturePayment)
        payment = await gateway.charging.capture(payment_id_of(payment_id), asked.amount)
        under_way = payment.state is PaymentState.AUTHORIZED and payment.amount_to_capture is not None
        if payment.state is not PaymentState.SUCCEEDED and not under_way:
            raise WrongState(payment.state, "captured: the processor refuses it")
        return json_answer(shapes.charge(payment), 202 if under_way else 200)

    @app.post("/payments/{payment_id}/cancel", dependencies=may_charge)
    async def cancel(payment_id: str) -> Response:
        """Cancel a payment: 200 once it has ended without money, 202 while that is not known. 409 if it has not."""
        payment = await gateway.charging.cancel(payment_id_of(payment_id))
        if payment.state is PaymentState.SUCCEEDED:
            raise WrongState(payment.state, "canceled: its money was faster")
        ended = payment.state in _WITHOUT_MONEY
        return json_answer(shapes.charge(payment), 200 if ended else 202)


def _key_of(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    try:
        return None if key is None else _KEY.validate_python(key)
    except ValidationError:
        raise InvalidRequest("Idempotency-Key", "must be printable ASCII, at most 255 characters") from None


_WITHOUT_MONEY: Final = frozenset({PaymentState.CANCELED, PaymentState.FAILED})
