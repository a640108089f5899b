"""By intents or by charges: one payment has one outcome, whichever news of it comes first, and however it was made."""

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from tests.journey.conftest import KEY
from tests.journey.test_assess import work
from tests.journey.test_disputes import DAY_SECONDS, news_of, said, shown
from tests.journey.test_learn import FEE, wait_and_learn
from tests.journey.test_second_attempts import again
from tests.journey.told_by_webhook import keep, run
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import CaptureMethod, ScreeningMode
from counterfoil.domain.schedule import KEY_LIFE, LEARN_AFTER, LOOK_UPS_AFTER
from counterfoil.domain.screening import Check, Finding, Screening
from counterfoil.domain.states import PaymentState
from counterfoil.domain.verdict import Cause, Source
from counterfoil.journey import assess, authorize, capture, operating, reconcile, void
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.store import payments
from stripe_sandbox.sandbox import Sandbox, Server


@dataclass(frozen=True, slots=True)
class Driven:
    """A shop whose payments are made in one of the two ways, and the sandbox at which they are."""

    shop: Shop
    sandbox: Sandbox
    by_charges: bool

    def news(self, payment_id: UUID) -> list[dict[str, Any]]:
        """The events about a payment's outcome, oldest first, as deliveries would carry them."""
        made = [json.loads(json.dumps(one)) for one in self.sandbox.account().events]
        heard = stripe_notices.INTENT_EVENTS | stripe_notices.CHARGE_EVENTS
        return [
            one
            for one in made
            if one["type"] in heard and one["data"]["object"]["metadata"]["payment_id"] == str(payment_id)
        ]


@pytest.fixture(params=["payment_intents", "charges"])
async def driven(request: pytest.FixtureRequest, shop: Shop, peer: Server) -> AsyncIterator[Driven]:
    """The same shop by either driver."""
    by_charges = request.param == "charges"
    processor = StripeProcessor(
        KEY, livemode=False, api_base=peer.url, return_url="https://shop.example/back", by_charges=by_charges
    )
    yield Driven(replace(shop, stripe=processor), peer.sandbox, by_charges)
    await processor.close()


@pytest.fixture
async def by_charges(shop: Shop, peer: Server) -> AsyncIterator[Shop]:
    """The same shop by charges alone."""
    processor = StripeProcessor(KEY, livemode=False, api_base=peer.url, by_charges=True)
    yield replace(shop, stripe=processor)
    await processor.close()


@pytest.mark.parametrize(
    ("method", "state", "last"),
    [
        ("tok_visa", "succeeded", "PaymentSucceeded"),
        ("tok_chargeDeclinedInsufficientFunds", "failed", "PaymentFailed"),
    ],
)
async def test_the_answer_and_every_event_give_one_outcome(driven: Driven, method: str, state: str, last: str) -> None:
    """Of the charge and of the intent, before and after the answer, in every order: one state, said by one fact."""
    shop, kinds = driven.shop, set()
    places = 2 if driven.by_charges else 3
    for number, permutation in enumerate(itertools.permutations(range(places))):
        sending = await shop.sending(order(number, method))
        heard = await authorize.call(shop.stripe, sending, shop.clock)
        news = driven.news(sending.payment_id)
        kinds |= {one["type"].partition(".")[0] for one in news}
        assert len(news) == places - 1
        for place in permutation:
            if place == places - 1:
                await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
            else:
                await keep(shop, news[place])
                await run(shop)
        async with shop.pool.acquire() as connection:
            payment = (await payments.read(connection, [sending.payment_id]))[sending.payment_id].payment
        assert payment.state == state
        assert [name for _, name, _ in await shop.facts(payment)] == ["PaymentRequested", last]
    assert kinds == ({"charge"} if driven.by_charges else {"charge", "payment_intent"})


