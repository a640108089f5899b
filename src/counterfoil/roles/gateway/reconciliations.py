"""The routes by which both books are compared, and by which is seen, and acknowledged, in what they differ."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Request, Response

from counterfoil.domain.comparing import Standing
from counterfoil.domain.errors import NotFound
from counterfoil.messages.decoding import decode
from counterfoil.messages.reconciliation_wanted import Acknowledgement, ReconciliationWanted
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import MOST_PER_PAGE, Gateway, admit, demand_json, json_answer, json_body
from counterfoil.store import reconciliations, restores
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.reconciliations import ReconciliationView, Wanted
from counterfoil.store.tokens import Scope


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""
    world, may_read = gateway.world, [Depends(admit(gateway, Scope.READ))]

    @app.post("/reconciliations", status_code=202, openapi_extra=json_body(ReconciliationWanted, required=False))
    async def ask(request: Request) -> Response:
        """Ask for both books to be compared; a worker does it, one comparison at a time."""
        bearer = await gateway.doorkeeper.admit(request.headers.get("authorization"), Scope.ADMIN)
        wish, raw = ReconciliationWanted(), await request.body()
        if raw:
            demand_json(request)
            wish = decode(raw, ReconciliationWanted)
        now, new = world.clock.now(), world.ids.new()
        async with unavailable_when_down(), world.pool.acquire() as connection:
            restore = await restores.current(connection)
            wanted = Wanted(bearer.name, wish.begin(now, restore.since if restore else None), now)
            await reconciliations.ask(connection, wanted, new, now)
        return json_answer(shapes.reconciliation(await _view(gateway, new)), 202)

    @app.get("/reconciliations", dependencies=may_read)
    async def listed(limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 20, cursor: UUID | None = None) -> Response:
        """List comparisons, the newest first; ``next_cursor`` is the cursor of the next page, null on the last."""
        async with unavailable_when_down():
            found = await reconciliations.views(world.pool, cursor, limit + 1)
        shown = [shapes.reconciliation(one) for one in found[:limit]]
        next_cursor = shown[-1]["reconciliation_id"] if len(found) > limit else None
        return json_answer({"reconciliations": shown, "next_cursor": next_cursor})

    @app.get("/reconciliations/{reconciliation_id}", dependencies=may_read)
    async def show(reconciliation_id: str) -> Response:
        """Show how far a comparison is, and how many differences it has found."""
        return json_answer(shapes.reconciliation(await _view(gateway, _id_of(reconciliation_id, "reconciliation"))))

    @app.get("/reconciliations/{reconciliation_id}/differences", dependencies=may_read)
    async def differences(
        reconciliation_id: str,
        state: Standing | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 20,
        cursor: UUID | None = None,
    ) -> Response:
        """List in what the books differ, in the order in which it was found; pages as above."""
        wanted = (await _view(gateway, _id_of(reconciliation_id, "reconciliation"))).id
        async with unavailable_when_down():
            found = await reconciliations.differences(world.pool, wanted, state, cursor, limit + 1)
        shown = [shapes.difference(one) for one in found[:limit]]
        next_cursor = shown[-1]["difference_id"] if len(found) > limit else None
        return json_answer({"differences": shown, "next_cursor": next_cursor})

    @app.post("/differences/{difference_id}/acknowledge", openapi_extra=json_body(Acknowledgement))
    async def acknowledge(difference_id: str, request: Request) -> Response:
        """Say that a person has seen to a difference, and how; 409 where it is not left for one."""
        bearer = await gateway.doorkeeper.admit(request.headers.get("authorization"), Scope.ADMIN)
        demand_json(request)
        note = decode(await request.body(), Acknowledgement).note
        wanted = _id_of(difference_id, "difference")
        async with unavailable_when_down():
            done = await reconciliations.acknowledge(world.pool, wanted, bearer.name, note, world.clock.now())
        return json_answer(shapes.difference(done))


def _id_of(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(what) from None


async def _view(gateway: Gateway, reconciliation_id: UUID) -> ReconciliationView:
    async with unavailable_when_down():
        found = await reconciliations.view(gateway.world.pool, reconciliation_id)
    if found is None:
        raise NotFound("reconciliation")
    return found
