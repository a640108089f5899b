"""What a payment goes through once its money is held or taken, the same at the sandbox and at Stripe's test mode."""

import pytest
import stripe
from tests.flows.conftest import Wishing
from tests.orders import Shop, claimant
from tests.refunds import Till
from tests.stage import becomes

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.domain.errors import AmountRefused, WrongState
from counterfoil.domain.payment import CaptureMethod, DisputeStatus, Funds, Payment
from counterfoil.domain.schedule import CLAIM, LEARN_AFTER
from counterfoil.domain.states import PaymentState
from counterfoil.journey import cancel, capture, learn, operating, void
from counterfoil.journey.capture import Wanted
from counterfoil.journey.operating import Claimed
from counterfoil.processors.port import Learned


@pytest.fixture
def till(shop: Shop) -> Till:
    """Gives money back."""
    return Till(shop)


async def hold(shop: Shop, wish: Wishing, method: str = "pm_card_visa") -> Payment:
    """Have the money of an order held."""
    return await shop.charge(wish(method, capture_method=CaptureMethod.MANUAL))


async def asked(shop: Shop, payment: Payment, amount: int | None = None) -> Claimed:
    """Ask for a capture that is new, and return what is to be sent."""
    wanted = Wanted(payment.id, amount, "gateway")
    taking = (await capture.ask(shop.pool, shop.ids, shop.stripe.capture, wanted, shop.clock.now())).claimed
    assert taking is not None
    return taking


async def take(shop: Shop, taking: Claimed) -> Payment:
    """Send a capture, and record what is heard."""
    heard = await operating.call(shop.stripe, taking, shop.clock)
    (payment,) = await capture.record(shop.pool, shop.ids, [heard], shop.clock.now())
    return payment


async def seen(client: stripe.StripeClient, payment: Payment) -> stripe.Charge:
    """Return the payment's charge as the peer shows it."""
    charge_id = payment.attempts[-1].charge_id
    assert charge_id is not None
    return await client.charges.retrieve_async(charge_id)


async def has_refunds(client: stripe.StripeClient, payment: Payment, *amounts: int) -> None:
    """See that so much of a payment was given back, and no more; a list may be a moment behind."""
    refunds: stripe.RefundService.ListParams = {"charge": payment.attempts[-1].charge_id or ""}

    async def listed() -> list[tuple[int, str | None]]:
        return sorted((one.amount, one.status) for one in (await client.refunds.list_async(refunds)).data)

    await becomes([(amount, "succeeded") for amount in amounts], listed)


async def facts(shop: Shop, payment: Payment) -> list[str]:
    """Return the names of a payment's facts, in order."""
    return [name for _, name, _ in await shop.facts(payment)]


async def test_a_payment_is_given_back(shop: Shop, till: Till, wish: Wishing, client: stripe.StripeClient) -> None:
    """All of it, under our own name for the refund; the answer says that it was, and so does the charge."""
    payment = await shop.charge(wish())

    refund = await till.ask(payment)
    await till.send()

    assert await till.totals(payment) == (1999, 1999, 0)
    assert await till.said(payment) == ["RefundRequested", "RefundProcessed"]
    (made,) = (await client.refunds.list_async({"charge": payment.attempts[0].charge_id or ""})).data
    assert (made.amount, (made.metadata or {})["refund_id"]) == (1999, str(refund.refund_id))
    assert (await seen(client, payment)).refunded is True


async def test_a_payment_is_given_back_in_parts(
    shop: Shop, till: Till, wish: Wishing, client: stripe.StripeClient
) -> None:
    """A part, then the rest, and no more; counted again from one look at the charge, it is the same."""
    payment = await shop.charge(wish())
    for amount, key in ((500, "first"), (None, "rest")):
        await till.ask(payment, amount, key)
        await till.send()

    with pytest.raises(AmountRefused):
        await till.ask(payment, 1, "more")
    await till.hint(payment)
    await till.recount()

    assert await till.totals(payment) == (1999, 1999, 0)
    assert await till.refunds() == [(500, "processed", None), (1499, "processed", None)]
    await has_refunds(client, payment, 500, 1499)


