"""Kept notices move their payments, in any order and any number, and what is none of ours is left alone."""

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.journey.told_by_webhook import event, events_of, intent, keep, run
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import CaptureMethod, Payment
from counterfoil.domain.schedule import CLAIM
from counterfoil.domain.states import PaymentState
from counterfoil.journey import accept, authorize, reconcile
from counterfoil.journey.accept import Wish
from counterfoil.journey.weighing import MOST_TRIES, OWNER_WAIT
from counterfoil.runtime.metrics import ALARMS
from counterfoil.store import reading
from counterfoil.store.notices import NoticeState
from stripe_sandbox.sandbox import Sandbox


async def reason(shop: Shop) -> str | None:
    found: str | None = await shop.pool.fetchval("SELECT reason FROM notices")
    return found


async def test_a_notice_alone_settles_the_payment(shop: Shop) -> None:
    """The answer was lost; the webhook says it all, and is the cause on record."""
    payment = await shop.accepted(order())
    await keep(shop, event("payment_intent.succeeded", intent(payment)))
    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.state(payment) == "succeeded"
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "notice")]


async def test_answer_and_notice_together_say_it_once(shop: Shop, sandbox: Sandbox) -> None:
    """Whichever comes second changes nothing: one PaymentSucceeded."""
    payment = await shop.charge(order())
    await keep(shop, *events_of(sandbox))
    await run(shop)
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "answer")]


async def test_the_notice_may_come_before_the_answer_is_recorded(shop: Shop, sandbox: Sandbox) -> None:
    """The usual race, the other way round: still one PaymentSucceeded."""
    sending = await shop.sending(order())
    heard = await authorize.call(shop.stripe, sending, shop.clock)
    await keep(shop, *events_of(sandbox))
    await run(shop)
    (payment,) = await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "notice")]


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_chargeDeclined"])
async def test_every_order_of_a_payments_events_ends_the_same(shop: Shop, sandbox: Sandbox, method: str) -> None:
    """All orders of what Stripe made for one payment, one notice at a time: same state, same facts."""
    sending = await shop.sending(order(method=method))
    await authorize.call(shop.stripe, sending, shop.clock)
    made, ends = events_of(sandbox), set()
    for number, permutation in enumerate(itertools.permutations(made), start=10):
        payment = await shop.accepted(order(number))
        for one in permutation:
            await keep(shop, _belonging_to(one, payment, number))
            await run(shop)
        facts = await shop.facts(payment)
        ends.add((await shop.state(payment), tuple(facts)))
    assert len(made) >= 3
    assert len(ends) == 1


def _belonging_to(one: dict[str, Any], payment: Payment, number: int) -> dict[str, Any]:
    """The same event as it would have been made for another payment: ids differ, everything else is equal."""
    thing = dict(one["data"]["object"])
    text = json.dumps({**one, "id": f"{one['id']}_{number}", "data": {"object": thing}})
    text = text.replace(thing["metadata"]["payment_id"], str(payment.id))
    intent_id = thing["id"] if thing["object"] == "payment_intent" else thing["payment_intent"]
    charge_id = thing["latest_charge"] if thing["object"] == "payment_intent" else thing["id"]
    text = text.replace(intent_id, f"{intent_id}_{number}")
    if charge_id:
        text = text.replace(charge_id, f"{charge_id}_{number}")
    again: dict[str, Any] = json.loads(text)
    return again


async def test_the_same_event_twice_is_one_notice(shop: Shop) -> None:
    """Stripe delivers at least once; the second delivery is counted."""
    payment = await shop.accepted(order())
    said = event("payment_intent.succeeded", intent(payment))
    await keep(shop, said)
    await keep(shop, said)
    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.pool.fetchval("SELECT deliveries FROM notices") == 2
    assert await shop.pool.fetchval("SELECT count(*) FROM notice_bodies") == 1


async def test_foreign_objects_are_kept_counted_and_done(shop: Shop) -> None:
    """No metadata of ours and no intent we know: somebody else's payment on the same account."""
    await keep(shop, event("payment_intent.succeeded", {"id": "pi_9", "status": "succeeded", "metadata": {}}))
    assert await run(shop) == {NoticeState.FOREIGN: 1}


@pytest.mark.parametrize("thing", [{"status": "a_new_status"}, {}])
async def test_a_foreign_object_that_we_cannot_read_is_nobodys_business(shop: Shop, thing: dict[str, Any]) -> None:
    """Somebody else's payment may stand in a way that we do not know: it is done, and nobody is called."""
    before = alarms()
    await keep(shop, event("payment_intent.succeeded", {"id": "pi_9", "metadata": {}} | thing))
    assert await run(shop) == {NoticeState.FOREIGN: 1}
    assert alarms() == before