async def test_a_notice_alone_settles_it(driven: Driven) -> None:
    """The answer was lost; what Stripe tells says it all, and by which name the payment goes."""
    shop = driven.shop
    await authorize.call(shop.stripe, await shop.sending(order(method="tok_visa")), shop.clock)
    payment_id = await shop.pool.fetchval("SELECT id FROM payments")
    for one in [json.loads(json.dumps(made)) for made in driven.sandbox.account().events]:
        await keep(shop, one)
    await run(shop)
    row = await shop.pool.fetchrow(
        "SELECT p.state, p.intent_id, a.charge_id FROM payments p JOIN attempts a ON a.payment_id = p.id"
    )
    assert row is not None
    (charge,) = driven.sandbox.account().charges
    name = charge["id"] if driven.by_charges else charge["payment_intent"]
    assert tuple(row.values()) == ("succeeded", name, charge["id"])
    assert charge["metadata"]["payment_id"] == str(payment_id)


async def test_a_charge_whose_answer_was_lost_is_found_after_a_day(driven: Driven) -> None:
    """The key is too old to be sent again; what was sent says in which list to look."""
    shop = driven.shop
    await authorize.call(shop.stripe, await shop.sending(order(method="tok_visa")), shop.clock)
    shop.clock.advance(KEY_LIFE)
    (trace,) = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    heard = await reconcile.ask(shop.stripe, trace)
    await reconcile.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert heard[1].cause.source is Source.LOOK_UP
    assert await shop.pool.fetchval("SELECT state FROM payments") == "succeeded"
    assert len(list(driven.sandbox.account().charges)) == 1


async def test_a_hold_is_let_go(driven: Driven) -> None:
    """An intent is canceled, a charge refunded; no money moved, and the payment is canceled."""
    shop = driven.shop
    payment = await shop.charge(order(method="tok_visa", capture_method=CaptureMethod.MANUAL))
    held = payment.state.value
    await shop.pool.execute("UPDATE payments SET let_go_at = $1, next_check_at = $1", shop.clock.now())
    cancel = shop.stripe.cancellation
    (letting,) = await void.claim_due(shop.pool, shop.ids, cancel, claimant(), shop.clock.now())
    heard = await operating.call(shop.stripe, letting, shop.clock)
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert (held, await shop.state(payment)) == ("authorized", "canceled")
    assert [one["amount_captured"] for one in driven.sandbox.account().charges] == [0]


async def test_a_hold_is_taken_in_part(driven: Driven) -> None:
    """An intent or a charge is captured; what Stripe lets go of the rest is no refund, and no notice says otherwise."""
    shop = driven.shop
    held = await shop.charge(order(method="tok_visa", capture_method=CaptureMethod.MANUAL))
    wanted = capture.Wanted(held.id, 1500, "test")
    asked = await capture.ask(shop.pool, shop.ids, shop.stripe.capture, wanted, shop.clock.now())
    assert asked.claimed is not None
    heard = await operating.call(shop.stripe, asked.claimed, shop.clock)
    (payment,) = await capture.record(shop.pool, shop.ids, [heard], shop.clock.now())
    await keep(shop, *driven.news(held.id))
    await run(shop)
    seen = await shown(shop, held)
    assert (payment.state, payment.amount_captured) == ("succeeded", 1500)
    assert (seen["status"], seen["amount_captured"], seen["amount_refunded"]) == ("succeeded", 1500, 0)


async def test_a_hold_that_ends_by_itself_is_canceled(driven: Driven) -> None:
    """After seven days nobody has taken it: Stripe says so of the charge, and of the intent where there is one."""
    shop = driven.shop
    held = await shop.charge(order(method="tok_visa", capture_method=CaptureMethod.MANUAL))
    await driven.sandbox.advance(7 * DAY_SECONDS)
    await keep(shop, *driven.news(held.id))
    await run(shop)
    assert await shop.state(held) == "canceled"
    assert await shop.facts(held) == [
        (1, "PaymentRequested", "order"),
        (2, "PaymentAuthorized", "answer"),
        (3, "PaymentCanceled", "notice"),
    ]


