"""The routes that show what the processor told us, and read it once more where a person wants that."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import structlog
from fastapi import Depends, FastAPI, Query, Request, Response
from pydantic import AwareDatetime

from counterfoil.domain.errors import InvalidRequest, NotFound, NotReplayable
from counterfoil.journey import replay
from counterfoil.messages.decoding import NotDecodable, decode, decode_object
from counterfoil.messages.field_types import ExternalId
from counterfoil.messages.masking import masked
from counterfoil.messages.replay_wanted import ReplayWanted
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.roles.gateway import shapes
from counterfoil.roles.gateway.routing import MOST_PER_PAGE, Gateway, admit, demand_json, json_answer, json_body
from counterfoil.store import notice_views, reading
from counterfoil.store.notice_views import NoticeView, Place, QuarantineView, WantedNotices
from counterfoil.store.notices import NoticeState
from counterfoil.store.pool import unavailable_when_down
from counterfoil.store.tokens import Bearer, Scope

QUARANTINED: Final = "quarantined"
"""The state, to whoever looks, of what carried a good signature and is no event."""

_State = Literal["kept", "done", "foreign", "parked", "quarantined"]
_Account = Annotated[str, Query(pattern=r"^[!-~]{0,255}$")]
_Cursor = Annotated[str | None, Query(max_length=320, pattern=r"^[^\x00]+$")]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Named:
    """Which notice is meant: of which account (empty for ours), and of which mode where that is said."""

    event_id: str
    account: str
    livemode: bool | None


def mount(app: FastAPI, gateway: Gateway) -> None:
    """Add these routes to the application."""
    world = gateway.world

    @app.get("/notices", dependencies=[Depends(admit(gateway, Scope.READ))])
    async def listed(  # noqa: PLR0913, PLR0917 - each is a parameter of the query
        limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 20,
        cursor: _Cursor = None,
        state: _State | None = None,
        type_: Annotated[ExternalId | None, Query(alias="type")] = None,
        payment_id: UUID | None = None,
        since: AwareDatetime | None = None,
    ) -> Response:
        """List notices, the latest first; ``next_cursor`` is the cursor of the following page, null on the last."""
        if state == QUARANTINED:
            if type_ is not None or payment_id is not None:
                raise InvalidRequest("state", f"{QUARANTINED} stands without type and payment_id: it is no event")
            return json_answer(await _quarantine(gateway, since, cursor, limit))
        wanted = WantedNotices(NoticeState(state) if state else None, type_, payment_id, since)
        async with unavailable_when_down():
            found = await notice_views.page(world.pool, wanted, _place(cursor), limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        shown = [shapes.notice(view) for view in found[:limit]]
        return json_answer({"notices": shown, "next_cursor": _cursor(last) if last else None})

    # As a path, for what is somebody else's id may hold slashes, and %2F is one before a router sees it.
    @app.get("/notices/{event_id:path}")
    async def shown(
        bearer: Annotated[Bearer, Depends(admit(gateway, Scope.READ))], named: Annotated[_Named, Depends(_named)]
    ) -> Response:
        """Show a notice and what became of it; with its body, masked, to who may administer."""
        view = await _found(gateway, named)
        if isinstance(view, QuarantineView):
            return json_answer(shapes.quarantined(view))
        async with unavailable_when_down():
            payment = await reading.payment(world.pool, view.payment_id) if view.payment_id else None
            may_see = Scope.ADMIN in bearer.scopes
            body = await notice_views.body_of(world.pool, view.id) if may_see else None
        content = {"body": _masked(body)} if may_see else {}
        return json_answer(shapes.notice(view) | {"payment_status": payment.state if payment else None} | content)

    @app.post("/notices/{event_id:path}/replay", openapi_extra=json_body(ReplayWanted, required=False))
    async def once_more(
        bearer: Annotated[Bearer, Depends(admit(gateway, Scope.ADMIN))],
        named: Annotated[_Named, Depends(_named)],
        request: Request,
    ) -> Response:
        """Let a notice be read once more (202); with ``dry_run`` show what would come of it (200), changing nothing."""
        wanted, raw = ReplayWanted(), await request.body()
        if raw:
            demand_json(request)
            wanted = decode(raw, ReplayWanted)
        view = await _found(gateway, named)
        if isinstance(view, QuarantineView):
            raise NotReplayable(QUARANTINED, f"it is no event ({view.reason})")
        if wanted.dry_run:
            now, ours = world.clock.now(), gateway.charging.livemode
            would_be = await replay.rehearse(world.pool, stripe_notices, world.ids, view, now, livemode=ours)
            return json_answer({"dry_run": True, "notice": shapes.notice(view)} | shapes.rehearsal(would_be))
        _log.info("notices.replay", event_id=view.id.event_id, token=bearer.name)
        await replay.run(world.pool, view, world.clock.now())
        view = await _found(gateway, replace(named, livemode=view.id.livemode))
        assert isinstance(view, NoticeView), "rows of notices are kept for ever"
        return json_answer({"dry_run": False, "notice": shapes.notice(view)}, 202)


def _named(event_id: ExternalId, account: _Account = "", livemode: bool | None = None) -> _Named:  # noqa: FBT001 - a parameter of the query
    return _Named(event_id, account, livemode)


async def _found(gateway: Gateway, named: _Named) -> NoticeView | QuarantineView:
    """Return what is kept under an event's id, or in quarantine under one of ours.

    Raises:
        NotFound: nothing is.
    """
    pool, ours = gateway.world.pool, gateway.charging.livemode
    async with unavailable_when_down():
        view = await notice_views.of_event(pool, named.event_id, named.account, livemode=named.livemode, ours=ours)
        if view is not None:
            return view
        wanted = _uuid(named.event_id)
        put_aside = await notice_views.quarantined_as(pool, wanted) if wanted else None
    if put_aside is None:
        raise NotFound("notice")
    return put_aside


async def _quarantine(gateway: Gateway, since: datetime | None, cursor: str | None, limit: int) -> dict[str, Any]:
    behind = _uuid(cursor) if cursor else None
    if cursor and behind is None:
        raise InvalidRequest("cursor", "is not one of this list")
    async with unavailable_when_down():
        found = await notice_views.quarantined(gateway.world.pool, since, behind, limit + 1)
    shown = [shapes.quarantined(view) for view in found[:limit]]
    return {"notices": shown, "next_cursor": shown[-1]["id"] if len(found) > limit else None}


def _cursor(view: NoticeView) -> str:
    return f"{view.received_at.isoformat().replace('+00:00', 'Z')}/{view.id.event_id}"


def _place(cursor: str | None) -> Place | None:
    """Return where a cursor points.

    Raises:
        InvalidRequest: it is none of ours.
    """
    if cursor is None:
        return None
    moment, _, event_id = cursor.partition("/")
    try:
        received_at = datetime.fromisoformat(moment) if event_id else None
    except ValueError:
        received_at = None
    if received_at is None or received_at.tzinfo is None:
        raise InvalidRequest("cursor", "is not one of this list")
    return Place(received_at, event_id)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _masked(body: bytes | None) -> Any:
    """Return a body fit to be shown; None where it is gone, or cannot be read and so not be masked either."""
    try:
        return masked(decode_object(body, keep_nul=True)) if body is not None else None
    except NotDecodable:
        return None