async def test_a_refund_that_is_sent_twice_is_made_once(
    shop: Shop, till: Till, wish: Wishing, client: stripe.StripeClient
) -> None:
    """Its answer is lost before it is recorded: whoever takes over sends key and bytes again."""
    payment = await shop.charge(wish())
    await till.ask(payment, 500)
    (lost,) = await till.claim()
    await shop.stripe.send_refund(lost.request, again=False)
    shop.clock.advance(CLAIM)

    (heard,) = await till.send()

    assert heard.sending.request == lost.request
    assert await till.totals(payment) == (1999, 500, 0)
    await has_refunds(client, payment, 500)


async def test_a_refund_made_elsewhere_is_adopted(
    shop: Shop, till: Till, wish: Wishing, client: stripe.StripeClient
) -> None:
    """By a person in the dashboard: it gets a row of ours, and the totals include it."""
    payment = await shop.charge(wish())
    await client.refunds.create_async({"charge": payment.attempts[0].charge_id or "", "amount": 600})

    await till.hint(payment)
    await till.recount()

    assert await till.totals(payment) == (1999, 600, 0)
    assert await till.refunds() == [(600, "processed", None)]


async def test_what_somebody_else_gave_back_is_not_given_back_again(
    shop: Shop, till: Till, wish: Wishing, client: stripe.StripeClient
) -> None:
    """Stripe says that the charge is refunded already; that no refund of it is ours is what fails ours."""
    payment = await shop.charge(wish())
    await till.ask(payment)
    await client.refunds.create_async({"charge": payment.attempts[0].charge_id or ""})

    await till.send()
    await till.recount()

    assert await till.totals(payment) == (1999, 1999, 0)
    expected = [(1999, "failed", "charge_already_refunded"), (1999, "processed", None)]
    assert sorted(await till.refunds(), key=str) == expected
    await has_refunds(client, payment, 1999)


async def test_a_part_of_a_hold_is_taken_and_the_rest_is_no_refund(
    shop: Shop, till: Till, wish: Wishing, client: stripe.StripeClient
) -> None:
    """Stripe lists what it lets go as a refund of the charge. It moved no money, and is not counted as given back."""
    payment = await take(shop, await asked(shop, await hold(shop, wish), 500))
    await till.hint(payment)
    await till.recount()

    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 500)
    assert (await seen(client, payment)).amount_captured == 500
    await has_refunds(client, payment, 1499)
    assert (await till.totals(payment), await till.refunds()) == ((500, 0, 0), [])


async def test_what_was_taken_of_a_hold_can_be_given_back(shop: Shop, till: Till, wish: Wishing) -> None:
    """And no more than that, whatever was held."""
    payment = await take(shop, await asked(shop, await hold(shop, wish), 500))

    with pytest.raises(AmountRefused):
        await till.ask(payment, 501)
    await till.ask(payment)
    await till.send()

    assert await till.totals(payment) == (500, 500, 0)


async def test_a_capture_that_is_sent_twice_takes_once(shop: Shop, wish: Wishing, client: stripe.StripeClient) -> None:
    """Its answer is lost before it is recorded: a worker sends the very same request."""
    held = await hold(shop, wish)
    lost = await asked(shop, held, 700)
    await operating.call(shop.stripe, lost, shop.clock)
    shop.clock.advance(CLAIM)

    (taking,) = await capture.claim_due(shop.pool, shop.ids, shop.stripe.capture, claimant(), shop.clock.now())
    payment = await take(shop, taking)

    assert taking.operation == lost.operation
    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 700)
    assert (await seen(client, payment)).amount_captured == 700
    assert (await facts(shop, payment)).count("PaymentSucceeded") == 1


async def test_a_hold_is_let_go_on_request(shop: Shop, wish: Wishing, client: stripe.StripeClient) -> None:
    """Canceled there and here, and nothing can be taken of it any more."""
    held = await hold(shop, wish)
    assert held.intent_id is not None
    wanted = void.Wanted(held.id, "gateway")

    letting = (await void.ask(shop.pool, shop.ids, shop.stripe.cancellation, wanted, shop.clock.now())).claimed
    assert letting is not None
    heard = await operating.call(shop.stripe, letting, shop.clock)
    (payment,) = await void.record(shop.pool, shop.ids, [heard], shop.clock.now())

    assert payment.state is PaymentState.CANCELED
    assert (await client.payment_intents.retrieve_async(held.intent_id)).status == "canceled"
    assert await facts(shop, payment) == ["PaymentRequested", "PaymentAuthorized", "PaymentCanceled"]
    with pytest.raises(WrongState):
        await asked(shop, payment)


