"""A stored method that was declined is tried again by ourselves, against the sandbox and against told answers."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.journey.peer import Answer, Peer, listening
from tests.orders import Shop, claimant, order
from tests.told import Clock

from counterfoil.domain.acting import ask_soon
from counterfoil.domain.errors import Unavailable, WrongState
from counterfoil.domain.hearing import hear
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Advance, Payment
from counterfoil.domain.schedule import CLAIM, TRY_ANEW_AFTER
from counterfoil.domain.standing import settle
from counterfoil.domain.states import AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Cause, Source, Verdict
from counterfoil.journey import authorize, reconcile, renew, retry
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.ids import Ids
from counterfoil.store import pauses, payments
from counterfoil.store.pool import Pool
from stripe_sandbox.sandbox import Server

KEY = "sk_test_journey"

PAID = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "currency": "eur",
    "amount_received": 1999,
    "latest_charge": "ch_2",
}


@pytest_asyncio.fixture
async def bank() -> AsyncIterator[Peer]:
    """Stripe, answering as the test says."""
    async with listening() as listens:
        yield listens


@pytest_asyncio.fixture
async def told(pool: Pool, clock: Clock, ids: Ids, bank: Peer) -> AsyncIterator[Shop]:
    """A shop whose processor is the bank."""
    stripe = StripeProcessor("sk_test", livemode=False, api_base=bank.url)
    yield Shop(pool, clock, ids, stripe)
    await stripe.close()


def refused(charge: str = "ch_1", **said: Any) -> Answer:
    """A declined card, as Stripe says it of the intent pi_1."""
    error = {"type": "card_error", "code": "card_declined", "message": "No.", "charge": charge}
    return Answer(402, {"error": error | {"payment_intent": {"id": "pi_1", "currency": "eur"}} | said})


def stored(**changes: Any) -> Order:
    """An order that is paid with a customer's card of the older API, which needs no question at Stripe."""
    wished: dict[str, Any] = {"method": "card_1", "customer_id": "cus_1", "off_session": True}
    return order(**(wished | changes))


async def kept_at(peer: Server, http: httpx.AsyncClient) -> Order:
    """An order that is paid, without its customer, with a method that was attached to them and is always declined."""
    headers = {"Authorization": f"Bearer {KEY}"}
    customer = (await http.post(f"{peer.url}/v1/customers", headers=headers)).json()["id"]
    attach = f"{peer.url}/v1/payment_methods/pm_card_chargeCustomerFail/attach"
    method = (await http.post(attach, data={"customer": customer}, headers=headers)).json()["id"]
    return order(method=method, customer_id=customer, off_session=True)


async def try_due(shop: Shop) -> int:
    """One round of the worker: what is due becomes attempts; return how many."""
    due = await retry.take_due(shop.pool, claimant(), shop.clock.now())
    prepared = [await retry.prepare(shop.stripe, one) for one in due]
    await retry.record(shop.pool, shop.ids, prepared, shop.clock.now())
    return len(due)


async def send_due(shop: Shop) -> Payment:
    """Send the one attempt that is due."""
    (sending,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    return await shop.send(sending)


async def as_it_stands(shop: Shop, payment: Payment) -> Payment:
    async with shop.pool.acquire() as connection:
        return (await payments.read(connection, [payment.id]))[payment.id].payment


async def write(shop: Shop, advance: Advance) -> None:
    async with shop.pool.acquire() as connection, connection.transaction():
        await payments.lock(connection, [advance.payment.id])
        await payments.write(connection, [advance], shop.ids, shop.clock.now())


async def test_a_stored_card_is_charged_three_times_ten_minutes_apart(
    shop: Shop, peer: Server, http: httpx.AsyncClient
) -> None:
    """Each time on the same intent under a key of its own; each failure but the last names the next time."""
    payment = await shop.charge(await kept_at(peer, http))
    for _ in range(2):
        assert payment.retry_at == shop.clock.now() + TRY_ANEW_AFTER
        assert await try_due(shop) == 0, "it is not due yet"
        shop.clock.advance(TRY_ANEW_AFTER)
        assert await try_due(shop) == 1
        payment = await send_due(shop)
    shop.clock.advance(TRY_ANEW_AFTER)

    assert await try_due(shop) == 0
    assert (payment.state, [attempt.state for attempt in payment.attempts]) == (
        PaymentState.FAILED,
        [AttemptState.DECLINED] * 3,
    )
    sandbox = peer.sandbox
    posts = [entry for entry in sandbox.log if entry.method == "POST" and entry.path.startswith("/v1/payment_intents")]
    assert [entry.idempotency_key for entry in posts] == ["event-1", "event-1:2", "event-1:3"]
    (intent,) = sandbox.account().payment_intents
    assert {entry.path for entry in posts[1:]} == {f"/v1/payment_intents/{intent['id']}/confirm"}
    assert await shop.facts(payment) == [
        (1, "PaymentRequested", "order"),
        (2, "PaymentAttemptFailed", "answer"),
        (3, "PaymentRequested", "timer"),
        (4, "PaymentAttemptFailed", "answer"),
        (5, "PaymentRequested", "timer"),
        (6, "PaymentFailed", "answer"),
    ]


async def test_a_retry_that_succeeds_is_one_charge(told: Shop, bank: Peer) -> None:
    """Declined once, paid ten minutes later: the second attempt has the money."""
    bank.posts.extend([refused(decline_code="insufficient_funds"), Answer(200, PAID)])
    await told.charge(stored())
    told.clock.advance(TRY_ANEW_AFTER)
    await try_due(told)
    payment = await send_due(told)
    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 1999)
    assert [attempt.charge_id for attempt in payment.attempts] == ["ch_1", "ch_2"]