async def test_types_that_say_nothing_of_money_are_done(shop: Shop) -> None:
    """Unknown types are never an error: Stripe adds them every month."""
    await keep(shop, event("customer.created", {"id": "cus_1"}))
    assert await run(shop) == {NoticeState.DONE: 1}


async def test_pitfall_24_the_other_mode_is_left_alone(shop: Shop) -> None:
    """A live event at a test installation moves nothing, whatever it claims."""
    payment = await shop.accepted(order())
    await keep(shop, event("payment_intent.succeeded", intent(payment), livemode=True))
    assert await run(shop) == {NoticeState.FOREIGN: 1}
    assert await shop.state(payment) == "processing"


async def test_pitfall_15_an_event_in_another_version_is_a_hint_and_stands_in_nobodys_way(
    shop: Shop, sandbox: Sandbox
) -> None:
    """An old endpoint brings it first, a new one the same event in our version: what Stripe has is asked for."""
    sending = await shop.sending(order())
    await authorize.call(shop.stripe, sending, shop.clock)  # the answer is lost
    (said,) = [one for one in events_of(sandbox) if one["type"] == "payment_intent.succeeded"]
    await keep(shop, {**said, "api_version": "2020-08-27"})
    assert await run(shop) == {NoticeState.DONE: 1}
    await keep(shop, said)
    await run(shop)

    assert [row["deliveries"] for row in await shop.pool.fetch("SELECT deliveries FROM notices")] == [2]
    shop.clock.advance(CLAIM)  # nobody comes back to record the answer
    (asked,) = await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    heard = await reconcile.ask(shop.stripe, asked)
    await reconcile.record(shop.pool, shop.ids, [heard], shop.clock.now())
    rows = await shop.pool.fetch("SELECT name, cause_source FROM facts ORDER BY version")
    assert [tuple(row.values()) for row in rows] == [("PaymentRequested", "order"), ("PaymentSucceeded", "look-up")]


async def test_an_event_in_another_version_is_only_a_hint(shop: Shop) -> None:
    """Its fields may mean something else; the payment is asked about at once, in our version."""
    payment = await shop.accepted(order())
    await keep(shop, event("payment_intent.succeeded", intent(payment), api_version="2025-03-31.basil"))
    assert await run(shop) == {NoticeState.DONE: 1}
    row = await shop.pool.fetchrow("SELECT state, intent_id, next_check_at FROM payments")
    assert row is not None
    assert ("processing", "pi_1", shop.clock.now()) == tuple(row.values())


async def test_a_notice_that_overtakes_its_payment_waits_for_it(shop: Shop) -> None:
    """It names a payment whose commit is still to come: a moment later it is read again, and concludes."""
    payment_id = shop.ids.new()
    request = await shop.stripe.request_for(payment_id, order())
    unborn = Payment(payment_id, "order-1", "event-1", order().money, shop.clock.now())
    await keep(shop, event("payment_intent.succeeded", intent(unborn)))
    assert await run(shop) == {NoticeState.KEPT: 1}

    await accept.run(
        shop.pool, shop.ids, [Wish(payment_id, order(), request, livemode=False, owner="test")], shop.clock.now()
    )
    shop.clock.advance(OWNER_WAIT)

    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.state(unborn) == "succeeded"


async def test_a_notice_whose_payment_never_comes_is_parked(shop: Shop) -> None:
    """After eight tries a person may look; it does not go round for ever."""
    nobody = replace(await shop.accepted(order()), id=shop.ids.new())
    await keep(shop, event("payment_intent.succeeded", intent(nobody)))
    ended = []
    for _ in range(MOST_TRIES):
        ended += list(await run(shop))
        shop.clock.advance(OWNER_WAIT)
    assert ended == [NoticeState.KEPT] * (MOST_TRIES - 1) + [NoticeState.PARKED]
    assert await run(shop) == {}


async def test_metadata_is_no_proof(shop: Shop) -> None:
    """An intent that names the payment of another intent moves nothing and is parked for a person."""
    payment = await shop.charge(order(method="pm_card_threeDSecure2Required"))
    await keep(shop, event("payment_intent.succeeded", intent(payment, id="pi_other")))
    assert await run(shop) == {NoticeState.PARKED: 1}
    assert await shop.state(payment) == PaymentState.REQUIRES_ACTION