async def test_a_hold_of_a_charge_is_taken_in_part(
    by_charges: Shop, wish: Wishing, client: stripe.StripeClient
) -> None:
    """By Stripe's older API, where the rest is let go with it as well; and what was taken is given back."""
    till = Till(by_charges)
    payment = await take(by_charges, await asked(by_charges, await hold(by_charges, wish, "tok_visa"), 500))
    await till.ask(payment, 200)
    await till.send()
    await till.hint(payment)
    await till.recount()

    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 500)
    assert await till.totals(payment) == (500, 200, 0)
    assert (await seen(client, payment)).amount_captured == 500


async def test_the_money_of_a_cancelled_order_goes_back(
    shop: Shop, till: Till, wish: Wishing, client: stripe.StripeClient
) -> None:
    """Its payment had succeeded: all that is left of it is given back by itself."""
    payment = await shop.charge(wish())
    await till.ask(payment, 500)
    await till.send()

    cancelled = Cancellation(payment.order_id, CancelReason.OUT_OF_STOCK, shop.clock.now())
    await cancel.run(shop.pool, shop.ids, cancelled, shop.clock.now())
    await till.send()

    assert await till.totals(payment) == (1999, 1999, 0)
    await has_refunds(client, payment, 500, 1499)


async def disputed(shop: Shop, wish: Wishing) -> tuple[Payment, Learned]:
    """Return a payment that its customer disputes at once, and what the peer says of it as soon as it does."""
    payment = await shop.charge(wish("pm_card_createDispute"))
    return payment, await learned(shop, payment, DisputeStatus.OPENED, Funds.WITHDRAWN)


async def learned(shop: Shop, payment: Payment, status: DisputeStatus, funds: Funds) -> Learned:
    """Ask for the payment's charge until its dispute, and the money with it, has come to this."""
    charge_id = payment.attempts[-1].charge_id
    assert charge_id is not None

    async def ask() -> Learned:
        shop.clock.advance(LEARN_AFTER[0])  # which is the sandbox's too; Stripe has its own
        return await shop.stripe.learn(charge_id)

    return await becomes(lambda found: [(one.status, one.funds) for one in found.disputes] == [(status, funds)], ask)


async def test_a_dispute_is_learned_and_the_payment_stays_succeeded(shop: Shop, wish: Wishing) -> None:
    """No notice told of it: the look at the charge for its fee does, and its money is not given back a second time."""
    payment, found = await disputed(shop, wish)

    due = await learn.claim_due(shop.pool, claimant(), shop.clock.now())
    await learn.record(shop.pool, shop.ids, [learn.Heard(one, found) for one in due], shop.clock.now())

    (dispute,) = found.disputes
    assert (dispute.money.amount, dispute.reason) == (1999, "fraudulent")
    assert [one.payment_id for one in due] == [payment.id]
    assert (await facts(shop, payment))[-1] == "PaymentDisputed"
    assert await shop.state(payment) == "succeeded"
    with pytest.raises(WrongState):
        await Till(shop).ask(payment, 1)


ENDS = {
    "winning_evidence": (DisputeStatus.WON, Funds.REINSTATED),
    "losing_evidence": (DisputeStatus.LOST, Funds.WITHDRAWN),
}
"""What Stripe's test mode makes of evidence."""


@pytest.mark.parametrize("evidence", ENDS)
async def test_a_dispute_is_won_or_lost(shop: Shop, wish: Wishing, client: stripe.StripeClient, evidence: str) -> None:
    """By its evidence; the money is back, or gone for good."""
    payment, found = await disputed(shop, wish)
    await client.disputes.update_async(
        found.disputes[0].id, {"evidence": {"uncategorized_text": evidence}, "submit": True}
    )

    (dispute,) = (await learned(shop, payment, *ENDS[evidence])).disputes

    assert (dispute.id, dispute.money.amount) == (found.disputes[0].id, 1999)