@pytest.mark.parametrize(
    "code",
    [
        "expired_card",
        "lost_card",
        "stolen_card",
        "pickup_card",
        "fraudulent",
        "invalid_account",
        "authentication_required",
        "incorrect_cvc",
        "revocation_of_authorization",
        "do_not_try_again",
        "a_code_of_next_year",
    ],
)
async def test_what_will_not_pass_is_never_tried_again(told: Shop, bank: Peer, code: str) -> None:
    """Expired, lost and stolen cards, fraud, and every code that Stripe does not advise to try again."""
    bank.posts.append(refused(decline_code=code))
    payment = await told.charge(stored())
    assert (payment.state, payment.retry_at) == (PaymentState.FAILED, None)


@pytest.mark.parametrize(
    "changes",
    [{"off_session": False, "return_url": "https://shop.example"}, {"customer_id": None}, {"method": "pm_card_visa"}],
    ids=["the customer is there", "no customer is named", "the method is nobody's"],
)
async def test_only_a_stored_method_without_its_customer_is(told: Shop, bank: Peer, changes: dict[str, Any]) -> None:
    """The same decline is final where any of that is missing."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    payment = await told.charge(stored(**changes))
    assert PaymentState.FAILED is payment.state


async def test_a_method_of_somebody_else_is_not_stored(shop: Shop, peer: Server, http: httpx.AsyncClient) -> None:
    """Whose a method is, is Stripe's word, not the order's."""
    wished = await kept_at(peer, http)
    request = await shop.stripe.request_for(shop.ids.new(), wished)
    other = await shop.stripe.request_for(shop.ids.new(), order(2, wished.method, customer_id="cus_2"))
    assert [shop.stripe.may_charge_again(one) for one in (request, other)] == [True, False]


async def test_the_method_of_a_linked_customer_is(told: Shop, bank: Peer) -> None:
    """Our own name for the customer says nothing to Stripe; their link does."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    payment = await told.charge(stored(customer_id="ada", processor_customer_id="cus_1"))
    assert payment.retry_at == told.clock.now() + TRY_ANEW_AFTER


async def test_two_workers_add_one_attempt(told: Shop, bank: Peer) -> None:
    """Taking is a claim that ends by itself; what both had in hand is added once."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    payment = await told.charge(stored())
    told.clock.advance(TRY_ANEW_AFTER)
    (slow,) = await retry.take_due(told.pool, claimant("slow"), told.clock.now())
    assert await retry.take_due(told.pool, claimant("other"), told.clock.now()) == []
    told.clock.advance(CLAIM)
    (quick,) = await retry.take_due(told.pool, claimant("quick"), told.clock.now())
    for due in (quick, slow):
        await retry.record(told.pool, told.ids, [await retry.prepare(told.stripe, due)], told.clock.now())
    assert len((await as_it_stands(told, payment)).attempts) == 2
    assert [name for _, name, _ in await told.facts(payment)].count("PaymentRequested") == 2


async def test_a_late_success_between_taking_and_adding_adds_nothing(told: Shop, bank: Peer) -> None:
    """A notice brings the first attempt's money while a worker prepares the second: there is none."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    payment = await told.charge(stored())
    told.clock.advance(TRY_ANEW_AFTER)
    (due,) = await retry.take_due(told.pool, claimant(), told.clock.now())
    late = Verdict(AttemptHappening.CAPTURED, Cause(Source.NOTICE, "evt_1"), "pi_1", "ch_1", amount_captured=1999)
    await write(told, hear(payment, 1, late, told.clock.now()))
    await retry.record(told.pool, told.ids, [await retry.prepare(told.stripe, due)], told.clock.now())
    now = await as_it_stands(told, payment)
    assert (now.state, len(now.attempts), now.retry_at) == (PaymentState.SUCCEEDED, 1, None)


