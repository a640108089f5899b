"""Our side of what the processor lists, read for comparing. The typed side of ``sql/ledger.sql``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.comparing import Ledger, TheirDispute, TheirPayment, TheirRefund, Theirs
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Refund, RefundState
from counterfoil.store import disputes, payments, queries, restores
from counterfoil.store.payment_rows import Held
from counterfoil.store.pool import Connection

_SQL: Final = queries.load("ledger")


async def read(connection: Connection, shown: Sequence[Theirs], now: datetime) -> Ledger:
    """Return what we have of the payments, refunds and disputes that these things are about; nothing is locked."""
    named = {one.name: one.payment_id for one in shown if isinstance(one, TheirPayment)}
    others = [one for one in shown if not isinstance(one, TheirPayment)]
    asked = [_names(one) for one in others]
    found = await payments.owners(connection, asked) if asked else []
    owners = named | {one.name: owner for one, owner in zip(others, found, strict=True) if owner is not None}
    held = await payments.read(connection, set(owners.values()))
    theirs = [one for one in others if isinstance(one, TheirRefund)]
    known = await disputes.of_payments(connection, held) if len(theirs) < len(others) else {}
    return Ledger(
        owners=owners,
        payments={payment_id: one.payment for payment_id, one in held.items()},
        in_hand=frozenset(payment_id for payment_id, one in held.items() if _is_in_hand(one, now)),
        refunds=await _refunds(connection, theirs) if theirs else {},
        disputes={one.id: one for found in known.values() for one in found},
        restored=await restores.current(connection) is not None,
    )


async def _refunds(connection: Connection, shown: Sequence[TheirRefund]) -> dict[str, Refund]:
    """Return our refunds by the processor's names for them: known by that, or by the id of ours that it carries."""
    ids = [one.refund_id for one in shown if one.refund_id is not None]
    records = await connection.fetch(_SQL.refunds_named, [one.name for one in shown], ids)
    found = [
        Refund(
            record["id"],
            Money(record["amount"], record["currency"]),
            RefundState(record["state"]),
            record["processor_id"],
        )
        for record in records
    ]
    by_name = {one.processor_id: one for one in found if one.processor_id is not None}
    unnamed = {one.id: one for one in found if one.processor_id is None}
    pairs = [(one.name, by_name.get(one.name) or unnamed.get(one.refund_id or _NOBODY)) for one in shown]
    return {name: ours for name, ours in pairs if ours is not None}


def _names(thing: TheirRefund | TheirDispute) -> tuple[UUID | None, str | None, str | None]:
    if isinstance(thing, TheirRefund):
        return thing.payment_id, thing.intent_id, thing.charge_id
    return None, thing.intent_id, thing.dispute.charge_id


def _is_in_hand(held: Held, now: datetime) -> bool:
    """Return whether somebody is waiting for the processor's answer to the last attempt right now."""
    until = held.kept[-1].claim_expires_at if held.kept else None
    return until is not None and until > now


_NOBODY: Final = UUID(int=0)
