"""An order is cancelled, whatever its payment has come to: it ends without the money, or gives it back."""

import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from tests.journey.test_disputes import answer as give_evidence
from tests.journey.test_disputes import news_of
from tests.orders import Shop, claimant, order
from tests.refunds import Till
from tests.told import Clock

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.domain.errors import WrongState
from counterfoil.domain.order import Mandate
from counterfoil.domain.payment import CaptureMethod, Payment
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.states import PaymentState
from counterfoil.journey import authorize, cancel, operating, reconcile, renew, void
from counterfoil.journey.accept import Accepted
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.store import cancellations
from stripe_sandbox.sandbox import Sandbox, Server


@pytest.fixture
def till(shop: Shop) -> Till:
    """Gives money back."""
    return Till(shop)


async def cancelled(shop: Shop, order_id: str = "order-1") -> list[str]:
    """Cancel an order and return how its payments stand."""
    cancellation = Cancellation(order_id, CancelReason.CUSTOMER_REQUESTED, shop.clock.now())
    return [one.state.value for one in await cancel.run(shop.pool, shop.ids, cancellation, shop.clock.now())]


async def let_go(shop: Shop) -> int:
    """One round of letting go, as the worker does; return how many payments that were."""
    lettings = await void.claim_due(shop.pool, shop.ids, shop.stripe.cancellation, claimant(), shop.clock.now())
    heard = [await operating.call(shop.stripe, letting, shop.clock) for letting in lettings]
    await void.record(shop.pool, shop.ids, heard, shop.clock.now())
    return len(lettings)


async def sends_due(shop: Shop) -> int:
    """Send what is due, as the worker does; return how many attempts that were."""
    sendings = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    for sending in sendings:
        await shop.send(sending)
    return len(sendings)


async def asks_due(shop: Shop) -> None:
    """Ask about what is silent, as the worker does."""
    traces = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    heard = [await reconcile.ask(shop.stripe, trace) for trace in traces]
    await reconcile.record(shop.pool, shop.ids, heard, shop.clock.now())


async def said(shop: Shop, payment: Payment) -> list[str]:
    """The facts of a payment."""
    return [name for _, name, _ in await shop.facts(payment)]


async def why(shop: Shop, payment: Payment) -> str | None:
    """The reason that PaymentCanceled gives."""
    query = "SELECT body ->> 'reason' FROM facts WHERE name = 'PaymentCanceled' AND payment_id = $1"
    reason: str | None = await shop.pool.fetchval(query, payment.id)
    return reason