async def test_an_order_cancelled_meanwhile_is_not_charged_again(told: Shop, bank: Peer) -> None:
    """The cancellation makes the decline final, and the worker that had it in hand adds nothing."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    payment = await told.charge(stored())
    told.clock.advance(TRY_ANEW_AFTER)
    (due,) = await retry.take_due(told.pool, claimant(), told.clock.now())
    cancelled = replace(payment, cancel_requested_at=told.clock.now())
    await write(told, settle(payment, cancelled, Cause(Source.ORDER, "cancellation"), told.clock.now()))
    await retry.record(told.pool, told.ids, [await retry.prepare(told.stripe, due)], told.clock.now())
    now = await as_it_stands(told, payment)
    assert (now.state, len(now.attempts)) == (PaymentState.FAILED, 1)
    assert (await told.facts(payment))[-1] == (3, "PaymentFailed", "order")


async def test_a_method_that_is_gone_makes_the_decline_final(shop: Shop, peer: Server, http: httpx.AsyncClient) -> None:
    """Stripe no longer knows it when the time comes: the last decline stands."""
    payment = await shop.charge(await kept_at(peer, http))
    peer.sandbox.reset()
    shop.clock.advance(TRY_ANEW_AFTER)
    later = StripeProcessor(KEY, livemode=False, api_base=peer.url)
    (due,) = await retry.take_due(shop.pool, claimant(), shop.clock.now())
    await retry.record(shop.pool, shop.ids, [await retry.prepare(later, due)], shop.clock.now())
    await later.close()
    assert await shop.state(payment) == "failed"
    assert (await shop.facts(payment))[-1] == (3, "PaymentFailed", "timer")


async def test_a_stripe_that_is_away_puts_it_off(shop: Shop, peer: Server, http: httpx.AsyncClient) -> None:
    """Whoever cannot ask of what kind the method is, leaves the payment to be taken again."""
    await shop.charge(await kept_at(peer, http))
    shop.clock.advance(TRY_ANEW_AFTER)
    (due,) = await retry.take_due(shop.pool, claimant(), shop.clock.now())
    nowhere = StripeProcessor(KEY, livemode=False, api_base="http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        await retry.prepare(nowhere, due)
    await nowhere.close()
    shop.clock.advance(CLAIM)
    assert await try_due(shop) == 1


async def test_a_payment_that_waits_for_its_retry_is_not_asked_about(told: Shop, bank: Peer) -> None:
    """Its decline is known; but a hint has it asked about, and the retry's time stays."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    payment = await told.charge(stored())
    assert await reconcile.claim_due(told.pool, claimant(), told.clock.now()) == []
    await write(told, ask_soon(payment, "pi_1", told.clock.now()))
    (trace,) = await reconcile.claim_due(told.pool, claimant(), told.clock.now())
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "charge": "ch_1"}
    bank.gets = Answer(200, PAID | {"status": "requires_payment_method", "last_payment_error": error})
    await reconcile.record(told.pool, told.ids, [await reconcile.ask(told.stripe, trace)], told.clock.now())
    after = await as_it_stands(told, payment)
    assert (after.next_check_at, after.retry_at) == (payment.retry_at, payment.retry_at)
    told.clock.advance(TRY_ANEW_AFTER)
    assert await reconcile.claim_due(told.pool, claimant(), told.clock.now()) == []
    assert await try_due(told) == 1


async def test_nothing_is_tried_again_while_our_key_is_paused(told: Shop, bank: Peer) -> None:
    """A key that Stripe refuses makes no attempt; when it is taken again, the retry is still due."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    await told.charge(stored())
    told.clock.advance(TRY_ANEW_AFTER)
    async with told.pool.acquire() as connection:
        await pauses.begin(connection, claimant().credential, "refused", told.clock.now(), told.clock.now())
    assert await try_due(told) == 0
    async with told.pool.acquire() as connection:
        await pauses.finish(connection, claimant().credential)
    assert await try_due(told) == 1


async def test_while_a_retry_is_planned_no_other_method_is_taken(told: Shop, bank: Peer) -> None:
    """Two attempts at once could both be paid: the payment is processing, and says so."""
    bank.posts.append(refused(decline_code="insufficient_funds"))
    payment = await told.charge(stored())
    with pytest.raises(WrongState) as refusal:
        await renew.find(told.pool, payment.id)
    assert refusal.value.status == "processing"


async def test_the_advice_of_the_bank_outweighs_its_code(told: Shop, bank: Peer) -> None:
    """``advice_code`` is the issuer's own word on whether to try again."""
    bank.posts.append(refused(decline_code="generic_decline", advice_code="do_not_try_again"))
    payment = await told.charge(stored())
    assert PaymentState.FAILED is payment.state
