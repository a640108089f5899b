"""What a payment goes through, from order to record, the same at the sandbox and at Stripe's test mode."""

from dataclasses import replace

import pytest
import stripe
from tests.flows.conftest import Peer, Wishing
from tests.orders import Shop, claimant
from tests.stage import becomes

from counterfoil.domain.errors import MethodRefused
from counterfoil.domain.money import Money
from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.schedule import CLAIM, HOLD_MARGIN
from counterfoil.domain.states import AttemptHappening, PaymentState
from counterfoil.domain.verdict import FailureReason
from counterfoil.journey import authorize
from counterfoil.processors.stripe.client import StripeProcessor


async def has_charges(client: stripe.StripeClient, intent_id: str | None, *expected: str | None) -> None:
    """See that a PaymentIntent has come to these charges and to no other; a list may be a moment behind."""
    assert intent_id is not None
    charges: stripe.ChargeService.ListParams = {"payment_intent": intent_id}

    async def listed() -> set[str | None]:
        return {charge.id for charge in (await client.charges.list_async(charges)).data}

    await becomes(set(expected), listed)


async def test_a_good_card_is_captured(shop: Shop, wish: Wishing) -> None:
    """The answer moves the payment, with the answer as its cause."""
    payment = await shop.charge(wish())

    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 1999)
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "answer")]


async def test_a_token_of_a_card_is_as_good(shop: Shop, wish: Wishing) -> None:
    """It goes inside `payment_method_data`, where Stripe takes it although its OpenAPI file does not say so."""
    payment = await shop.charge(wish("tok_visa"))

    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 1999)


async def test_a_method_without_a_telling_name_is_asked_about(
    shop: Shop, wish: Wishing, client: stripe.StripeClient
) -> None:
    """A customer's own card is a pm_… like any other; Stripe says what it is, then it is charged."""
    made = await client.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})

    payment = await shop.charge(wish(made.id))

    assert payment.state is PaymentState.SUCCEEDED


async def test_a_method_that_is_not_there_is_refused(shop: Shop, wish: Wishing) -> None:
    """Before anything is kept or sent."""
    with pytest.raises(MethodRefused):
        await shop.charge(wish("pm_1NoSuchMethod"))


@pytest.mark.parametrize(
    ("method", "code", "reason"),
    [
        ("pm_card_visa_chargeDeclined", "generic_decline", FailureReason.CARD_DECLINED),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds", FailureReason.INSUFFICIENT_FUNDS),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", FailureReason.EXPIRED_CARD),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", FailureReason.OTHER),
    ],
)
async def test_a_decline_has_stripes_code_and_our_reason(
    shop: Shop, wish: Wishing, method: str, code: str, reason: FailureReason
) -> None:
    """The payment fails, and its attempt keeps the charge that was declined."""
    payment = await shop.charge(wish(method))

    (attempt,) = payment.attempts
    assert attempt.decline is not None
    assert (payment.state, attempt.decline.code, attempt.decline.reason) == (PaymentState.FAILED, code, reason)
    assert attempt.charge_id is not None
    assert payment.intent_id is not None


async def test_a_card_that_asks_for_its_owner_leaves_a_link(shop: Shop, wish: Wishing) -> None:
    """3-D Secure: the payment waits, with the address the customer must visit."""
    payment = await shop.charge(wish("pm_card_threeDSecure2Required"))

    action = payment.attempts[0].action
    assert action is not None
    assert (payment.state, action.url.startswith("http")) == (PaymentState.REQUIRES_ACTION, True)


async def test_a_hold_takes_nothing_yet(shop: Shop, wish: Wishing) -> None:
    """With `capture_method` manual the money is the customer's until we take it."""
    payment = await shop.charge(wish(capture_method=CaptureMethod.MANUAL))

    assert (payment.state, payment.amount_captured) == (PaymentState.AUTHORIZED, 0)


async def test_a_hold_says_until_when_it_lasts(processor: StripeProcessor, shop: Shop, wish: Wishing) -> None:
    """The answer has the charge in it, and so has the look-up; the two agree."""
    sending = await shop.sending(wish(capture_method=CaptureMethod.MANUAL))
    sent = (await authorize.call(processor, sending, shop.clock)).verdict
    assert sent.intent_id is not None

    found = await processor.look_up(sent.intent_id)

    assert sent.hold_ends_at is not None
    assert sent.hold_ends_at > shop.clock.now() + HOLD_MARGIN
    assert replace(found, cause=sent.cause) == sent


