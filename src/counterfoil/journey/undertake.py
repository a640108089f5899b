"""A state machine asks for a step of a payment: its token is put on record, and what it asks for is due now.

An order that is new comes in with `accept`, which puts its token on record in the same transaction. Here is what comes
after: the same order again with a new token, each step behind it, and what is refused. A message that comes again
brings a token that is on record, and changes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from counterfoil.domain.driving import (
    CALLED_STEPS,
    TaskStep,
    asks_for_another,
    attempt_awaited,
    attempts_answered,
    next_heartbeat,
    retry_now,
)
from counterfoil.domain.errors import LookUpOnly, NotFound
from counterfoil.domain.payment import Payment
from counterfoil.messages.task import Task
from counterfoil.messages.task_answer import problem_of
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.retry import again_on
from counterfoil.store import effects, payments, restores, task_tokens
from counterfoil.store.pool import RIVALRY, Connection, Pool, unavailable_when_down
from counterfoil.store.task_tokens import Arriving, hash_of

_NO_PAYMENT: Final = problem_of(NotFound("payment"))


async def run(pool: Pool, ids: Ids, tasks: Sequence[Task], now: datetime) -> list[LookUpOnly | None]:
    """Take in tasks of payments, in one transaction; one whose payment is not here is refused.

    What can be answered at once, because its payment has ended or its effects are done, is due to be answered. Returns
    for each task, in order, None; but LookUpOnly where its payment is not here and may be yet, since the database was
    restored: then it was not taken in.

    Raises:
        Unavailable: the store does not answer; nothing was taken in.
    """
    async with unavailable_when_down():
        return await again_on(RIVALRY, lambda: _take_in(pool, ids, tasks, now))


async def refuse(pool: Pool, ids: Ids, task: Task, problem: Mapping[str, Any], now: datetime) -> None:
    """Put on record that a task is refused, and why; its machine is told as of any other.

    Raises:
        Unavailable: the store does not answer; nothing was taken in.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        await task_tokens.take_in(connection, [Arriving(task, None, None, now, problem)], ids, now)


async def is_known(pool: Pool, task: Task) -> bool:
    """Return whether a task is on record already, however it was decided: its message has come again.

    Raises:
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down():
        return bool(await task_tokens.known(pool, [task.token]))


async def _take_in(pool: Pool, ids: Ids, tasks: Sequence[Task], now: datetime) -> list[LookUpOnly | None]:
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, {one.payment_id for one in tasks if one.payment_id is not None})
        known = await task_tokens.known(connection, [task.token for task in tasks])
        lost = [task.payment_id not in held for task in tasks]
        restoring = any(lost) and await restores.current(connection) is not None
        early = [restoring and is_lost for is_lost in lost]
        new = [task for task, waits in zip(tasks, early, strict=True) if not waits and hash_of(task.token) not in known]
        found = {payment_id: one.payment for payment_id, one in held.items()}
        arriving = [_arriving(task, found.get(task.payment_id) if task.payment_id else None, now) for task in new]
        await task_tokens.take_in(connection, arriving, ids, now)
        await _call_for(connection, ids, new, found, now)
        await task_tokens.wake_followers(connection, list(found), now)
    return [LookUpOnly() if waits else None for waits in early]


def _arriving(task: Task, payment: Payment | None, now: datetime) -> Arriving:
    if payment is None:
        return Arriving(task, None, None, now, _NO_PAYMENT)
    attempt, answered = attempt_awaited(payment, task.step, task.declined), attempts_answered(payment)
    ended = attempt is not None and answered is not None and attempt <= answered
    at_once = ended or task.step is TaskStep.RECORD
    return Arriving(task, payment.id, attempt, now if at_once else next_heartbeat(task.heartbeat_seconds, now))


async def _call_for(
    connection: Connection, ids: Ids, tasks: Sequence[Task], found: Mapping[UUID, Payment], now: datetime
) -> None:
    """Let what new tasks ask for be due: the retry that is planned, the effects that wait for their machine."""
    named = [(task.payment_id, task) for task in tasks if task.payment_id is not None]
    wanted = [(found[payment_id], task) for payment_id, task in named if payment_id in found]
    retries = [(payment, task.declined) for payment, task in wanted if task.step is TaskStep.RETRY]
    asked = {payment.id: payment for payment, declined in retries if asks_for_another(payment, declined)}
    planned = [asked[payment_id] for payment_id in sorted(asked)]
    await payments.write(connection, [retry_now(payment, now) for payment in planned], ids, now)
    called = [(payment.id, kind) for payment, task in wanted for kind in CALLED_STEPS.get(task.step, ())]
    if called:
        await effects.call_for(connection, called, now)
