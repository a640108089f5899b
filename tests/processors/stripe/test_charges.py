"""Payments by Stripe's older API: one charge an attempt, spoken to the sandbox over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from tests.orders import order

from counterfoil.domain.errors import MethodRefused
from counterfoil.domain.order import Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Settling, Source, Verdict
from counterfoil.processors.stripe import charges, requests
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.clock import SystemClock
from stripe_sandbox.sandbox import Sandbox, Server

KEY = "sk_test_charges"
PAYMENT = UUID("01900000-0000-7000-8000-000000000001")
CAUSE = Cause(Source.ANSWER, "req_1")
WEEK_SECONDS = 7 * 86_400
HOLD = order(method="tok_visa", capture_method=CaptureMethod.MANUAL)


@pytest.fixture
async def peer() -> AsyncIterator[Server]:
    async with Sandbox(keys=[KEY]).serve() as server:
        yield server


@pytest.fixture
async def stripe(peer: Server) -> AsyncIterator[StripeProcessor]:
    """The processor with the charges driver."""
    processor = StripeProcessor(KEY, livemode=False, api_base=peer.url, by_charges=True)
    yield processor
    await processor.close()


@pytest.fixture
def now() -> datetime:
    """The sandbox's own time is the machine's."""
    return SystemClock().now()


async def charged(stripe: StripeProcessor, wished: Order, number: int = 1) -> Verdict:
    return await stripe.send(await stripe.request_again(PAYMENT, None, number, wished), again=False)


async def test_a_token_is_charged(stripe: StripeProcessor, peer: Server) -> None:
    """One POST /v1/charges; the charge took the money, so the payment goes by its name."""
    verdict = await stripe.send(await stripe.request_for(PAYMENT, order(method="tok_visa")), again=False)
    (charge,) = peer.sandbox.account().charges
    assert (verdict.outcome, verdict.amount_captured, verdict.currency) == (AttemptHappening.CAPTURED, 1999, "EUR")
    assert (verdict.intent_id, verdict.charge_id) == (charge["id"], charge["id"])
    assert charge["metadata"] == {
        "payment_id": str(PAYMENT),
        "paymentId": str(PAYMENT),
        "order_id": "order-1",
        "event_id": "event-1",
    }
    assert charge["description"] == "Order order-1"
    assert list(peer.sandbox.account().payment_intents) == []


async def test_a_declined_charge_names_no_payment(stripe: StripeProcessor) -> None:
    """The next attempt makes another charge, under a key of its own, and that one is the payment's."""
    first = await charged(stripe, order(method="tok_chargeDeclined"))
    request = await stripe.request_again(PAYMENT, first.intent_id, 2, order(method="tok_visa"))
    second = await stripe.send(request, again=False)
    assert (first.outcome, first.intent_id) == (AttemptHappening.DECLINED, None)
    assert first.charge_id is not None
    assert (request.key, second.outcome) == ("event-1:2", AttemptHappening.CAPTURED)
    assert second.intent_id == second.charge_id != first.charge_id


async def test_sent_again_it_is_the_same_charge(stripe: StripeProcessor, peer: Server) -> None:
    """The same key, the same bytes, one charge."""
    request = await stripe.request_for(PAYMENT, order(method="tok_visa"))
    first, second = [await stripe.send(request, again=again) for again in (False, True)]
    assert replace(second, cause=first.cause) == first
    assert len(list(peer.sandbox.account().charges)) == 1


async def test_there_is_nobody_to_identify_the_customer(stripe: StripeProcessor) -> None:
    """No 3-D Secure: what needs it is declined, and says so."""
    verdict = await charged(stripe, order(method="tok_threeDSecureRequired"))
    assert verdict.decline is not None
    assert verdict.decline.code == "authentication_required"


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_1AskStripe", "pm_sepaDebit_success_de", "cus_1"])
async def test_what_the_older_api_cannot_charge_is_refused(stripe: StripeProcessor, peer: Server, method: str) -> None:
    """Before anything is kept or sent."""
    with pytest.raises(MethodRefused, match="tok_…, card_…, src_…"):
        await stripe.request_for(PAYMENT, order(method=method))
    assert list(peer.sandbox.log) == []


