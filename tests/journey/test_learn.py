"""The fee is a late fact: success never waits for it, and it is asked for a few times and then no more."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.journey.test_disputes import said, shown
from tests.journey.told_by_webhook import keep, run
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import Payment
from counterfoil.domain.request import Request
from counterfoil.domain.schedule import CLAIM, LEARN_AFTER
from counterfoil.journey import learn
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.store import pauses, reading
from stripe_sandbox.sandbox import Sandbox, Server

FEE = 88
"""2.9 % of 19.99 and 0.30, as the sandbox counts it."""


async def unbooked(shop: Shop, number: int = 1) -> Payment:
    """A payment whose charge Stripe books a while after its success, as it does for what it captures in its own time.

    We ask for capture at once, and Stripe may still be late; the sandbox is late only where it is asked to be.
    """
    sending = await shop.sending(order(number))
    late = sending.request.body.replace(b'"capture_method":"automatic"', b'"capture_method":"automatic_async"')
    assert late != sending.request.body
    return await shop.send(replace(sending, request=Request(sending.request.key, late)))


async def learn_due(shop: Shop) -> int:
    """Ask for everything that is due, as the worker does; return for how many payments."""
    due = await learn.claim_due(shop.pool, claimant(), shop.clock.now())
    heard = [await learn.call(shop.stripe, one) for one in due]
    await learn.record(shop.pool, shop.ids, heard, shop.clock.now())
    return len(due)


async def wait_and_learn(shop: Shop, wait: timedelta) -> int:
    shop.clock.advance(wait)
    return await learn_due(shop)


def bookings(sandbox: Sandbox) -> list[dict[str, Any]]:
    made = [json.loads(json.dumps(one)) for one in sandbox.account().events]
    return [one for one in made if one["type"] == "charge.updated"]


async def test_pitfall_18_success_does_not_wait_for_the_fee(shop: Shop) -> None:
    """Not booked at success: succeeded and said so, the fee unknown, and not asked for before a minute has passed."""
    payment = await unbooked(shop)
    seen = await shown(shop, payment)
    assert (seen["status"], seen["fee"], seen["net"]) == ("succeeded", None, None)
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "answer")]
    assert await learn_due(shop) == 0


async def test_the_fee_comes_when_the_charge_was_booked(shop: Shop, sandbox: Sandbox) -> None:
    """The notice that it was booked names no amount: it only has the charge asked for, at once."""
    payment = await unbooked(shop)
    await sandbox.advance(3600)
    (booked,) = bookings(sandbox)
    await keep(shop, booked)
    await run(shop)
    assert await learn_due(shop) == 1
    seen = await shown(shop, payment)
    assert (seen["fee"], seen["fee_currency"], seen["net"]) == (FEE, "EUR", 1999 - FEE)
    assert len(await shop.facts(payment)) == 2


async def test_the_fee_is_on_the_timeline(shop: Shop) -> None:
    """With what told it, as everything that we know."""
    payment = await shop.charge(order())
    await wait_and_learn(shop, LEARN_AFTER[0])
    entries = await reading.timeline(shop.pool, payment.id)
    last = entries[-1]
    assert (last.kind, last.name, last.sequence, last.source) == ("fee", "fee", FEE, "EUR")
    assert last.reference.startswith("req_")
    assert last.at == shop.clock.now()


async def test_a_fee_that_nobody_tells_of_is_asked_for(shop: Shop, peer: Server) -> None:
    """The usual way: booked at success, asked for once after a minute, by one call, and never again."""
    await shop.charge(order())
    calls = len(list(peer.sandbox.log))
    asked = [await wait_and_learn(shop, wait) for wait in (*LEARN_AFTER, timedelta(days=30))]
    assert asked == [1, 0, 0, 0]
    assert await shop.pool.fetchval("SELECT fee FROM payments") == FEE
    assert [entry.path.partition("/ch_")[0] for entry in list(peer.sandbox.log)[calls:]] == ["/v1/charges"]


async def test_who_knows_nothing_is_asked_ever_more_slowly_and_then_no_more(shop: Shop, peer: Server) -> None:
    """Stripe has forgotten the charge: after a minute, an hour and a day it is given up."""
    payment = await shop.charge(order())
    peer.sandbox.reset()
    asked = [await wait_and_learn(shop, wait) for wait in (*LEARN_AFTER, timedelta(days=30))]
    assert asked == [1, 1, 1, 0]
    assert (await shown(shop, payment))["fee"] is None
    assert await shop.state(payment) == "succeeded"


async def test_a_hint_after_all_has_it_asked_once_more(shop: Shop, sandbox: Sandbox) -> None:
    """Given up, and then booked days late: the notice has it asked for again, and the fee is known."""
    payment = await unbooked(shop)
    await shop.pool.execute("UPDATE payments SET learn_at = NULL, learn_tries = 3")
    await sandbox.advance(3600)
    await keep(shop, *bookings(sandbox))
    await run(shop)
    assert await learn_due(shop) == 1
    assert (await shown(shop, payment))["fee"] == FEE


async def test_a_hint_while_it_is_asked_for_is_not_lost(shop: Shop, sandbox: Sandbox) -> None:
    """Asked too early, and booked before that is on record: the hint stands, and it is asked for again at once."""
    payment = await unbooked(shop)
    await shop.pool.execute("UPDATE payments SET learn_at = $1", shop.clock.now())
    (due,) = await learn.claim_due(shop.pool, claimant(), shop.clock.now())
    early = await learn.call(shop.stripe, due)
    await sandbox.advance(3600)
    await keep(shop, *bookings(sandbox))
    await run(shop)
    await learn.record(shop.pool, shop.ids, [early], shop.clock.now())
    assert early.learned.fee is None
    assert await learn_due(shop) == 1
    assert (await shown(shop, payment))["fee"] == FEE


@pytest.mark.parametrize("method", ["pm_card_chargeDeclined", "pm_card_threeDSecure2Required"])
async def test_what_brought_no_money_has_no_fee(shop: Shop, method: str) -> None:
    """Failed or still open: nothing is asked for, ever."""
    await shop.charge(order(method=method))
    assert [await wait_and_learn(shop, wait) for wait in LEARN_AFTER] == [0, 0, 0]


async def test_two_workers_do_not_ask_for_the_same(shop: Shop) -> None:
    """Taking is a claim, of so many at once; it ends by itself if the worker dies."""
    for number in range(learn.MOST_AT_ONCE + 1):
        await shop.charge(order(number))
    shop.clock.advance(LEARN_AFTER[0])
    taken = [len(await learn.claim_due(shop.pool, claimant(), shop.clock.now())) for _ in range(3)]
    shop.clock.advance(CLAIM)
    taken.append(len(await learn.claim_due(shop.pool, claimant(), shop.clock.now(), most=50)))
    assert taken == [learn.MOST_AT_ONCE, 1, 0, learn.MOST_AT_ONCE + 1]


async def test_nothing_is_asked_for_while_our_key_is_refused(shop: Shop) -> None:
    """The pause of a key is for every call."""
    await shop.charge(order())
    now = shop.clock.advance(LEARN_AFTER[0])
    async with shop.pool.acquire() as connection:
        await pauses.begin(connection, claimant().credential, "refused", now, now)
    assert await learn_due(shop) == 0


async def test_a_refused_key_is_said_and_harms_no_payment(shop: Shop, peer: Server) -> None:
    """Who asks with a key that Stripe does not take learns nothing but that."""
    await shop.charge(order())
    shop.clock.advance(LEARN_AFTER[0])
    (due,) = await learn.claim_due(shop.pool, claimant(), shop.clock.now())
    wrong = StripeProcessor("sk_test_wrong", livemode=False, api_base=peer.url)
    heard = await learn.call(wrong, due)
    await wrong.close()
    await learn.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert (heard.learned.fee, heard.learned.key_refused) == (None, True)
    assert await wait_and_learn(shop, LEARN_AFTER[1]) == 1


async def test_a_dispute_that_no_notice_told_of_is_found(shop: Shop, sandbox: Sandbox) -> None:
    """The webhook was lost; the charge says that it is disputed, and its disputes are asked for with the fee."""
    payment = await shop.charge(order(method="pm_card_createDispute"))
    await sandbox.advance(1)
    await wait_and_learn(shop, LEARN_AFTER[0])
    seen = await shown(shop, payment)
    assert (seen["disputed"], seen["amount_disputed"], seen["net"]) == (True, 1999, -FEE - 1500)
    assert await said(shop, payment) == ["opened"]
    assert (await shop.facts(payment))[-1] == (3, "PaymentDisputed", "look-up")


async def test_a_dispute_in_another_version_is_asked_about(shop: Shop, sandbox: Sandbox) -> None:
    """The notice is only a hint; what it is about is fetched in our version, though the fee is known already."""
    payment = await shop.charge(order(method="pm_card_createDispute"))
    await wait_and_learn(shop, LEARN_AFTER[0])
    await sandbox.advance(1)
    (made, _) = [one for one in sandbox.account().events if one["type"].startswith("charge.dispute.")]
    await keep(shop, {**json.loads(json.dumps(made)), "api_version": "2025-03-31.basil"})
    await run(shop)
    assert await said(shop, payment) == []
    assert await learn_due(shop) == 1
    assert await said(shop, payment) == ["opened"]