@pytest.mark.parametrize("amount", [500, 1999])
async def test_a_hold_is_taken_once(shop: Shop, wish: Wishing, client: stripe.StripeClient, amount: int) -> None:
    """Whole or in part; a second capture under another key finds it taken, and takes nothing."""
    held = await shop.charge(wish(capture_method=CaptureMethod.MANUAL))
    assert held.intent_id is not None
    requests = [shop.stripe.capture(held.intent_id, held.event_id, number, amount) for number in (1, 2)]

    first, second = [await shop.stripe.send(request, again=True) for request in requests]

    expected = (AttemptHappening.CAPTURED, amount, held.attempts[0].charge_id)
    assert expected == (first.outcome, first.amount_captured, first.charge_id)
    assert expected == (second.outcome, second.amount_captured, second.charge_id)
    charge = await client.charges.retrieve_async(held.attempts[0].charge_id or "")
    assert charge.amount_captured == amount


async def test_more_than_is_held_is_not_taken(shop: Shop, wish: Wishing) -> None:
    """The request is refused for good, and the hold stands."""
    held = await shop.charge(wish(capture_method=CaptureMethod.MANUAL))

    verdict = await shop.stripe.send(shop.stripe.capture(held.intent_id or "", held.event_id, 1, 2500), again=True)

    assert (verdict.outcome, verdict.refused) == (AttemptHappening.AUTHORIZED, True)
    assert verdict.alarm is not None


async def test_what_was_let_go_cannot_be_taken(shop: Shop, wish: Wishing) -> None:
    """A canceled hold is told as canceled to whoever cancels it, and to whoever would capture it."""
    held = await shop.charge(wish(capture_method=CaptureMethod.MANUAL))
    assert held.intent_id is not None
    let_go = shop.stripe.cancellation(held.intent_id, held.event_id, 1)
    taken = shop.stripe.capture(held.intent_id, held.event_id, 1, 1999)

    heard = [await shop.stripe.send(request, again=True) for request in (let_go, taken)]

    assert [one.outcome for one in heard] == [AttemptHappening.CANCELED] * 2
    assert [one.expired for one in heard] == [False, False]


@pytest.mark.parametrize(
    "method",
    ["pm_card_visa", "pm_card_visa_chargeDeclinedInsufficientFunds", "pm_card_threeDSecure2Required"],
)
async def test_looking_up_tells_what_sending_told(
    processor: StripeProcessor, shop: Shop, wish: Wishing, method: str
) -> None:
    """Whatever came of it: the same verdict, but for its cause, and for the link, which Stripe may make anew."""
    sending = await shop.sending(wish(method))
    sent = (await authorize.call(processor, sending, shop.clock)).verdict
    assert sent.intent_id is not None

    found = await processor.look_up(sent.intent_id)

    assert replace(found, cause=sent.cause, action=sent.action) == sent


async def test_a_payment_is_found_among_all_that_were_made(
    processor: StripeProcessor, shop: Shop, wish: Wishing
) -> None:
    """By our own name for it, where Stripe's was never learned."""
    payment = await shop.charge(wish())
    now = shop.clock.now()

    found = await becomes(
        lambda verdict: verdict.intent_id is not None,
        lambda: processor.find(payment.id, now, now),
    )

    assert (found.intent_id, found.outcome) == (payment.intent_id, AttemptHappening.CAPTURED)


async def test_what_was_never_sent_is_not_found(processor: StripeProcessor, shop: Shop, wish: Wishing) -> None:
    """A complete listing without it says so."""
    await shop.charge(wish())
    now = shop.clock.now()

    assert (await processor.find(shop.ids.new(), now, now)).absent is True


