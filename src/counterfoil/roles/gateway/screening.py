"""The routes by which fraud checks and persons decide on payments."""

from fastapi import Depends, FastAPI, Request, Response

from counterfoil.journey import assess
from counterfoil.messages.decoding import decode
from counterfoil.messages.fraud_check_completed import FraudCheckCompleted
from counterfoil.messages.review_decision import ReviewDecision
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import Gateway, admit, demand_json, json_answer, json_body, payment_id_of
from counterfoil.store.tokens import Scope


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""
    world = gateway.world

    @app.post(
        "/fraud-checks",
        dependencies=[Depends(admit(gateway, Scope.ADMIN))],
        openapi_extra=json_body(FraudCheckCompleted),
        status_code=202,
    )
    async def fraud_check(request: Request) -> Response:
        """Take in what a fraud check found; of a payment that is not here yet it is kept until it is."""
        demand_json(request)
        check = decode(await request.body(), FraudCheckCompleted).check(gateway.screening)
        found = await assess.run(world.pool, world.ids, [check], world.clock.now())
        payment = found.get(check.payment_id)
        answer = {
            "payment_id": str(check.payment_id),
            "finding": check.finding.value,
            "status": payment.state.value if payment else None,
        }
        return json_answer(answer, status_code=202)

    @app.post("/payments/{payment_id}/review", openapi_extra=json_body(ReviewDecision))
    async def review(payment_id: str, request: Request) -> Response:
        """Decide on a payment that waits for a person; 409 where none is waited for."""
        bearer = await gateway.doorkeeper.admit(request.headers.get("authorization"), Scope.ADMIN)
        demand_json(request)
        decided = decode(await request.body(), ReviewDecision)
        check = decided.check(payment_id_of(payment_id), bearer.name)
        payment = await assess.review(world.pool, world.ids, check, world.clock.now())
        return json_answer(shapes.charge(payment))
