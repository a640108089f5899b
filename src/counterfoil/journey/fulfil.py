"""What follows from a payment's end is carried out: claim, call, record, and no transaction across the network.

What the stock is asked for is a fact and goes its own way (`announce`); here customers are told. An effect is put on
record with the end that it follows from (`store.payments.write`), so there is one of it whoever brought the end. It is
carried out at least once: where a process dies between the mail server's word and our record, the same letter goes
again, with the same Message-ID.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.domain.effects import CLAIM, MOST_TRIES, EffectState, Outcome, Standing, Told, after_try, needless
from counterfoil.mail.courier import Courier
from counterfoil.mail.letters import UnusableAddressError, Writer
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.metrics import EFFECTS
from counterfoil.runtime.retry import again_on
from counterfoil.store import effects
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

    Without a ``post`` nobody is told, and there is nothing to try again.
    """
    occasion = errand.occasion
    if occasion is None:
        return Tried(errand, Told(Outcome.NEEDLESS, "no address"))
    nothing = needless(occasion)
    if nothing is not None:
        return Tried(errand, nothing)
    if post is None:
        return Tried(errand, Told(Outcome.NEEDLESS, "no SMTP_URL"))
    if errand.tries > MOST_TRIES:  # whoever claimed it before never came back to say why
        return Tried(errand, Told(Outcome.REFUSED, "its tries never came to an end"))
    try:
        letter = post.writer.letter(occasion)
    except UnusableAddressError:
        return Tried(errand, Told(Outcome.NEEDLESS, "no address that a letter could go to"))
    told = await post.courier.deliver(letter, lambda: clock.now() < errand.claim.expires_at)
    return Tried(errand, told)


async def record(pool: Pool, tried: Sequence[Tried], now: datetime) -> None:
    """Record what came of tries, in one transaction; what another process has taken over since changes nothing.

    Raises:
        Unavailable: the store does not answer. Once the claims expire the same is tried again.
    """
    standings = [(one.errand, after_try(one.errand.tries, one.told, now)) for one in tried]
    async with unavailable_when_down():
        await again_on(RIVALRY, lambda: _record(pool, standings, now))


async def _record(pool: Pool, standings: Sequence[tuple[Errand, Standing]], now: datetime) -> None:
    async with pool.acquire() as connection, connection.transaction():
        ours = await effects.settle(connection, standings, now)
    for errand, standing in standings:
        if (errand.payment_id, errand.kind) not in ours:
            continue
        EFFECTS.labels(errand.kind.value, standing.state.value).inc()
        if standing.state is EffectState.PARKED:
            alarm("fulfil", "parked", payment_id=str(errand.payment_id), effect=errand.kind.value, why=standing.reason)
