"""State machines hear what became of their tasks: claim │ call │ record, and no transaction across the network.

A token is answered once. Where a process dies between the machine's word and our record, the same answer goes again,
and Step Functions refuses it as it refuses what timed out: either way nobody waits for this token any more. What its
payment still needs done is then given back to the workers, unless another token of it lives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.driving import (
    CLAIM,
    FOLLOWING_STEPS,
    OUTCOME_STEPS,
    TaskStep,
    TokenOutcome,
    TokenStanding,
    Told,
    after_answer,
    after_heartbeat,
    attempts_answered,
)
from counterfoil.domain.effects import EffectKind, EffectState
from counterfoil.domain.payment import Payment
from counterfoil.domain.states import FINAL
from counterfoil.messages.task_answer import Answer, of_effects, of_payment, record_of, refused
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.metrics import TASK_TOKENS
from counterfoil.runtime.retry import again_on
from counterfoil.store import effects, payments, task_tokens
from counterfoil.store.effects import Stand
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down
from counterfoil.store.task_tokens import TakenToken
from counterfoil.workflow.machines import Machines

MOST_AT_ONCE: Final = 20
"""Calls that one worker has under way; each holds a thread."""


@dataclass(frozen=True, slots=True)
class Report:
    """A token in hand, and its answer; None where there is nothing to say yet but that it is worked on."""

    token: TakenToken
    answer: Answer | None

    @property
    def payment_id(self) -> UUID:
        """The payment it is about; of a refused order, the token's own id."""
        return self.token.payment_id or self.token.id


@dataclass(frozen=True, slots=True)
class Heard:
    """A report, and what came of it."""

    report: Report
    told: Told


async def claim_due(pool: Pool, owner: str, now: datetime, most: int = MOST_AT_ONCE) -> list[Report]:
    """Claim up to ``most`` tokens whose time has come; return what is to be said to whom.

    Raises:
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        taken = await task_tokens.claim(connection, owner, now, now + CLAIM, most)
        wanted = {token.payment_id for token in taken if token.payment_id is not None}
        held = await payments.read(connection, wanted) if wanted else {}
        stand = await effects.standing(connection, wanted) if wanted else {}
    return [
        Report(token, refused(token.refusal))
        if token.refusal is not None or token.payment_id is None
        else Report(token, _answer(token, held[token.payment_id].payment, stand.get(token.payment_id, {})))
        for token in taken
    ]


def _answer(token: TakenToken, payment: Payment, stand: Mapping[EffectKind, Stand]) -> Answer | None:
    """Return what a machine is told of a payment as it stands; None where its step has not come to its end."""
    if token.step in OUTCOME_STEPS:
        answered = attempts_answered(payment)
        waits = answered is None or token.attempt is None or token.attempt > answered
        return None if waits else of_payment(payment)
    if token.step is TaskStep.RECORD:
        return record_of(payment)
    followed = [stand[kind] for kind in FOLLOWING_STEPS[token.step] if kind in stand]
    if payment.state not in FINAL or any(state is EffectState.WAITING for state, _ in followed):
        return None
    return of_effects(payment, token.step, followed)


async def call(machines: Machines, report: Report) -> Heard:
    """Tell the machine, while the claim lasts, and return what came of it. Holds no transaction, no connection."""
    token = report.token.token
    told = await (machines.heartbeat(token) if report.answer is None else machines.answer(token, report.answer))
    return Heard(report, told)


async def record(pool: Pool, heard: Sequence[Heard], now: datetime) -> None:
    """Record what came of it, in one transaction; what another process has taken over since changes nothing.

    Raises:
        Unavailable: the store does not answer. Once the claims expire the same is said again.
    """
    standings = [(one, _standing(one, now)) for one in heard]
    async with unavailable_when_down():
        ours = await again_on(RIVALRY, lambda: _record(pool, standings, now))
    for one, standing in standings:
        token = one.report.token
        if token.id not in ours or standing.outcome is None:
            continue
        TASK_TOKENS.labels(token.step.value, standing.outcome.value).inc()
        if standing.outcome is TokenOutcome.PARKED:
            about = str(one.report.payment_id)
            alarm("report", "parked", payment_id=about, step=token.step.value, why=standing.reason)


def _standing(heard: Heard, now: datetime) -> TokenStanding:
    token, answer = heard.report.token, heard.report.answer
    if answer is None:
        return after_heartbeat(token.failures, token.heartbeat_seconds, heard.told, now)
    return after_answer(token.failures, heard.told, now, was_failure=answer.error is not None)


async def _record(pool: Pool, standings: Sequence[tuple[Heard, TokenStanding]], now: datetime) -> set[UUID]:
    left = [one.report.token for one, standing in standings if standing.outcome in _UNHEARD]
    async with pool.acquire() as connection, connection.transaction():
        about = {token.payment_id for token in left if token.payment_id is not None}
        if about:
            await payments.lock(connection, about)
        ours = await task_tokens.settle(connection, [(one.report.token, stands) for one, stands in standings], now)
        if about:
            given = await task_tokens.give_back(connection, about, now)
            await effects.call_for_all(connection, given, now)
    return ours


_UNHEARD: Final = frozenset({TokenOutcome.DEAD, TokenOutcome.PARKED})
"""Where a machine does not hear of its task: who else would do what is left?"""
