"""Webhook deliveries in the store. The typed side of ``sql/notices.sql``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Any, Final
from uuid import UUID

from counterfoil.runtime.ids import Ids
from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

CHANNEL: Final = "counterfoil_notices"
"""Notified whenever a notice is kept; see ``schema.sql``."""

_SQL: Final = queries.load("notices")


@unique
class NoticeState(StrEnum):
    """What became of a notice."""

    KEPT = "kept"  # waits to be read
    DONE = "done"
    FOREIGN = "foreign"  # about something none of ours
    PARKED = "parked"  # a person should look, or its owner is still to come


@dataclass(frozen=True, slots=True, order=True)
class NoticeId:
    """Which event of whom. ``account`` is empty for our own account."""

    account: str
    livemode: bool
    event_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery, verified and known to be an event; ``body`` as it came. ``count`` folds equal deliveries."""

    id: NoticeId
    type: str
    object_id: str | None
    body: bytes
    count: int = 1


@dataclass(frozen=True, slots=True)
class KeptNotice:
    """What the store holds for a delivery: the first one's type and object, and whether this was the first."""

    id: NoticeId
    type: str
    object_id: str | None
    new: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A delivery whose signature is good and which is no event."""

    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """A notice taken to be read; ``body`` is None once its partition was dropped.

    ``payment_id`` is set where it was read before, and named a payment then.
    """

    id: NoticeId
    type: str
    tries: int
    payment_id: UUID | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a notice that was taken; ``next_try_at`` only where it is to be taken again.

    One that ``awaits_payment`` is parked until the payment of that id is here.
    """

    id: NoticeId
    state: NoticeState
    reason: str | None = None
    payment_id: UUID | None = None
    next_try_at: datetime | None = None
    awaits_payment: bool = False


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Where one stands among the notices that wait for their payments, in the order of these two."""

    payment_id: UUID
    event_id: str


@dataclass(frozen=True, slots=True)
class LookedThrough:
    """How many of those that wait for their payments were looked through, to which, and how many need not wait more."""

    count: int
    claimed: int
    last: Awaiting | None


@dataclass(frozen=True, slots=True)
class Parked:
    """How many notices are parked, for their payments or for a person, and when the oldest of each came."""

    for_payment: int
    oldest_for_payment: datetime | None
    for_person: int
    oldest_for_person: datetime | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many notices wait to be read, and when the oldest of them came."""

    waiting: int
    oldest: datetime | None


async def keep(connection: Connection, deliveries: Sequence[Delivery], now: datetime) -> dict[NoticeId, KeptNotice]:
    """Keep deliveries, at most one for each id; return what is now held for each."""
    records = await connection.fetch(
        _SQL.keep,
        *_ids([delivery.id for delivery in deliveries]),
        [delivery.type for delivery in deliveries],
        [delivery.object_id for delivery in deliveries],
        [delivery.count for delivery in deliveries],
        [delivery.body for delivery in deliveries],
        now,
        now.date(),
    )
    kept = [KeptNotice(_id(record), record["type"], record["object_id"], record["new"]) for record in records]
    return {notice.id: notice for notice in kept}


async def quarantine(connection: Connection, found: Sequence[Unreadable], ids: Ids, now: datetime) -> None:
    """Keep what was signed but is no event."""
    await connection.execute(
        _SQL.quarantine,
        [ids.new() for _ in found],
        [unreadable.reason for unreadable in found],
        [unreadable.body for unreadable in found],
        now,
    )


async def take(connection: Connection, now: datetime, most: int) -> list[Taken]:
    """Return up to ``most`` notices that wait to be read, held until the transaction ends."""
    records = await connection.fetch(_SQL.take, now, most)
    return [_taken(record) for record in records]


async def take_these(connection: Connection, wanted: Sequence[NoticeId], now: datetime) -> list[Taken]:
    """Return those of the wanted notices that still wait and that nobody else holds, held likewise."""
    records = await connection.fetch(_SQL.take_these, *_ids(wanted), now)
    return [_taken(record) for record in records]


async def take_one(connection: Connection, wanted: NoticeId) -> Taken | None:
    """Return a notice, whatever became of it before, held until the transaction ends; None where there is none."""
    record = await connection.fetchrow(_SQL.take_one, wanted.account, wanted.livemode, wanted.event_id)
    return _taken(record) if record is not None else None


async def put_back(connection: Connection | Pool, wanted: NoticeId, now: datetime) -> bool | None:
    """Let a notice be read again, where there is something to read or a payment to ask about.

    Returns whether its body is kept; None where it was left as it is, or is not there.
    """
    record = await connection.fetchrow(_SQL.put_back, wanted.account, wanted.livemode, wanted.event_id, now)
    return record["body_kept"] if record is not None else None


async def settle(connection: Connection, settled: Sequence[Settled], now: datetime) -> None:
    """Say what became of notices taken in this transaction."""
    await connection.execute(
        _SQL.settle,
        *_ids([one.id for one in settled]),
        [one.state.value for one in settled],
        [one.reason for one in settled],
        [one.payment_id for one in settled],
        [one.next_try_at for one in settled],
        [one.awaits_payment for one in settled],
        now,
    )


async def claim_owned(
    connection: Connection | Pool, behind: Awaiting | None, most: int, now: datetime
) -> LookedThrough:
    """Look through up to ``most`` notices that wait for their payments; let those be read whose payment is here."""
    record = await connection.fetchrow(
        _SQL.claim_owned, behind.payment_id if behind else None, behind.event_id if behind else None, most, now
    )
    if record is None:
        return LookedThrough(0, 0, None)
    return LookedThrough(record["looked"], record["claimed"], Awaiting(record["payment_id"], record["event_id"]))


async def backlog(connection: Connection) -> Backlog:
    """Return how far behind the reading of notices is."""
    record = await connection.fetchrow(_SQL.backlog)
    assert record is not None
    return Backlog(record["waiting"], record["oldest"])


async def parked(connection: Connection) -> Parked:
    """Return what is parked."""
    record = await connection.fetchrow(_SQL.parked)
    assert record is not None
    return Parked(*record.values())


def _ids(ids: Sequence[NoticeId]) -> tuple[list[str], list[bool], list[str]]:
    return [one.account for one in ids], [one.livemode for one in ids], [one.event_id for one in ids]


def _taken(record: Any) -> Taken:
    return Taken(_id(record), record["type"], record["tries"], record["payment_id"], record["body"])


def _id(record: Any) -> NoticeId:
    return NoticeId(record["account"], record["livemode"], record["event_id"])