async def test_a_card_needs_its_customer(stripe: StripeProcessor) -> None:
    """A card is a customer's; a token is nobody's, and would be refused with one."""
    with pytest.raises(MethodRefused, match="customer_id"):
        await stripe.request_for(PAYMENT, order(method="card_1"))
    named = [
        requests.call_of(await stripe.request_for(PAYMENT, order(method=method, customer_id=customer))).parameters
        for method, customer in (("card_1", "cus_1"), ("src_1", "cus_1"), ("src_1", "42"), ("tok_visa", "cus_1"))
    ]
    assert [one.get("customer") for one in named] == ["cus_1", "cus_1", None, None]


async def test_a_hold_is_authorized_until_it_is_taken(stripe: StripeProcessor) -> None:
    """`captured` is false: held. Taken in part, the rest is let go and is no refund."""
    held = await charged(stripe, HOLD)
    assert held.charge_id is not None
    taken = await stripe.send(requests.take(held.charge_id, "event-1", 1, 1500), again=True)
    found = await stripe.look_up(held.charge_id)
    assert (held.outcome, held.intent_id) == (AttemptHappening.AUTHORIZED, held.charge_id)
    assert (taken.outcome, taken.amount_captured, taken.intent_id) == (AttemptHappening.CAPTURED, 1500, held.charge_id)
    assert replace(found, cause=taken.cause) == taken


async def test_a_hold_is_let_go_by_refunding_it(stripe: StripeProcessor) -> None:
    """The refund has no balance transaction, for no money had moved; a look-up says the same of the charge."""
    held = await charged(stripe, HOLD)
    assert held.intent_id is not None
    request = stripe.cancellation(held.intent_id, "event-1", 1)
    gone = await stripe.send(request, again=True)
    found = await stripe.look_up(held.intent_id)
    assert request.key == "event-1:cancel:1"
    assert (gone.outcome, gone.charge_id) == (AttemptHappening.CANCELED, held.charge_id)
    assert (found.outcome, found.charge_id) == (AttemptHappening.CANCELED, held.charge_id)


async def test_a_hold_that_ended_by_itself_is_canceled_when_it_is_let_go(stripe: StripeProcessor, peer: Server) -> None:
    """Stripe refuses to refund it once more; the charge tells why."""
    held = await charged(stripe, HOLD)
    assert held.intent_id is not None
    await peer.sandbox.advance(WEEK_SECONDS)
    gone = await stripe.send(stripe.cancellation(held.intent_id, "event-1", 1), again=True)
    assert (gone.outcome, gone.charge_id) == (AttemptHappening.CANCELED, held.charge_id)


async def test_what_was_taken_meanwhile_is_no_hold_that_was_let_go(stripe: StripeProcessor) -> None:
    """Somebody captured it in the dashboard: to let it go gave money back, and a person has to know."""
    held = await charged(stripe, HOLD)
    assert held.charge_id is not None
    await stripe.send(requests.take(held.charge_id, "event-1", 1, 1999), again=True)
    gone = await stripe.send(stripe.cancellation(held.charge_id, "event-1", 1), again=True)
    assert (gone.outcome, gone.amount_captured) == (AttemptHappening.CAPTURED, 1999)
    assert gone.alarm is not None


async def test_a_payment_is_found_by_its_charges(stripe: StripeProcessor, now: datetime) -> None:
    """Among all that were made, in whichever order: a declined one is not the end while another holds the money."""
    request = await stripe.request_for(PAYMENT, order(method="tok_chargeDeclined"))
    absent = await stripe.find(PAYMENT, now, now, request)
    first = await stripe.send(request, again=False)
    declined = await stripe.find(PAYMENT, now, now, request)
    second = await charged(stripe, order(method="tok_visa"), 2)
    third = await charged(stripe, order(method="tok_chargeDeclinedExpiredCard"), 3)
    found = await stripe.find(PAYMENT, now, now, request)
    assert third.outcome is AttemptHappening.DECLINED
    assert absent.absent is True
    assert (declined.charge_id, declined.decline) == (first.charge_id, first.decline)
    assert replace(found, cause=second.cause) == second