async def charges(peer: Server) -> list[dict[str, Any]]:
    """Every charge at Stripe."""
    headers = {"Authorization": "Bearer sk_test_journey"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{peer.url}/v1/charges") as answer:
        listed: list[dict[str, Any]] = (await answer.json())["data"]
    return listed


async def test_what_was_never_sent_is_canceled_and_never_sent(shop: Shop, peer: Server) -> None:
    """Queued: it ends at once, and frees its order's place."""
    payment = await shop.accepted(order(), owner=None)

    assert await cancelled(shop) == ["canceled"]

    assert (await sends_due(shop), await charges(peer)) == (0, [])
    assert (await said(shop, payment), await why(shop, payment)) == (
        ["PaymentRequested", "PaymentCanceled"],
        "ORDER_CANCELLED",
    )
    assert await shop.pool.fetchval("SELECT owns_order FROM payments") is False


async def test_what_certainly_was_not_carried_out_is_not_sent_again(shop: Shop, peer: Server) -> None:
    """Stripe was not reached: there is nothing to settle. The same where it is only heard after the cancellation."""
    nowhere = StripeProcessor("sk_test_journey", livemode=False, api_base="http://127.0.0.1:9")
    before, after = await shop.sending(order(1)), await shop.sending(order(2))
    for number, sending in ((1, before), (2, after)):
        if number == 2:
            assert await cancelled(shop, "order-2") == ["processing"]
        heard = await authorize.call(nowhere, sending, shop.clock)
        await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    await nowhere.close()
    assert await cancelled(shop, "order-1") == ["canceled"]

    shop.clock.advance(CLAIM)

    assert (await sends_due(shop), await charges(peer)) == (0, [])
    states = {row["state"] for row in await shop.pool.fetch("SELECT state FROM payments")}
    assert states == {"canceled"}


async def test_what_is_unresolved_is_settled_first_and_then_given_back(shop: Shop, till: Till, peer: Server) -> None:
    """The answer was lost: the same request goes again, the money is found taken, and its refund is made with it."""
    sending = await shop.sending(order())
    await authorize.call(shop.stripe, sending, shop.clock)
    assert await cancelled(shop) == ["processing"]

    shop.clock.advance(CLAIM)
    assert await sends_due(shop) == 1
    await till.send()

    (charge,) = await charges(peer)
    assert (charge["captured"], charge["amount_refunded"]) == (True, 1999)
    (row,) = await shop.pool.fetch("SELECT * FROM payments")
    assert (row["state"], row["amount_refunded"], row["amount_refund_reserved"]) == ("succeeded", 1999, 0)


@pytest.mark.parametrize("source", ["answer", "notice", "cancellation"])
async def test_a_late_success_is_given_back_by_whoever_hears_of_it(
    shop: Shop, till: Till, sandbox: Sandbox, source: str
) -> None:
    """In the same transaction: the success, the reservation, the refund's row and its announcement."""
    sending = await shop.sending(order(method="pm_card_threeDSecure2Required"))
    if source == "answer":
        sending = await shop.sending(order(2))
        await cancelled(shop, "order-2")
        payment = await shop.send(sending)
    else:
        payment = await shop.send(sending)
        await cancelled(shop)
        assert payment.attempts[0].action is not None
        async with aiohttp.ClientSession() as session:  # the customer was faster than our cancellation
            await session.post(payment.attempts[0].action.url, data={"outcome": "approve"}, allow_redirects=False)
        if source == "notice":
            made = [json.loads(json.dumps(one)) for one in sandbox.account().events]
            await till.deliver([one for one in made if one["type"] == "payment_intent.succeeded"])
        else:
            assert await let_go(shop) == 1

    assert await shop.state(payment) == "succeeded"
    assert (await said(shop, payment))[-2:] == ["PaymentSucceeded", "RefundRequested"]
    assert await till.totals(payment) == (1999, 0, 1999)
    await till.send()
    assert (await till.totals(payment), await till.said(payment)) == (
        (1999, 1999, 0),
        ["RefundRequested", "RefundProcessed"],
    )


@pytest.mark.parametrize(
    ("method", "capture", "state"),
    [
        ("pm_card_threeDSecure2Required", CaptureMethod.AUTOMATIC, "requires_action"),
        ("pm_card_visa", CaptureMethod.MANUAL, "authorized"),
    ],
)
async def test_what_is_held_or_waits_for_its_customer_is_let_go_at_stripe(
    shop: Shop, method: str, capture: CaptureMethod, state: str
) -> None:
    """At once, and the reason is the order's."""
    payment = await shop.charge(order(method=method, capture_method=capture))
    assert await cancelled(shop) == [state]

    assert await let_go(shop) == 1

    assert (await shop.state(payment), await why(shop, payment)) == ("canceled", "ORDER_CANCELLED")


async def test_what_a_bank_has_is_waited_for_and_then_given_back(
    shop: Shop, till: Till, sandbox: Sandbox, clock: Clock
) -> None:
    """A debit can't be called back: it is settled days later, and goes back then."""
    consent = Mandate(accepted_at=clock.now(), ip_address="192.0.2.1", user_agent="test")
    payment = await shop.charge(order(method="pm_sepaDebit_success_de", mandate=consent))
    assert await cancelled(shop) == ["processing"]

    clock.advance(timedelta(days=14))
    await sandbox.advance(0)
    await asks_due(shop)

    assert (await said(shop, payment))[-2:] == ["PaymentSucceeded", "RefundRequested"]
    assert await till.totals(payment) == (1999, 0, 1999)


async def test_what_was_taken_goes_back_but_for_what_went_back_already(shop: Shop, till: Till) -> None:
    """The rest is refunded, once, however often the cancellation comes."""
    payment = await shop.charge(order())
    await till.ask(payment, 500)
    assert await cancelled(shop) == ["succeeded"]
    assert await cancelled(shop) == ["succeeded"]
    await till.send()

    assert await till.totals(payment) == (1999, 1999, 0)
    assert [amount for amount, _, _ in await till.refunds()] == [500, 1499]
    reasons = [row["reason"] for row in await shop.pool.fetch("SELECT reason FROM refunds ORDER BY amount")]
    assert reasons == [None, "CUSTOMER_REQUESTED"]


async def test_a_failed_payment_of_a_cancelled_order_is_not_tried_again(shop: Shop) -> None:
    """It stays failed, and another method is refused."""
    payment = await shop.charge(order(method="pm_card_visa_chargeDeclined"))
    before = await said(shop, payment)
    assert await cancelled(shop) == ["failed"]

    with pytest.raises(WrongState):
        await renew.find(shop.pool, payment.id)
    assert await said(shop, payment) == before


@pytest.mark.parametrize("owner", ["gateway", None])
async def test_a_payment_that_comes_after_its_orders_cancellation_is_accepted_as_canceled(
    shop: Shop, peer: Server, owner: str | None
) -> None:
    """Requested and canceled in one transaction, claimed by nobody, and never sent; its neighbours are as ever."""
    assert await cancelled(shop) == []

    unwanted, wanted = await shop.place(order(1), order(2), owner=owner)

    assert isinstance(unwanted, Accepted)
    assert isinstance(wanted, Accepted)
    assert (unwanted.payment.state, unwanted.claim) == (PaymentState.CANCELED, None)
    assert (wanted.claim is None) == (owner is None)
    assert await said(shop, unwanted.payment) == ["PaymentRequested", "PaymentCanceled"]
    assert await why(shop, unwanted.payment) == "ORDER_CANCELLED"
    shop.clock.advance(CLAIM)
    assert await sends_due(shop) == 1
    assert [one["metadata"]["order_id"] for one in await charges(peer)] == ["order-2"]


async def test_the_same_event_again_is_answered_as_it_stands(shop: Shop) -> None:
    """A cancelled order's payment is a payment: its event is spent."""
    await cancelled(shop)
    first = await shop.accepted(order())
    (again,) = await shop.place(order())
    assert not isinstance(again, Accepted | Exception)
    assert (again.payment.id, again.payment.state) == (first.id, PaymentState.CANCELED)


async def test_a_payment_that_crossed_with_the_cancellation_is_caught_up_with(shop: Shop) -> None:
    """Neither saw the other: the worker sees both, once."""
    payment = await shop.accepted(order(), owner=None)
    async with shop.pool.acquire() as connection:
        crossing = Cancellation("order-1", CancelReason.OUT_OF_STOCK)
        await cancellations.remember(connection, crossing, shop.clock.now())

    caught = [await cancel.catch_up(shop.pool, shop.ids, shop.clock.now()) for _ in range(2)]

    assert (caught, await shop.state(payment)) == ([1, 0], "canceled")


async def test_an_order_has_one_live_payment_and_a_cancelled_one_frees_it(shop: Shop) -> None:
    """Another event for it is refused while its payment lives; of a cancelled order it is accepted as canceled."""
    await shop.accepted(order(1), owner=None)
    (refused,) = await shop.place(order(2, order_id="order-1"))
    await cancelled(shop)

    (accepted,) = await shop.place(order(2, order_id="order-1"))

    assert isinstance(refused, Exception)
    assert isinstance(accepted, Accepted)
    assert accepted.payment.state is PaymentState.CANCELED


async def test_what_a_customers_bank_has_is_asked_back_once_it_is_won(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """While the dispute is open a refund would pay twice; once it is won the cancelled order's money is to go back."""
    payment = await shop.charge(order(method="pm_card_createDispute"))
    await sandbox.advance(1)
    await till.deliver(news_of(sandbox))
    await cancelled(shop)
    assert await till.totals(payment) == (1999, 0, 0)
    await give_evidence(peer, "winning_evidence")

    await till.deliver(news_of(sandbox))

    assert await till.totals(payment) == (1999, 0, 1999)
    assert (await said(shop, payment))[-2:] == ["PaymentDisputed", "RefundRequested"]
