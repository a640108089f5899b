"""The routes about what follows from a payment's end: what there is, what a person decides, a customer's way back."""

from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from counterfoil.domain.effects import EffectKind
from counterfoil.domain.errors import NotFound, NotParked
from counterfoil.domain.states import PaymentState
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import MOST_PER_PAGE, Gateway, admit, json_answer, payment_id_of
from counterfoil.store import effects, reading
from counterfoil.store.effects import EffectView, WayBack
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.tokens import Scope

_PRIVATE: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""The address of the way back is known to its customer alone, and is to stay so."""

_CURSOR: Final = r"^[0-9a-f-]{36}/[a-z_]{1,40}$"


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""
    may_administer = [Depends(admit(gateway, Scope.ADMIN))]

    @app.get("/payments/{payment_id}/effects", dependencies=[Depends(admit(gateway, Scope.READ))])
    async def of_payment(payment_id: str) -> Response:
        """Show what followed from a payment's end."""
        wanted = payment_id_of(payment_id)
        async with unavailable_when_down():
            if await reading.payment(gateway.world.pool, wanted) is None:
                raise NotFound("payment")
            found = await effects.of_payment(gateway.world.pool, wanted)
        return json_answer({"payment_id": str(wanted), "effects": [shapes.effect(one) for one in found]})

    @app.get("/effects", dependencies=may_administer)
    async def parked(
        state: Literal["parked"] = "parked",  # noqa: ARG001 - the only one there is a list of; whoever asks says so
        limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 20,
        cursor: Annotated[str | None, Query(pattern=_CURSOR)] = None,
    ) -> Response:
        """List effects that wait for a person; ``next_cursor`` is the cursor of the next page, null on the last."""
        payment_id, _, kind = cursor.partition("/") if cursor else ("", "", "")
        after = (payment_id_of(payment_id), kind) if cursor else None
        async with unavailable_when_down():
            found = await effects.parked(gateway.world.pool, after, limit + 1)
        shown = [shapes.effect(one) for one in found[:limit]]
        return json_answer({"effects": shown, "next_cursor": shown[-1]["id"] if len(found) > limit else None})

    @app.post("/effects/{payment_id}/{kind}/replay", dependencies=may_administer)
    async def replay(payment_id: str, kind: str) -> Response:
        """Let a parked effect be tried anew, eight times more."""
        wanted = _named(payment_id, kind)
        async with unavailable_when_down():
            done = await effects.replay(gateway.world.pool, *wanted, gateway.world.clock.now())
        return json_answer(shapes.effect(done or await _refused(gateway, *wanted)))

    @app.post("/effects/{payment_id}/{kind}/drop", dependencies=may_administer)
    async def drop(payment_id: str, kind: str) -> Response:
        """Let a parked effect be no more."""
        wanted = _named(payment_id, kind)
        async with unavailable_when_down():
            done = await effects.drop(gateway.world.pool, *wanted, gateway.world.clock.now())
        return json_answer(shapes.effect(done or await _refused(gateway, *wanted)))

    @app.get("/try-again/{payment_id}")
    async def try_again(payment_id: str) -> Response:
        """Lead a customer, who has this address from a letter, back to the shop to try again."""
        wanted = payment_id_of(payment_id)
        async with unavailable_when_down():
            found = await effects.way_back(gateway.world.pool, wanted)
        if found is None:
            raise NotFound("payment")
        url = found.url or gateway.return_url
        if not found.may_try_again or url is None:
            return PlainTextResponse(_SAYING.get(found.state, _OPEN), headers=_PRIVATE)
        return RedirectResponse(_led_back(url, found, wanted), 303, _PRIVATE)


def _named(payment_id: str, kind: str) -> tuple[UUID, EffectKind]:
    if kind not in set(EffectKind):
        raise NotFound("effect")
    return payment_id_of(payment_id), EffectKind(kind)


async def _refused(gateway: Gateway, payment_id: UUID, kind: EffectKind) -> EffectView:
    """Say why an effect was neither replayed nor dropped.

    Raises:
        NotFound: there is none.
        NotParked: nobody has to decide on it.
    """
    async with unavailable_when_down():
        found = await effects.of_payment(gateway.world.pool, payment_id)
    state = next((one.state for one in found if one.kind == kind), None)
    raise NotFound("effect") if state is None else NotParked(state)


def _led_back(url: str, found: WayBack, payment_id: UUID) -> str:
    """Return the shop's address with the order and the payment added to its query."""
    parts = urlsplit(url)
    query = [
        *parse_qsl(parts.query, keep_blank_values=True),
        ("order_id", found.order_id),
        ("payment_id", str(payment_id)),
    ]
    return parts._replace(query=urlencode(query)).geturl()


_OPEN: Final = "This payment is being worked on. Please come back later.\n"
_SAYING: Final = {
    PaymentState.SUCCEEDED: "This order is paid. There is nothing more to do.\n",
    PaymentState.FAILED: "This payment did not go through. Please go back to the shop.\n",
    PaymentState.CANCELED: "This payment was not completed. Please go back to the shop.\n",
}
"""What a customer reads whom we cannot lead back."""
