"""What one process makes of the shared budget: charges hardly wait, questions give way, no charge is ever stopped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
from tests import told
from tests.stage import becomes

from counterfoil import config
from counterfoil.domain.errors import Unavailable
from counterfoil.processors.port import Priority
from counterfoil.roles.processor import limit_of
from counterfoil.roles.rationing import Rationing, terms_of
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.store import budget
from counterfoil.store.budget import Account, Wanted
from counterfoil.store.pool import Pool, open_pool

ACCOUNT = Account("", livemode=False)
SLOW, FAST = terms_of(25), terms_of(10_000)
SILENT = "postgresql://127.0.0.1:9/none"

Make = Callable[..., Rationing]


@pytest.fixture
async def make(pool: Pool) -> AsyncIterator[Make]:
    """Makes one process's part of the budget."""
    made = []

    def one(**changes: object) -> Rationing:
        arguments = {"pool": pool, "clock": SystemClock(), "account": ACCOUNT, "terms": FAST, **changes}
        made.append(Rationing(**arguments))  # type: ignore[arg-type]  # as the test names them
        return made[-1]

    yield one
    for rationing in made:
        await rationing.close()


async def drained(pool: Pool) -> None:
    """Take all there is, and let nothing come for a minute, by the server's clock."""
    await budget.lease(pool, ACCOUNT, SLOW, Wanted())
    await pool.execute("UPDATE rate_budgets SET tokens = 0, refilled_at = clock_timestamp() + interval '1 min'")


async def outcome(taking: Awaitable[None]) -> str:
    try:
        await taking
    except Unavailable:
        return "refused"
    return "went"


async def test_many_calls_at_once_are_granted_together(pool: Pool, make: Make) -> None:
    """Three hundred charges that come in one moment all go; the store is asked a few times and not three hundred."""
    rationing = make()
    before = await pool.fetchval("SELECT txid_current()")
    await asyncio.gather(*(rationing.take(Priority.CHARGE) for _ in range(300)))
    assert await pool.fetchval("SELECT txid_current()") - before < 30


async def test_a_stream_of_charges_finds_tokens_taken_ahead(pool: Pool, make: Make) -> None:
    """After a few have come close together, the next finds its token in the process: it goes without a question."""
    rationing = make(clock=told.Clock())  # on which tokens do not grow old
    await budget.lease(pool, ACCOUNT, FAST, Wanted())
    await pool.execute("UPDATE rate_budgets SET refilled_at = refilled_at - interval '1 min'")
    await asyncio.gather(*(rationing.take(Priority.CHARGE) for _ in range(50)))

    async def held() -> int:
        return len(rationing._ready[Priority.CHARGE])

    await becomes(lambda count: count > 0, held)
    await drained(pool)

    taking = rationing.take(Priority.CHARGE)
    with pytest.raises(StopIteration):  # it has gone at its first step, and waited for nothing
        taking.send(None)


async def test_a_charge_goes_in_the_end_and_a_question_is_put_off(pool: Pool, make: Make) -> None:
    """Nothing is left for a minute: a charge waits for its moment only, and is counted; a question waits on."""
    await drained(pool)
    rationing = make(terms=SLOW, charge_seconds=0.2)
    question = asyncio.create_task(rationing.take(Priority.LOOK_UP))
    before = REGISTRY.get_sample_value("counterfoil_budget_overdrawn_total")

    assert await outcome(rationing.take(Priority.CHARGE)) == "went"
    assert before is not None
    assert (question.done(), REGISTRY.get_sample_value("counterfoil_budget_overdrawn_total")) == (False, before + 1)
    question.cancel()


async def test_a_question_that_waited_in_vain_is_refused(pool: Pool, make: Make) -> None:
    """Its step hears that the processor was not to be had, as if it were silent, and asks another time."""
    await drained(pool)
    rationing = make(terms=SLOW, question_seconds=0.1)
    asked = [outcome(rationing.take(priority)) for priority in (Priority.LOOK_UP, Priority.CATCH_UP)]
    assert await asyncio.gather(*asked) == ["refused", "refused"]


async def test_a_store_that_does_not_answer_stops_no_charge() -> None:
    """It goes as soon as that is known, without its whole patience; a question is not asked at the processor."""
    async with open_pool(SILENT, name="test", largest=1) as away:
        rationing = Rationing(away, SystemClock(), ACCOUNT, SLOW, charge_seconds=3600, question_seconds=0.1)
        assert await outcome(rationing.take(Priority.CHARGE)) == "went"
        assert await outcome(rationing.take(Priority.LOOK_UP)) == "refused"
        await rationing.close()


async def test_a_refusal_for_too_many_calls_empties_the_budget(pool: Pool, make: Make) -> None:
    """For a moment, and for every process; only where it is about all calls of the account."""
    rationing = make()
    await rationing.take(Priority.CHARGE)
    ahead = partial(pool.fetchval, "SELECT refilled_at > clock_timestamp() FROM rate_budgets")

    rationing.note_refusal("endpoint-rate")
    of_an_endpoint = list(rationing._tasks)
    rationing.note_refusal("global-rate")

    assert of_an_endpoint == ["lease"]
    assert await becomes(bool, ahead)


def test_refusals_are_counted_by_their_reason() -> None:
    """So that a limit that is too low is seen, and which one it is."""
    rationing = Rationing(open_pool, SystemClock(), ACCOUNT, SLOW)  # type: ignore[arg-type]  # it is not asked
    count = partial(REGISTRY.get_sample_value, "counterfoil_rate_limited_total", {"reason": "endpoint-rate"})
    before = count() or 0
    rationing.note_refusal("endpoint-rate")
    assert count() == before + 1


@pytest.mark.parametrize(
    ("environ", "limit"),
    [
        ({}, 25),
        ({"MODE": "live"}, 100),
        ({"STRIPE_RATE_LIMIT": "400"}, 400),
        ({"STRIPE_API_BASE": "http://127.0.0.1:12111"}, None),
        ({"STRIPE_API_BASE": "http://127.0.0.1:12111", "STRIPE_RATE_LIMIT": "25"}, 25),
    ],
)
def test_the_limit_is_stripes_own_unless_it_is_set(environ: dict[str, str], limit: int | None) -> None:
    """What listens elsewhere has none unless it is set."""
    assert limit_of(config.load(environ, None)) == limit
