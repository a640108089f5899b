"""What follows from a payment's end is carried out: claim, call, record, and no transaction across the network.

What the stock is asked for is a fact and goes its own way (`announce`); it is said with the end or, where a state
machine drives the payment, here. And here customers are told. An effect is put on record with the end that it follows
from (`store.payments.write`), so there is one of it whoever brought the end. It is carried out at least once: where a
process dies between the mail server's word and our record, the same letter goes again, with the same Message-ID.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.effects import (
    CLAIM,
    DIRECTIONS,
    MOST_TRIES,
    EffectState,
    Outcome,
    Standing,
    Told,
    after_try,
    ask_of_stock,
    needless,
)
from counterfoil.mail.courier import Courier
from counterfoil.mail.letters import UnusableAddressError, Writer
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import EFFECTS
from counterfoil.runtime.retry import again_on
from counterfoil.store import effects, payments, task_tokens
from counterfoil.store.effects import Errand
from counterfoil.store.pool import RIVALRY, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 10
"""Letters that one worker has under way; mail servers limit the connections of one client to about as many."""


@dataclass(frozen=True, slots=True)
class Post:
    """How letters are written, and who takes them away."""

    writer: Writer
    courier: Courier


@dataclass(frozen=True, slots=True)
class Tried:
    """An errand, and what came of this try of it."""

    errand: Errand
    told: Told


async def claim_due(pool: Pool, owner: str, now: datetime, most: int = MOST_AT_ONCE) -> list[Errand]:
    """Claim up to ``most`` effects whose time has come; return what is to be told to whom.

    Raises:
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        return await effects.claim(connection, owner, now, now + CLAIM, most)


async def call(post: Post | None, errand: Errand, clock: Clock) -> Tried:
    """Tell the customer, while the claim lasts, and return what came of it. Holds no transaction, no connection.

    Without a ``post`` nobody is told, and there is nothing to try again. To say what the stock is asked for is part of
    the record.
    """
    if errand.kind in DIRECTIONS:
        return Tried(errand, Told(Outcome.ACCEPTED))
    return Tried(errand, await _tell(post, errand, clock))


async def _tell(post: Post | None, errand: Errand, clock: Clock) -> Told:
    occasion = errand.occasion
    if occasion is None:
        return Told(Outcome.NEEDLESS, "no address")
    nothing = needless(occasion)
    if nothing is not None:
        return nothing
    if post is None:
        return Told(Outcome.NEEDLESS, "no SMTP_URL")
    if errand.tries > MOST_TRIES:  # whoever claimed it before never came back to say why
        return Told(Outcome.REFUSED, "its tries never came to an end")
    try:
        letter = post.writer.letter(occasion)
    except UnusableAddressError:
        return Told(Outcome.NEEDLESS, "no address that a letter could go to")
    return await post.courier.deliver(letter, lambda: clock.now() < errand.claim.expires_at)


async def record(pool: Pool, ids: Ids, tried: Sequence[Tried], now: datetime) -> None:
    """Record what came of tries, in one transaction; what another process has taken over since changes nothing.

    Raises:
        Unavailable: the store does not answer. Once the claims expire the same is tried again.
    """
    standings = [(one.errand, after_try(one.errand.tries, one.told, now)) for one in tried]
    async with unavailable_when_down():
        await again_on(RIVALRY, lambda: _record(pool, ids, standings, now))


async def _record(pool: Pool, ids: Ids, standings: Sequence[tuple[Errand, Standing]], now: datetime) -> None:
    asking = [errand for errand, _ in standings if errand.kind in DIRECTIONS]
    async with pool.acquire() as connection, connection.transaction():
        # All of them, for a machine may be asking for one in this moment, and then has to be woken here.
        held = await payments.lock(connection, {errand.payment_id for errand, _ in standings})
        ours = await effects.settle(connection, standings, now)
        wanted: dict[UUID, list[Errand]] = {}
        for errand in asking:
            if (errand.payment_id, errand.kind) in ours:
                wanted.setdefault(errand.payment_id, []).append(errand)
        asked = [
            ask_of_stock(held[key].payment, [one.kind for one in errands], errands[0].items, now)
            for key, errands in wanted.items()
        ]
        await payments.write(connection, asked, ids, now)
        await task_tokens.wake_followers(connection, {payment_id for payment_id, _ in ours}, now)
    for errand, standing in standings:
        if (errand.payment_id, errand.kind) not in ours:
            continue
        EFFECTS.labels(errand.kind.value, standing.state.value).inc()
        if standing.state is EffectState.PARKED:
            alarm("fulfil", "parked", payment_id=str(errand.payment_id), effect=errand.kind.value, why=standing.reason)
