"""What follows from a payment's end. The typed side of ``sql/effects.sql``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from counterfoil.domain.effects import (
    Effect,
    EffectKind,
    EffectState,
    Occasion,
    Standing,
    Wherewith,
    ends,
    follow,
    may_try_again,
)
from counterfoil.domain.money import Money
from counterfoil.domain.order import Item
from counterfoil.domain.payment import Advance
from counterfoil.domain.states import PaymentState
from counterfoil.store import queries
from counterfoil.store.payment_rows import Claim
from counterfoil.store.pool import Connection, Pool, Row

_SQL: Final = queries.load("effects")

Stand: TypeAlias = tuple[EffectState, str | None]
"""How an effect stands, and why."""


@dataclass(frozen=True, slots=True)
class Errand:
    """An effect we hold the claim to: the so-manieth try, and what is to be told, or which items it is about.

    ``occasion`` is None where the payment has no address any more.
    """

    payment_id: UUID
    kind: EffectKind
    tries: int
    claim: Claim
    occasion: Occasion | None
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class EffectView:
    """An effect as people see it."""

    payment_id: UUID
    kind: str
    state: str
    reason: str | None
    tries: int
    next_try_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class WayBack:
    """A payment as its customer finds it who comes by the link of a letter; ``url`` is where the order sends them."""

    state: PaymentState
    order_id: str
    url: str | None
    may_try_again: bool


async def begin(connection: Connection, advances: Sequence[Advance], now: datetime) -> list[Advance]:
    """Put on record what follows from these advances; return them with what the stock is asked for said too.

    Belongs to the transaction that holds the payments' locks and writes the advances: so it happens once, whichever of
    an answer, a notice and a look-up brought the end.
    """
    ending = [advance.payment.id for advance in advances if ends(advance)]
    if not ending:
        return list(advances)
    known = {record["id"]: _wherewith(record) for record in await connection.fetch(_SQL.wherewith, ending)}
    followed, effects = [], list[Effect]()
    for advance in advances:
        wherewith = known.get(advance.payment.id)
        more, begun = follow(advance, wherewith) if wherewith is not None else (advance, ())
        followed.append(more)
        effects += begun
    if not effects:
        return followed
    await connection.execute(
        _SQL.begin,
        [effect.payment_id for effect in effects],
        [effect.kind.value for effect in effects],
        [effect.state.value for effect in effects],
        [effect.reason for effect in effects],
        now,
        [now + effect.wait for effect in effects],
    )
    return followed


async def claim(connection: Connection, owner: str, now: datetime, until: datetime, most: int) -> list[Errand]:
    """Claim up to ``most`` effects that are due, each for its next try."""
    records = await connection.fetch(_SQL.claim, now, most, owner, until)
    return [
        Errand(
            record["payment_id"],
            EffectKind(record["kind"]),
            record["tries"],
            Claim(owner, until, record["fence"]),
            _occasion(record),
            _items(record["items"]),
        )
        for record in records
    ]


async def call_for(connection: Connection, wanted: Sequence[tuple[UUID, EffectKind]], now: datetime) -> None:
    """Let effects be due now that wait for their first try, and for nothing else."""
    await connection.execute(
        _SQL.call_for, [payment_id for payment_id, _ in wanted], [kind.value for _, kind in wanted], now
    )


async def call_for_all(connection: Connection, payment_ids: Iterable[UUID], now: datetime) -> None:
    """Let all effects of these payments be due now that wait for their first try, and for nothing else."""
    await connection.execute(_SQL.call_for_all, list(payment_ids), now)


async def standing(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, dict[EffectKind, Stand]]:
    """Return, by payment and kind, how effects stand, and why."""
    found: dict[UUID, dict[EffectKind, Stand]] = {}
    for record in await connection.fetch(_SQL.standing, list(payment_ids)):
        kinds = found.setdefault(record["payment_id"], {})
        kinds[EffectKind(record["kind"])] = (EffectState(record["state"]), record["reason"])
    return found


async def settle(
    connection: Connection,
    tried: Sequence[tuple[Errand, Standing]],
    now: datetime,
) -> set[tuple[UUID, EffectKind]]:
    """End the claims on effects, each with how it stands now; return those that were still ours."""
    records = await connection.fetch(
        _SQL.settle,
        [errand.payment_id for errand, _ in tried],
        [errand.kind.value for errand, _ in tried],
        [errand.claim.fence for errand, _ in tried],
        [standing.state.value for _, standing in tried],
        [standing.reason for _, standing in tried],
        [standing.next_try_at for _, standing in tried],
        now,
    )
    return {(record["payment_id"], EffectKind(record["kind"])) for record in records}


async def replay(connection: Connection | Pool, payment_id: UUID, kind: EffectKind, now: datetime) -> EffectView | None:
    """Let a parked effect be tried anew; None where it is not parked."""
    return _view(await connection.fetchrow(_SQL.replay, payment_id, kind.value, now))


async def drop(connection: Connection | Pool, payment_id: UUID, kind: EffectKind, now: datetime) -> EffectView | None:
    """Let a parked effect be no more; None where it is not parked."""
    return _view(await connection.fetchrow(_SQL.drop, payment_id, kind.value, now))


async def of_payment(connection: Connection | Pool, payment_id: UUID) -> list[EffectView]:
    """Return the effects of a payment, in the order they began."""
    return [EffectView(**dict(record)) for record in await connection.fetch(_SQL.effects_of, payment_id)]


async def parked(connection: Connection | Pool, after: tuple[UUID, str] | None, most: int) -> list[EffectView]:
    """Return up to ``most`` parked effects, those behind one where one is given."""
    payment_id, kind = after if after is not None else (None, None)
    return [EffectView(**dict(record)) for record in await connection.fetch(_SQL.parked, payment_id, kind, most)]


async def count_parked(connection: Connection | Pool) -> int:
    """Return how many effects wait for a person."""
    count: int = await connection.fetchval(_SQL.count_parked)
    return count


async def way_back(connection: Connection | Pool, payment_id: UUID) -> WayBack | None:
    """Return the payment that a customer comes back to, if there is one."""
    record = await connection.fetchrow(_SQL.way_back, payment_id)
    if record is None:
        return None
    state = PaymentState(record["state"])
    return WayBack(state, record["order_id"], record["return_url"], may_try_again(state, can_retry=record["can_retry"]))


def _wherewith(record: Row) -> Wherewith:
    return Wherewith(
        has_address=record["has_address"],
        items=_items(record["items"]),
        begun=frozenset(EffectKind(kind) for kind in record["begun"]),
        driven=record["driven"],
    )


def _occasion(record: Row) -> Occasion | None:
    if record["customer_email"] is None:
        return None
    state, kind = PaymentState(record["state"]), EffectKind(record["kind"])
    amount = record["amount_captured"] if kind is EffectKind.RECEIPT else record["amount"]
    return Occasion(
        payment_id=record["payment_id"],
        kind=kind,
        began_at=record["created_at"],
        state=state,
        order_id=record["order_id"],
        money=Money(amount, record["currency"]),
        items=_items(record["items"]),
        address=record["customer_email"],
        locale=record["locale"],
        may_try_again=may_try_again(state, can_retry=record["can_retry"]),
    )


def _items(text: str) -> tuple[Item, ...]:
    return tuple(Item(item["sku"], item["quantity"]) for item in json.loads(text))


def _view(record: Row | None) -> EffectView | None:
    return EffectView(**dict(record)) if record is not None else None
