"""Task tokens of state machines, and which payments a machine drives. The typed side of ``sql/task_tokens.sql``."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from counterfoil.domain.driving import FOLLOWING_STEPS, TaskStep, TokenStanding
from counterfoil.domain.explanation import Asked
from counterfoil.messages.task import Task
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.secret import Secret
from counterfoil.store import queries
from counterfoil.store.payment_rows import Claim, columns
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("task_tokens")


@dataclass(frozen=True, slots=True)
class Arriving:
    """A task about to be taken in.

    ``attempt`` is the number of the attempt whose outcome it waits for, if it waits for one. What is refused
    instead of worked on has ``refusal``, and may have no payment. ``next_try_at`` is when something is to be done.
    """

    task: Task
    payment_id: UUID | None
    attempt: int | None
    next_try_at: datetime | None
    refusal: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TakenToken:
    """A token we hold the claim to; `token` is a secret."""

    id: UUID
    payment_id: UUID | None
    step: TaskStep
    token: Secret
    execution: str
    attempt: int | None
    heartbeat_seconds: int | None
    refusal: Mapping[str, Any] | None
    failures: int
    claim: Claim


@dataclass(frozen=True, slots=True)
class Driving:
    """Since when a machine drives a payment, and since when it does no more."""

    since: datetime
    given_back_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many tokens live and are parked, and when the oldest came that lives."""

    alive: int
    parked: int
    oldest: datetime | None


async def take_in(connection: Connection, arriving: Sequence[Arriving], ids: Ids, now: datetime) -> int:
    """Put tokens on record, and their payments as driven; those that are there already are left as they are.

    Returns how many were not there.
    """
    rows = [
        (
            ids.new(),
            one.payment_id,
            one.task.step.value,
            one.task.token.reveal(),
            hash_of(one.task.token),
            one.task.execution,
            one.attempt,
            one.task.heartbeat_seconds,
            json.dumps(one.refusal) if one.refusal is not None else None,
            one.next_try_at,
        )
        for one in arriving
    ]
    return len(await connection.fetch(_SQL.take_in, now, *columns(rows, 10)))


async def known(connection: Connection | Pool, tokens: Iterable[Secret]) -> set[bytes]:
    """Return the hashes of those of these tokens that are on record."""
    records = await connection.fetch(_SQL.known_hashes, [hash_of(token) for token in tokens])
    return {record["token_hash"] for record in records}


async def wake_followers(connection: Connection | Pool, payment_ids: Iterable[UUID], now: datetime) -> None:
    """Let tokens that wait for effects of these payments be answered now, where all of these have ended."""
    pairs = [(step.value, kind.value) for step, kinds in FOLLOWING_STEPS.items() for kind in kinds]
    steps, kinds = columns(pairs, 2)
    await connection.execute(_SQL.wake_followers, list(payment_ids), steps, kinds, now)


async def claim(connection: Connection, owner: str, now: datetime, until: datetime, most: int) -> list[TakenToken]:
    """Claim up to ``most`` tokens that are to be answered, or to give a sign of life."""
    return [
        TakenToken(
            record["id"],
            record["payment_id"],
            TaskStep(record["step"]),
            Secret(record["token"]),
            record["execution"],
            record["attempt"],
            record["heartbeat_seconds"],
            json.loads(record["refusal"]) if record["refusal"] is not None else None,
            record["failures"],
            Claim(owner, until, record["fence"]),
        )
        for record in await connection.fetch(_SQL.claim, now, most, owner, until)
    ]


async def settle(connection: Connection, told: Sequence[tuple[TakenToken, TokenStanding]], now: datetime) -> set[UUID]:
    """End the claims on tokens, each with how it stands now; return the ids of those that were still ours."""
    rows = [
        (
            token.id,
            token.claim.fence,
            standing.outcome.value if standing.outcome is not None else None,
            standing.reason,
            standing.next_try_at,
            standing.failures,
        )
        for token, standing in told
    ]
    return {record["id"] for record in await connection.fetch(_SQL.settle, *columns(rows, 6), now)}


async def give_back(connection: Connection, payment_ids: Iterable[UUID], now: datetime) -> set[UUID]:
    """Give those of these payments that no token lives for back to the workers; return them."""
    records = await connection.fetch(_SQL.give_back, list(payment_ids), now)
    return {record["payment_id"] for record in records}


async def driving(connection: Connection | Pool, payment_id: UUID) -> Driving | None:
    """Return how a machine stands to a payment; None where none ever drove it."""
    record = await connection.fetchrow(_SQL.driving, payment_id)
    return Driving(*record.values()) if record is not None else None


async def of_payment(connection: Connection | Pool, payment_id: UUID) -> list[Asked]:
    """Return what machines asked for of a payment in the order it came, without its tokens' text."""
    return [Asked(*record.values()) for record in await connection.fetch(_SQL.tokens_of, payment_id)]


async def waiting(connection: Connection | Pool) -> Waiting:
    """Return how many tokens wait."""
    record = await connection.fetchrow(_SQL.waiting)
    assert record is not None, "an aggregate always has a row"
    return Waiting(*record.values())


def hash_of(token: Secret) -> bytes:
    """Return by what a token is known once its text is forgotten."""
    return hashlib.sha256(token.reveal().encode()).digest()
