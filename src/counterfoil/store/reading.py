"""What people and programs ask to see. The typed side of ``sql/reading.sql``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.payment import Dispute
from counterfoil.store import disputes, queries
from counterfoil.store.pool import Connection, Pool, Row

_SQL: Final = queries.load("reading")


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt as the API shows it."""

    number: int
    state: str
    charge_id: str | None
    decline_reason: str | None
    decline_code: str | None
    decline_message: str | None
    decline_can_retry: bool | None
    action_url: str | None
    action_expires_at: datetime | None
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    payment_method: str | None


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment as the API shows it; amounts in minor units."""

    id: UUID
    event_id: str
    order_id: str
    customer_id: str | None
    amount: int
    currency: str
    capture_method: str
    payment_method: str
    created_at: datetime
    updated_at: datetime
    state: str
    version: int
    intent_id: str | None
    amount_captured: int
    amount_to_capture: int | None
    amount_refunded: int
    disputed: bool
    hold_ends_at: datetime | None
    dispute_status: str | None
    fee: int | None
    fee_currency: str | None
    next_check_at: datetime | None
    retry_at: datetime | None
    screening_mode: str
    screening: bool
    reviewing: bool
    fraud_decision: str | None
    decide_by: datetime | None
    attempts: tuple[AttemptView, ...]
    disputes: tuple[Dispute, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which payments to show; None is any. Those ``under_review`` are shown in whatever state."""

    state: str | None = None
    order_id: str | None = None
    customer_id: str | None = None
    under_review: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a payment's timeline. ``kind`` is request, notice, check, fact, fee or task.

    Of a fee ``sequence`` is its amount, ``source`` its currency; of a task ``reference`` is the machine's execution and
    ``source`` how its token ended. ``grounds`` is JSON, of a fraud check that told any, and of a token that ended.
    """

    at: datetime
    kind: str
    name: str
    sequence: int
    reference: str
    source: str | None
    grounds: str | None = None


@dataclass(frozen=True, slots=True)
class PublishedFact:
    """A fact with its place in the order of publication; ``body`` is the message's JSON."""

    position: int
    id: UUID
    name: str
    schema_version: str
    payment_id: UUID
    version: int
    occurred_at: datetime
    body: str


async def page(
    connection: Connection | Pool,
    *,
    before: UUID | None,
    wanted: Wanted,
    most: int,
) -> list[PaymentView]:
    """Return up to ``most`` payments, newest first, those before an id where one is given."""
    filters = (before, wanted.order_id, wanted.customer_id, most)
    if wanted.under_review:
        ids = [record["id"] for record in await connection.fetch(_SQL.page_under_review, *filters)]
        records = sorted(await connection.fetch(_SQL.payment_views, ids), key=lambda one: ids.index(one["id"]))
    elif wanted.state is None:
        records = await connection.fetch(_SQL.payments_page, *filters)
    else:
        records = await connection.fetch(_SQL.payments_page_of_state, *filters, wanted.state)
    return await _whole(connection, records)


async def payment(connection: Connection | Pool, payment_id: UUID) -> PaymentView | None:
    """Return the payment of that id, if there is one."""
    found = await _whole(connection, await connection.fetch(_SQL.payment_views, [payment_id]))
    return found[0] if found else None


async def payment_of_order(connection: Connection | Pool, order_id: str) -> PaymentView | None:
    """Return the live payment of an order, else its latest, if it has any."""
    payment_id = await connection.fetchval(_SQL.payment_of_order, order_id)
    return None if payment_id is None else await payment(connection, payment_id)


async def timeline(connection: Connection | Pool, payment_id: UUID) -> list[Entry]:
    """Return what is on record about a payment, in the order it happened."""
    return [Entry(**dict(record)) for record in await connection.fetch(_SQL.timeline, payment_id)]


async def facts_after(connection: Connection | Pool, position: int, most: int) -> list[PublishedFact]:
    """Return up to ``most`` facts published after that position, in the order of position."""
    records = await connection.fetch(_SQL.facts_after, position, most)
    return [PublishedFact(*record.values()) for record in records]


async def _whole(
    connection: Connection | Pool,
    records: Sequence[Row],
) -> list[PaymentView]:
    payment_ids = [record["id"] for record in records]
    tried: dict[UUID, list[AttemptView]] = {}
    for record in await connection.fetch(_SQL.attempts_shown, payment_ids):
        payment_id, *values = record.values()
        tried.setdefault(payment_id, []).append(AttemptView(*values))
    disputed = await disputes.of_payments(connection, [record["id"] for record in records if record["disputed"]])
    return [
        PaymentView(
            **dict(record), attempts=tuple(tried.get(record["id"], ())), disputes=tuple(disputed.get(record["id"], ()))
        )
        for record in records
    ]
