"""The routes that show payments."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Response

from counterfoil.domain.errors import InvalidRequest, NotFound
from counterfoil.domain.explanation import Machine, Sends, explain
from counterfoil.domain.states import PaymentState
from counterfoil.messages.field_types import ExternalId
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import MOST_PER_PAGE, Gateway, admit, json_answer, payment_id_of
from counterfoil.roles.pausing import LEFT_AFTER
from counterfoil.store import pauses, payments, reading, refunds, task_tokens
from counterfoil.store.pool import Connection, one_moment, unavailable_when_down
from counterfoil.store.reading import PaymentView, Wanted
from counterfoil.store.tokens import Scope


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""
    may_read = [Depends(admit(gateway, Scope.READ))]

    @app.get("/payments", dependencies=may_read)
    async def listed(  # noqa: PLR0913, PLR0917 - each is a parameter of the query
        limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 20,
        cursor: UUID | None = None,
        status: PaymentState | None = None,
        order_id: ExternalId | None = None,
        customer_id: ExternalId | None = None,
        under_review: bool = False,  # noqa: FBT001, FBT002 - a parameter of the query
    ) -> Response:
        """List payments, newest first; ``next_cursor`` is the cursor of the following page, null on the last."""
        if status is not None and under_review:
            raise InvalidRequest("under_review", "stands without a status: it is asked for in whatever state")
        wanted = Wanted(status.value if status else None, order_id, customer_id, under_review)
        async with unavailable_when_down(), one_moment(gateway.world.pool) as connection:
            found = await reading.page(connection, before=cursor, wanted=wanted, most=limit + 1)
        more = len(found) > limit
        shown = [shapes.payment(view) for view in found[:limit]]
        return json_answer({"payments": shown, "next_cursor": shown[-1]["payment_id"] if more else None})

    @app.get("/payments/{payment_id}", dependencies=may_read)
    async def payment(payment_id: str) -> Response:
        """Show a payment as it stands, with its refunds."""
        wanted = payment_id_of(payment_id)
        async with unavailable_when_down(), one_moment(gateway.world.pool) as connection:
            shown = await _shown(connection, await reading.payment(connection, wanted))
        return json_answer(shown)

    @app.get("/payments/{payment_id}/timeline", dependencies=may_read)
    async def timeline(payment_id: str) -> Response:
        """Show what is on record about a payment, in the order it happened."""
        view = await _payment(gateway, payment_id)
        async with unavailable_when_down():
            entries = await reading.timeline(gateway.world.pool, view.id)
        return json_answer({"payment_id": str(view.id), "entries": [shapes.entry(line) for line in entries]})

    @app.get("/payments/{payment_id}/explanation", dependencies=may_read)
    async def explanation(payment_id: str) -> Response:
        """Explain a payment in words: what is known, what is not, and what happens next and when."""
        wanted, now = payment_id_of(payment_id), gateway.world.clock.now()
        async with unavailable_when_down(), one_moment(gateway.world.pool) as connection:
            held = (await payments.read(connection, [wanted])).get(wanted)
            pause = await pauses.oldest(connection, now - LEFT_AFTER)
            driving = await task_tokens.driving(connection, wanted)
            asked = await task_tokens.of_payment(connection, wanted) if driving is not None else []
        if held is None:
            raise NotFound("payment")
        sends = [
            Sends(kept.request.key, kept.first_sent_at, kept.last_sent_at, kept.claim_expires_at) for kept in held.kept
        ]
        machine = None if driving is None else Machine(driving.given_back_at, tuple(asked))
        explained = explain(held.payment, sends, now, paused=pause.reason if pause else None, machine=machine)
        return json_answer(shapes.explanation(held.payment, explained))

    # As a path, for an order's id may hold slashes, and %2F is one before a router sees it.
    @app.get("/orders/{order_id:path}/payment", dependencies=may_read)
    async def payment_of_order(order_id: ExternalId) -> Response:
        """Show the live payment of an order, else its latest."""
        async with unavailable_when_down(), one_moment(gateway.world.pool) as connection:
            shown = await _shown(connection, await reading.payment_of_order(connection, order_id))
        return json_answer(shown)


async def _shown(connection: Connection, view: PaymentView | None) -> dict[str, Any]:
    if view is None:
        raise NotFound("payment")
    found = await refunds.views_of_payments(connection, [view.id])
    return shapes.payment(view) | {"refunds": [shapes.refund(one) for one in found]}


async def _payment(gateway: Gateway, payment_id: str) -> PaymentView:
    wanted = payment_id_of(payment_id)
    async with unavailable_when_down():
        view = await reading.payment(gateway.world.pool, wanted)
    if view is None:
        raise NotFound("payment")
    return view
