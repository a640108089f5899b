"""What else is asked of the processor about a payment it knows: claim │ call │ record, the same for each kind.

As in `authorize`; what is sent is not an attempt but an operation on the attempt's payment. `capture` and `void` say
what they ask for, and what a payment makes of the answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM, KEY_LIFE, MOST_NUMBERED
from counterfoil.domain.verdict import Verdict
from counterfoil.processors.port import Processor
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import PROCESSOR_CALLS
from counterfoil.runtime.retry import again_on
from counterfoil.store import operations, payments
from counterfoil.store.operations import Kind, Operation, Sent
from counterfoil.store.payment_rows import Claim
from counterfoil.store.pool import RIVALRY, Connection, Pool, unavailable_when_down


@dataclass(frozen=True, slots=True)
class Intended:
    """What is to be asked about an attempt of a payment, and how much is to be taken, in minor units.

    ``request`` makes the request with that number: another one, under another key, where the last changed nothing.
    """

    payment_id: UUID
    kind: Kind
    attempt: int
    request: Callable[[int], Request]
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """An operation we hold the claim to."""

    operation: Operation
    claim: Claim

    @property
    def payment_id(self) -> UUID:
        """The payment it is about."""
        return self.operation.payment_id


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment of which something was asked; ``claimed`` is what whoever asked must now send, if anything."""

    payment: Payment
    claimed: Claimed | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What the processor said to an operation."""

    claimed: Claimed
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Manner:
    """How what was said is taken; ``step`` is who says so where it raises an alarm.

    ``hear`` returns the payment after a verdict on the attempt with that number. ``settles`` tells a definite answer:
    the same key would only give it again.
    """

    step: str
    hear: Callable[[Payment, int, Verdict, datetime], Advance]
    settles: Callable[[Verdict], bool]


async def take(
    connection: Connection,
    intended: Sequence[Intended],
    before: Mapping[UUID, Sent],
    owner: str,
    now: datetime,
) -> list[Claimed]:
    """Put on record what is about to be sent for locked payments, claimed by its owner.

    The same request goes again under the same key until it is answered, while that is young enough; after that another
    one. ``before`` holds what was sent last, for each payment that has it.
    """
    wanted = [_operation(one, before.get(one.payment_id), now) for one in intended]
    claims = await operations.claim(connection, wanted, owner, now, now + CLAIM)
    return [Claimed(one, claims[one.payment_id]) for one in wanted]


async def call(processor: Processor, claimed: Claimed, clock: Clock) -> Heard:
    """Send the operation, while the claim lasts, and return what was heard. Holds no transaction and no connection."""
    operation, claim = claimed.operation, claimed.claim
    verdict = await processor.send(operation.request, again=True, may_send=lambda: clock.now() < claim.expires_at)
    PROCESSOR_CALLS.labels(operation.kind.value, verdict.outcome.value).inc()
    return Heard(claimed, verdict)


async def record(pool: Pool, ids: Ids, manner: Manner, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    """Record what was heard, in one transaction; return, in order, how each payment stands after it.

    What another process has taken over since changes nothing.

    Raises:
        Unavailable: the store does not answer. Once the claim expires the operation is sent again.
    """
    async with unavailable_when_down():
        return await again_on(RIVALRY, lambda: _record(pool, ids, manner, heard, now))


async def _record(pool: Pool, ids: Ids, manner: Manner, heard: Sequence[Heard], now: datetime) -> list[Payment]:
    said = {one.claimed.payment_id: one for one in heard}
    ended = [(one.claimed.operation, one.claimed.claim, manner.settles(one.verdict)) for one in heard]
    async with pool.acquire() as connection, connection.transaction():
        held = await payments.lock(connection, said)
        moved: dict[UUID, Advance] = {}
        for payment_id in await operations.settle(connection, ended, now):
            number, verdict = said[payment_id].claimed.operation.attempt, said[payment_id].verdict
            moved[payment_id] = manner.hear(held[payment_id].payment, number, verdict, now)
        await payments.write(connection, list(moved.values()), ids, now)
    for payment_id, advance in moved.items():
        if advance.alarm is not None:
            alarm(manner.step, "alarm", payment_id=str(payment_id), why=advance.alarm)
    return [moved[one].payment if one in moved else held[one].payment for one in said]


def _operation(intended: Intended, before: Sent | None, now: datetime) -> Operation:
    stands = before is not None and not before.settled and before.amount == intended.amount
    if before is not None and stands and now - before.first_sent_at < KEY_LIFE:
        number, request = before.number, before.request
    else:
        number = min(before.number + 1, MOST_NUMBERED) if before is not None else 1
        request = intended.request(number)
    return Operation(intended.payment_id, intended.kind, number, intended.attempt, request, intended.amount)
