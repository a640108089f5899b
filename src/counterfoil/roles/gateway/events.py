"""The route that shows every published fact, as pages or as a stream."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Final

import pydantic_core
import structlog
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse

from counterfoil.domain.errors import Unavailable
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.authentication import Forbidden, Unauthorized
from counterfoil.roles.gateway.routing import Gateway, admit, json_answer
from counterfoil.store import reading
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.reading import PublishedFact
from counterfoil.store.tokens import Scope

MOST_AT_ONCE: Final = 100
"""Facts in one look of a follower."""

FOLLOW_SECONDS: Final = 0.25
"""How often a follower of /events is looked after: soon enough for a person to watch, rare enough to cost nothing."""

SILENCE_SECONDS: Final = 15.0
"""After this a follower gets a comment, so that proxies do not take the stream for dead."""

_log = structlog.get_logger()

_POSITION: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add this route to the application."""

    @app.get("/events", dependencies=[Depends(admit(gateway, Scope.READ))])
    async def events(
        request: Request,
        after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """Show published facts after a position, in order; as ``text/event-stream`` where that is accepted."""
        if "text/event-stream" in request.headers.get("accept", ""):
            resumed = _POSITION.fullmatch(request.headers.get("last-event-id", ""))
            position = int(resumed[0]) if resumed else after
            return StreamingResponse(_followed(gateway, request, position), media_type="text/event-stream")
        async with unavailable_when_down():
            found = await reading.facts_after(gateway.world.pool, after, limit)
        return json_answer(
            {"events": [shapes.fact(one) for one in found], "next": found[-1].position if found else after}
        )


async def _followed(gateway: Gateway, request: Request, position: int) -> AsyncIterator[bytes]:
    """Yield facts as server-sent events (WHATWG HTML, section 9.2), as they are published, until we stop.

    A store that is away is silence. A token that is revoked ends the stream, as it would end a request.
    """
    clock = gateway.world.clock
    spoke_at, away = clock.monotonic(), False
    while not gateway.shutdown.requested.is_set():
        found: list[PublishedFact] = []
        try:
            await admit(gateway, Scope.READ)(request)
            async with unavailable_when_down():
                found = await reading.facts_after(gateway.world.pool, position, MOST_AT_ONCE)
        except (Unauthorized, Forbidden):
            return
        except Unavailable:
            if not away:
                _log.warning("events.waiting", position=position)
            away = True
        else:
            away = False
        for one in found:
            position = one.position
            data = pydantic_core.to_json(shapes.fact(one)).decode()
            yield f"id: {one.position}\nevent: {one.name}\ndata: {data}\n\n".encode()
        if found:
            spoke_at = clock.monotonic()
        elif clock.monotonic() - spoke_at >= SILENCE_SECONDS:
            spoke_at = clock.monotonic()
            yield b": nothing new\n\n"
        if len(found) < MOST_AT_ONCE:
            await clock.sleep(FOLLOW_SECONDS)