async def test_of_declined_charges_the_last_is_told(stripe: StripeProcessor, now: datetime) -> None:
    """Where none of them brought money, the newest says how the payment stands."""
    await charged(stripe, order(method="tok_chargeDeclined"), 1)
    last = await charged(stripe, order(method="tok_chargeDeclinedExpiredCard"), 2)
    found = await stripe.find(PAYMENT, now, now, await stripe.request_for(PAYMENT, order(method="tok_visa")))
    assert (found.charge_id, found.decline) == (last.charge_id, last.decline)


async def test_what_was_begun_with_an_intent_goes_on_with_it(stripe: StripeProcessor, peer: Server) -> None:
    """The driver was changed meanwhile: stored requests, look-ups, retries and cancellations are about the intent."""
    before = StripeProcessor(KEY, livemode=False, api_base=peer.url, return_url="https://shop.example/back")
    declined = order(method="pm_card_chargeDeclined")
    first = await stripe.send(await before.request_for(PAYMENT, declined), again=False)
    assert first.intent_id is not None
    again = StripeProcessor(
        KEY, livemode=False, api_base=peer.url, return_url="https://shop.example/back", by_charges=True
    )
    further = await again.request_again(PAYMENT, first.intent_id, 2, order())
    second = await again.send(further, again=False)
    found = await stripe.look_up(first.intent_id)
    for processor in (before, again):
        await processor.close()
    assert (second.outcome, second.intent_id) == (AttemptHappening.CAPTURED, first.intent_id)
    assert replace(found, cause=second.cause) == second
    assert requests.call_of(stripe.cancellation(first.intent_id, "event-1", 1)).name == "cancel"


async def test_what_was_begun_as_a_charge_is_found_as_one(stripe: StripeProcessor, peer: Server, now: datetime) -> None:
    """The driver was changed back: what was sent says in which list to look."""
    request = await stripe.request_for(PAYMENT, order(method="tok_visa"))
    sent = await stripe.send(request, again=False)
    after = StripeProcessor(KEY, livemode=False, api_base=peer.url, return_url="https://shop.example/back")
    found = [await after.find(PAYMENT, now, now, request), await after.look_up(str(sent.intent_id))]
    await after.close()
    assert [replace(one, cause=sent.cause) for one in found] == [sent, sent]


async def test_our_key_is_tried_on_what_we_use(stripe: StripeProcessor, peer: Server) -> None:
    """A restricted key may be allowed charges and nothing else."""
    assert await stripe.admits_us() is True
    assert [entry.path for entry in peer.sandbox.log] == ["/v1/charges"]


def test_equal_orders_become_equal_bytes() -> None:
    """Stored and sent again, a request must be the same request to Stripe."""
    one, other = (requests.charge(PAYMENT, order(method="tok_visa", metadata={"b": "2", "a": "ä"}), 1) for _ in "ab")
    assert one == other
    assert isinstance(one, Request)


@pytest.mark.parametrize(
    ("refund", "outcome", "settling"),
    [
        ({"status": "succeeded", "balance_transaction": None}, AttemptHappening.CANCELED, Settling.RESEND),
        ({"status": "succeeded", "balance_transaction": "txn_1"}, AttemptHappening.UNKNOWN, Settling.ASK),
        ({"status": "pending", "balance_transaction": None}, AttemptHappening.UNKNOWN, Settling.ASK),
        ({"status": "failed", "balance_transaction": None}, AttemptHappening.UNKNOWN, Settling.ASK),
    ],
)
def test_only_a_refund_that_moved_nothing_let_a_hold_go(
    refund: dict[str, str | None], outcome: AttemptHappening, settling: Settling
) -> None:
    """Whatever else it says, the charge is asked."""
    verdict = charges.of_release({"id": "re_1", "charge": "ch_1", **refund}, CAUSE)
    assert (verdict.outcome, verdict.settling) == (outcome, settling)
