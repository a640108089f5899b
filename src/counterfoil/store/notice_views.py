"""Notices as people see them. The typed side of ``sql/notice_views.sql``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.store import queries
from counterfoil.store.notices import NoticeId, NoticeState
from counterfoil.store.pool import Connection, Pool, Row

_SQL: Final = queries.load("notice_views")


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A notice, what became of it, and whether its body is still kept."""

    id: NoticeId
    type: str
    object_id: str | None
    received_at: datetime
    deliveries: int
    state: str
    reason: str | None
    payment_id: UUID | None
    awaits_payment: bool
    tries: int
    next_try_at: datetime | None
    concluded_at: datetime | None
    body_kept: bool


@dataclass(frozen=True, slots=True)
class QuarantineView:
    """Something with a good signature that is no event, without its bytes."""

    id: UUID
    received_at: datetime
    reason: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WantedNotices:
    """Which notices to show; None is any."""

    state: NoticeState | None = None
    type: str | None = None
    payment_id: UUID | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a notice stands in the order of the list, which is the latest first."""

    received_at: datetime
    event_id: str


async def page(
    connection: Connection | Pool, wanted: WantedNotices, behind: Place | None, most: int
) -> list[NoticeView]:
    """Return up to ``most`` notices, the latest first, those behind a place where one is given."""
    place = (behind.received_at, behind.event_id) if behind else (None, None)
    filters = (wanted.type, wanted.since, *place, most)
    state = wanted.state.value if wanted.state else None
    if wanted.payment_id is not None:
        records = await connection.fetch(_SQL.page_of_payment, *filters, state, wanted.payment_id)
    elif wanted.state is NoticeState.PARKED:
        records = await connection.fetch(_SQL.page_parked, *filters)
    else:
        records = await connection.fetch(_SQL.page, *filters, state)
    return _views(records)


async def quarantined(
    connection: Connection | Pool, since: datetime | None, behind: UUID | None, most: int
) -> list[QuarantineView]:
    """Return up to ``most`` of what is in quarantine, the latest first, those behind one where one is given."""
    records = await connection.fetch(_SQL.page_quarantined, since, behind, most)
    return [QuarantineView(*record.values()) for record in records]


async def of_event(
    connection: Connection | Pool, event_id: str, account: str, *, livemode: bool | None, ours: bool
) -> NoticeView | None:
    """Return the notice of an event, of the mode that is named, else of ``ours`` where both are here."""
    views = _views(await connection.fetch(_SQL.of_event, account, event_id, livemode, ours))
    return views[0] if views else None


async def quarantined_as(connection: Connection | Pool, wanted: UUID) -> QuarantineView | None:
    """Return what is in quarantine under an id."""
    record = await connection.fetchrow(_SQL.quarantined_as, wanted)
    return QuarantineView(*record.values()) if record is not None else None


async def body_of(connection: Connection | Pool, notice: NoticeId) -> bytes | None:
    """Return a notice's body, byte for byte, while it is kept."""
    body: bytes | None = await connection.fetchval(_SQL.body_of, notice.account, notice.livemode, notice.event_id)
    return body


def _views(records: Sequence[Row]) -> list[NoticeView]:
    views = []
    for record in records:
        account, livemode, event_id, *rest = record.values()
        views.append(NoticeView(NoticeId(account, livemode, event_id), *rest))
    return views