@pytest.mark.parametrize(
    "thing",
    [
        {"status": "a_new_status"},
        {"status": "succeeded", "amount_received": "much"},
        {"status": "requires_payment_method", "last_payment_error": "declined"},
    ],
)
async def test_what_cannot_be_read_is_parked_and_harms_nobody(shop: Shop, thing: dict[str, Any]) -> None:
    """An object that is not what Stripe documents moves nothing; the others of its batch are read all the same."""
    strange, plain = await shop.accepted(order(1)), await shop.accepted(order(2))
    await keep(
        shop,
        event("payment_intent.succeeded", intent(strange, **thing), "evt_1"),
        event("payment_intent.succeeded", intent(plain, id="pi_2", latest_charge="ch_2"), "evt_2"),
    )
    assert await run(shop) == {NoticeState.PARKED: 1, NoticeState.DONE: 1}
    assert [await shop.state(strange), await shop.state(plain)] == ["processing", "succeeded"]


async def test_a_notice_whose_body_has_expired_is_parked(shop: Shop) -> None:
    """The small row outlives its body; it says so instead of failing for ever."""
    payment = await shop.accepted(order())
    await keep(shop, event("payment_intent.succeeded", intent(payment)))
    await shop.pool.execute("DELETE FROM notice_bodies")
    assert await run(shop) == {NoticeState.PARKED: 1}
    assert await reason(shop) == "its body has expired"


async def test_one_batch_folds_to_one_write_for_each_payment(shop: Shop) -> None:
    """Three notices of one payment: two facts, numbered without a gap, in one transaction."""
    payment = await shop.accepted(order())
    await keep(
        shop,
        event("payment_intent.processing", intent(payment, "processing"), "evt_1"),
        event("payment_intent.succeeded", intent(payment), "evt_2"),
        event("charge.succeeded", _charge(payment), "evt_3"),
    )
    await run(shop)
    names = ["PaymentRequested", "PaymentProcessing", "PaymentSucceeded"]
    assert names == [name for _, name, _ in await shop.facts(payment)]
    assert await shop.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM facts") == 2


def _charge(payment: Payment) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "status": "succeeded",
        "captured": True,
        "amount": 1999,
        "amount_captured": 1999,
        "payment_intent": "pi_1",
        "metadata": {"payment_id": str(payment.id)},
    }


async def test_an_escaped_nul_survives(shop: Shop) -> None:
    """PostgreSQL keeps no NUL in text; what is read out of a body is made storable."""
    await keep(shop, event("customer.created", {"id": "cus_\0"}, "evt_\0"))
    assert await run(shop) == {NoticeState.DONE: 1}


async def test_a_notice_the_store_refuses_is_parked_and_the_others_go_on(shop: Shop) -> None:
    """It claims a charge that another payment owns: only the culprit is parked, the rest of its batch is recorded."""
    await shop.pool.execute(
        "UPDATE attempts SET charge_id = 'ch_taken' WHERE payment_id = $1", (await shop.accepted(order(1))).id
    )
    culprit, plain = await shop.accepted(order(2)), await shop.accepted(order(3))
    await keep(
        shop,
        event("payment_intent.succeeded", intent(culprit, latest_charge="ch_taken"), "evt_1"),
        event("payment_intent.succeeded", intent(plain, id="pi_2", latest_charge="ch_2"), "evt_2"),
    )
    assert await run(shop) == {NoticeState.PARKED: 1, NoticeState.DONE: 1}
    assert [await shop.state(culprit), await shop.state(plain)] == ["processing", "succeeded"]
    assert await run(shop) == {}


async def test_a_late_success_by_another_charge_is_recorded(shop: Shop) -> None:
    """Declined, then paid through the same intent by a charge we did not ask for: the money is on record."""
    payment = await shop.charge(order(method="pm_card_chargeDeclined"))
    await keep(shop, event("payment_intent.succeeded", intent(payment, id=payment.intent_id, latest_charge="ch_late")))
    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.state(payment) == "succeeded"
    assert await shop.pool.fetchval("SELECT charge_id FROM attempts") == "ch_late"


async def test_a_late_success_is_recorded_though_the_order_was_paid_again(shop: Shop) -> None:
    """The customer paid twice: both successes are facts, and the order stays with the second payment."""
    first = await shop.charge(order(1, method="pm_card_chargeDeclined"))
    second = await shop.charge(order(2, order_id="order-1"))
    said = intent(first, id=first.intent_id, latest_charge=first.attempts[0].charge_id)
    await keep(shop, event("payment_intent.succeeded", said))
    assert await run(shop) == {NoticeState.DONE: 1}
    assert [await shop.state(first), await shop.state(second)] == ["succeeded", "succeeded"]
    view = await reading.payment_of_order(shop.pool, "order-1")
    assert view is not None
    assert view.id == second.id