async def test_a_hold_is_asked_about_by_its_name(by_charges: Shop) -> None:
    """Nothing was heard for a while: the charge is looked up, and still holds the money."""
    payment = await by_charges.charge(order(method="tok_visa", capture_method=CaptureMethod.MANUAL))
    by_charges.clock.advance(LOOK_UPS_AFTER[-1])
    (trace,) = await reconcile.claim_due(by_charges.pool, claimant(), by_charges.clock.now())
    heard = await reconcile.ask(by_charges.stripe, trace)
    await reconcile.record(by_charges.pool, by_charges.ids, [heard], by_charges.clock.now())
    assert trace.intent_id == payment.attempts[0].charge_id
    assert await by_charges.state(payment) == "authorized"


async def test_a_failed_payment_is_tried_again(driven: Driven) -> None:
    """A second attempt with another card: one payment, and late news of the first harms it in neither way."""
    shop = driven.shop
    failed = await shop.charge(order(method="tok_chargeDeclined"))
    late = driven.news(failed.id)
    payment = await shop.send(await again(shop, failed, "tok_visa"))
    await keep(shop, *late, *driven.news(payment.id)[len(late) :])
    await run(shop)
    assert [attempt.state.value for attempt in payment.attempts] == ["declined", "captured"]
    assert await shop.state(payment) == "succeeded"
    parked = await shop.pool.fetchval("SELECT count(*) FROM notices WHERE state = 'parked'")
    assert parked == 0


async def test_an_unknown_second_attempt_is_found_among_its_charges(by_charges: Shop, peer: Server) -> None:
    """Declined, tried again, the answer lost: of the two charges on the list the one that has the money is believed."""
    failed = await by_charges.charge(order(method="tok_chargeDeclined"))
    lost = await authorize.call(by_charges.stripe, await again(by_charges, failed, "tok_visa"), by_charges.clock)
    by_charges.clock.advance(KEY_LIFE)
    (trace,) = await reconcile.claim_due(by_charges.pool, claimant(), by_charges.clock.now())
    heard = await reconcile.ask(by_charges.stripe, trace)
    await reconcile.record(by_charges.pool, by_charges.ids, [heard], by_charges.clock.now())
    rows = await by_charges.pool.fetch("SELECT state, charge_id FROM attempts ORDER BY number")
    assert await by_charges.state(failed) == "succeeded"
    assert [row["state"] for row in rows] == ["declined", "captured"]
    assert rows[1]["charge_id"] == lost.verdict.charge_id
    assert len(list(peer.sandbox.account().charges)) == 2


async def test_its_fee_is_learned_and_its_dispute_heard(by_charges: Shop, peer: Server) -> None:
    """What comes after the money needs no intent."""
    payment = await by_charges.charge(order(method="tok_createDispute"))
    await peer.sandbox.advance(1)
    await keep(by_charges, *news_of(peer.sandbox))
    await run(by_charges)
    await wait_and_learn(by_charges, LEARN_AFTER[0])
    seen = await shown(by_charges, payment)
    assert (seen["dispute_status"], seen["fee"], seen["net"]) == ("opened", FEE, -FEE - 1500)
    assert await said(by_charges, payment) == ["opened"]


@pytest.mark.parametrize(
    ("finding", "state", "taken_and_released"),
    [(Finding.APPROVED, "succeeded", (1999, 0)), (Finding.DECLINED, "failed", (0, 1999))],
)
async def test_what_a_charge_holds_is_taken_or_let_go_by_its_fraud_check(
    by_charges: Shop, sandbox: Sandbox, finding: Finding, state: str, taken_and_released: tuple[int, int]
) -> None:
    """Screened before the capture, without an intent: the charge itself is captured, or refunded before it was."""
    shop = replace(by_charges, screening=Screening(ScreeningMode.BEFORE_CAPTURE))
    payment = await shop.charge(order(method="tok_visa"))
    assert payment.state is PaymentState.AUTHORIZED

    await assess.run(
        shop.pool, shop.ids, [Check(payment.id, finding, Cause(Source.FRAUD_CHECK, "check"))], shop.clock.now()
    )
    await work(shop)

    (charge,) = sandbox.account().charges
    assert await shop.state(payment) == state
    assert (charge["amount_captured"], charge["amount_refunded"]) == taken_and_released
