"""While a credential is paused nothing that would be sent or asked with it is taken, and only that."""

from collections.abc import Sequence
from datetime import timedelta

from tests.orders import order
from tests.told import Clock

from counterfoil.domain.acting import accept
from counterfoil.domain.hearing import hear
from counterfoil.domain.payment import Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import ACTION_LIFE, KEY_LIFE
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Action, Cause, Source, Verdict
from counterfoil.runtime.ids import Ids
from counterfoil.store import pauses, payments
from counterfoil.store.pauses import Pause
from counterfoil.store.payment_rows import Arrival, Claim
from counterfoil.store.pool import Pool

OLD, NEW = "digest of the old key", "digest of the new one"
LATER = timedelta(seconds=30)


async def begin(pool: Pool, clock: Clock, credential: str = OLD, reason: str = "refused") -> bool:
    async with pool.acquire() as connection:
        return await pauses.begin(connection, credential, reason, clock.now(), clock.now() + LATER)


async def take_probe(pool: Pool, clock: Clock, credential: str = OLD) -> bool:
    async with pool.acquire() as connection:
        return await pauses.take_probe(connection, credential, clock.now(), clock.now() + LATER)


async def test_a_pause_begins_once(pool: Pool, clock: Clock) -> None:
    """Who comes second is told that it is paused already; since when and why stays as the first one said."""
    since = clock.now()
    first = await begin(pool, clock)
    clock.advance(LATER)
    second = await begin(pool, clock, reason="refused again")
    assert (first, second, await pauses.current(pool, OLD)) == (True, False, Pause(since, "refused"))


async def test_each_turn_to_probe_is_one_process_alone(pool: Pool, clock: Clock) -> None:
    """Not before its time; then for whoever comes first, and for nobody else until the next time."""
    await begin(pool, clock)
    early = await take_probe(pool, clock)
    clock.advance(LATER)
    turns = [await take_probe(pool, clock) for _ in range(2)]
    clock.advance(LATER)
    assert (early, turns, await take_probe(pool, clock)) == (False, [True, False], True)


async def test_what_is_not_paused_is_not_probed(pool: Pool, clock: Clock) -> None:
    """Nor is it finished."""
    await begin(pool, clock)
    clock.advance(LATER)
    assert await take_probe(pool, clock, NEW) is False
    async with pool.acquire() as connection:
        assert await pauses.finish(connection, NEW) is None


async def test_it_ends_once_and_says_since_when_it_was(pool: Pool, clock: Clock) -> None:
    """Of two that found the key taken again, one resumes."""
    since = clock.now()
    await begin(pool, clock)
    async with pool.acquire() as connection:
        ended = [await pauses.finish(connection, OLD) for _ in range(2)]
    assert (ended, await pauses.current(pool, OLD)) == ([since, None], None)


async def test_the_oldest_pause_is_shown_while_somebody_probes_it(pool: Pool, clock: Clock) -> None:
    """Whichever key it is of; one that nobody has tried for long is of a key that nobody has any more."""
    since = clock.now()
    await begin(pool, clock, OLD)
    clock.advance(LATER)
    await begin(pool, clock, NEW)
    async with pool.acquire() as connection:
        shown = await pauses.oldest(connection, since)
        probed = await pauses.oldest(connection, since + LATER)
        left = await pauses.oldest(connection, since + 2 * LATER)
    assert (shown, probed, left) == (Pause(since, "refused"), Pause(since + LATER, "refused"), None)


async def accepted(pool: Pool, clock: Clock, ids: Ids, number: int, *, claimed: bool) -> Payment:
    """A payment in the store; claimed, as if by a gateway that has died since."""
    wished = order(number)
    payment = Payment(ids.new(), wished.order_id, wished.event_id, wished.money, clock.now())
    advance = accept(payment, claimed=claimed, now=clock.now())
    request = Request(wished.event_id, b"{}")
    async with pool.acquire() as connection:
        claim = Claim("gone", clock.now()) if claimed else None
        await payments.insert(connection, [Arrival(wished, advance, request, livemode=False, claim=claim)], ids)
    return advance.payment


async def taken(pool: Pool, clock: Clock, credential: str) -> Sequence[int]:
    """How many payments would be sent, let go and asked about with a credential."""
    now = clock.now()
    async with pool.acquire() as connection:
        send = await payments.lock_due_to_send(connection, now, 10, credential)
        let_go = await payments.lock_to_let_go(connection, now, 10, credential)
        ask = await payments.claim_due_to_ask(connection, now, now, 10, credential)
    return len(send), len(let_go), len(ask)


async def test_nothing_is_taken_with_a_paused_credential(pool: Pool, clock: Clock, ids: Ids) -> None:
    """One to be sent, one to be let go, one to be asked about: each waits, and none waits for somebody else's key."""
    waiting = await accepted(pool, clock, ids, 2, claimed=True)
    await accepted(pool, clock, ids, 3, claimed=True)
    action = Action("https://bank.example")
    asked = Verdict(AttemptHappening.ACTION, Cause(Source.ANSWER, "req_1"), "pi_2", action=action)
    async with pool.acquire() as connection:
        await payments.write(connection, [hear(waiting, 1, asked, clock.now())], ids, clock.now())
    clock.advance(max(ACTION_LIFE, KEY_LIFE))
    await accepted(pool, clock, ids, 1, claimed=False)
    await begin(pool, clock)

    assert await taken(pool, clock, OLD) == (0, 0, 0)
    assert await taken(pool, clock, NEW) == (1, 1, 1)

    async with pool.acquire() as connection:
        await pauses.finish(connection, OLD)
    assert await taken(pool, clock, OLD) == (1, 1, 1)