async def test_a_second_charge_of_paid_money_is_a_persons_business(shop: Shop) -> None:
    """Two captured charges of one payment must not be; the record stays, and the notice is parked with its reason."""
    payment = await shop.charge(order())
    await keep(shop, event("payment_intent.succeeded", intent(payment, id=payment.intent_id, latest_charge="ch_2")))
    assert await run(shop) == {NoticeState.PARKED: 1}


STRANGE = [
    {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined", "message": 5}},
    {"status": "requires_payment_method", "last_payment_error": {"code": ["x"], "message": "m"}},
    {"status": "requires_action", "next_action": {"r": {"url": "https://x", "expires_at": 10**25}}},
    {"status": "requires_action", "next_action": {"r": {"url": "https://x", "expires_at": 10**11}}},
    {"status": "succeeded", "amount_received": 10**20},
]


@pytest.mark.parametrize("thing", STRANGE)
async def test_no_odd_notice_stops_the_others(shop: Shop, thing: dict[str, Any]) -> None:
    """Signed and strange: whatever it holds, the good notice beside it is read in the same round."""
    odd, plain = await shop.accepted(order(1)), await shop.accepted(order(2))
    await keep(
        shop,
        event("payment_intent.payment_failed", intent(odd, **thing), "evt_1"),
        event("payment_intent.succeeded", intent(plain, id="pi_2", latest_charge="ch_2"), "evt_2"),
    )
    assert sum((await run(shop)).values()) == 2
    assert await shop.state(plain) == "succeeded"
    assert await run(shop) == {}


async def test_pitfall_03_what_was_parked_is_read_again_when_it_comes_again(shop: Shop) -> None:
    """Stripe delivers it once more, or a person replays it: what was in its way may be gone, its body is kept anew."""
    payment = await shop.accepted(order())
    said = event("payment_intent.succeeded", intent(payment))
    await keep(shop, said)
    await shop.pool.execute("DELETE FROM notice_bodies")
    assert await run(shop) == {NoticeState.PARKED: 1}
    shop.clock.advance(timedelta(days=1))
    await keep(shop, said)
    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.state(payment) == "succeeded"


def alarms() -> float:
    """How often reading notices has raised an alarm in this process."""
    count: float = ALARMS.labels("conclude")._value.get()
    return count


async def test_another_amount_is_recorded_as_it_is_and_alarms(shop: Shop) -> None:
    """Stripe took 14.99 where 19.99 was asked for: the money is on record, and a person is told (W14)."""
    payment, before = await shop.accepted(order()), alarms()
    await keep(shop, event("payment_intent.succeeded", intent(payment, currency="eur", amount_received=1499)))
    assert await run(shop) == {NoticeState.DONE: 1}
    assert (await shop.state(payment), alarms()) == ("succeeded", before + 1)
    assert await shop.pool.fetchval("SELECT amount_captured FROM payments") == 1499


@pytest.mark.parametrize("standing", ["open", "paid"])
async def test_another_currency_is_nothing_that_could_be_recorded(shop: Shop, standing: str) -> None:
    """Dollars are not euros: the notice is parked for a person, whether the payment is open or paid (W14)."""
    payment = await (shop.charge(order()) if standing == "paid" else shop.accepted(order()))
    before, state = alarms(), await shop.state(payment)
    charge_id = payment.attempts[0].charge_id or "ch_1"
    said = intent(payment, id=payment.intent_id or "pi_1", currency="usd", latest_charge=charge_id)
    await keep(shop, event("payment_intent.succeeded", said))
    assert await run(shop) == {NoticeState.PARKED: 1}
    assert (await shop.state(payment), alarms()) == (state, before + 1)
    assert await reason(shop) == "the processor speaks of another currency than was asked for"


async def test_part_of_what_is_held_may_be_taken(shop: Shop) -> None:
    """With manual capture less than was asked for is no contradiction."""
    payment, before = await shop.accepted(order(capture_method=CaptureMethod.MANUAL)), alarms()
    await keep(shop, event("payment_intent.succeeded", intent(payment, currency="eur", amount_received=500)))
    assert await run(shop) == {NoticeState.DONE: 1}
    assert (await shop.state(payment), alarms()) == ("succeeded", before)