async def test_the_same_request_sent_twice_is_one_charge(
    shop: Shop, wish: Wishing, client: stripe.StripeClient
) -> None:
    """Lost between the answer and its record: whoever takes over sends key and bytes again."""
    lost = await authorize.call(shop.stripe, await shop.sending(wish()), shop.clock)
    shop.clock.advance(CLAIM)

    (sending,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    payment = await shop.send(sending)

    assert (payment.state, payment.intent_id) == (PaymentState.SUCCEEDED, lost.verdict.intent_id)
    await has_charges(client, payment.intent_id, lost.verdict.charge_id)


async def test_a_key_does_not_serve_another_request(
    processor: StripeProcessor, shop: Shop, wish: Wishing, client: stripe.StripeClient
) -> None:
    """Other parameters under a used key are refused: nothing is charged, nothing decided, and a person is called."""
    wished = wish()
    payment = await shop.charge(wished)
    other = await processor.request_for(payment.id, replace(wished, money=Money(2999, "EUR")))

    verdict = await processor.send(other, again=True)

    assert (verdict.outcome, verdict.alarm) == (
        AttemptHappening.UNKNOWN,
        "the idempotency key was sent with other parameters before",
    )
    await has_charges(client, payment.intent_id, payment.attempts[0].charge_id)


async def test_a_second_attempt_confirms_the_same_intent(
    processor: StripeProcessor, shop: Shop, wish: Wishing, client: stripe.StripeClient
) -> None:
    """After a decline: a new key, another method, a new charge, one PaymentIntent."""
    wished = wish("pm_card_visa_chargeDeclined")
    payment = await shop.charge(wished)
    assert payment.intent_id is not None

    wished = replace(wished, payment_method="pm_card_visa")
    request = await processor.request_again(payment.id, payment.intent_id, 2, wished)
    second = await processor.send(request, again=False)

    assert (second.outcome, second.intent_id) == (AttemptHappening.CAPTURED, payment.intent_id)
    assert second.charge_id != payment.attempts[0].charge_id
    await has_charges(client, payment.intent_id, payment.attempts[0].charge_id, second.charge_id)


async def test_a_wrong_key_fails_no_payment(peer: Peer, shop: Shop, wish: Wishing) -> None:
    """Stripe refuses us, not the customer: the payment stays open, and a person is called."""
    sending = await shop.sending(wish())
    wrong = StripeProcessor("sk_test_wrong", livemode=False, api_base=peer.api_base)

    heard = await authorize.call(wrong, sending, shop.clock)
    await wrong.close()
    (payment,) = await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())

    assert (payment.state, heard.verdict.alarm) == (PaymentState.PROCESSING, "Stripe refuses our key")


async def test_a_charge_by_itself_is_captured(by_charges: Shop, wish: Wishing, client: stripe.StripeClient) -> None:
    """The older API: one charge, no PaymentIntent, and the payment goes by the charge's name."""
    payment = await by_charges.charge(wish("tok_visa"))

    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 1999)
    assert payment.intent_id is not None
    charge = await client.charges.retrieve_async(payment.intent_id)
    assert (charge.payment_intent, charge.metadata["paymentId"]) == (None, str(payment.id))


async def test_a_charge_by_itself_is_declined(by_charges: Shop, wish: Wishing) -> None:
    """With the same code and reason as an intent's, and no name of the payment."""
    payment = await by_charges.charge(wish("tok_visa_chargeDeclinedInsufficientFunds"))

    (attempt,) = payment.attempts
    assert attempt.decline is not None
    assert (payment.state, attempt.decline.reason) == (PaymentState.FAILED, FailureReason.INSUFFICIENT_FUNDS)
    assert (payment.intent_id, attempt.charge_id is None) == (None, False)


async def test_a_hold_of_a_charge_is_let_go_by_refunding_it(by_charges: Shop, wish: Wishing) -> None:
    """Held with `capture` false; refunded before it is captured, no money has moved, and a look-up says the same."""
    payment = await by_charges.charge(wish("tok_visa", capture_method=CaptureMethod.MANUAL))
    assert payment.intent_id is not None

    request = by_charges.stripe.cancellation(payment.intent_id, payment.event_id, 1)
    gone = await by_charges.stripe.send(request, again=True)
    found = await by_charges.stripe.look_up(payment.intent_id)

    assert payment.state is PaymentState.AUTHORIZED
    assert (gone.outcome, found.outcome) == (AttemptHappening.CANCELED, AttemptHappening.CANCELED)


async def test_the_fee_of_a_charge_is_learned(processor: StripeProcessor, shop: Shop, wish: Wishing) -> None:
    """It is on the balance transaction, which may be a moment behind."""
    payment = await shop.charge(wish())
    charge_id = payment.attempts[0].charge_id
    assert charge_id is not None

    learned = await becomes(lambda found: found.fee is not None, lambda: processor.learn(charge_id))

    assert learned.fee is not None
    assert learned.fee.amount > 0
    assert learned.disputes == ()
