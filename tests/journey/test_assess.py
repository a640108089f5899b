"""A payment is screened: nothing is charged that was not approved, whichever comes first."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from tests.journey.test_recount import at_stripe
from tests.journey.told_by_webhook import keep
from tests.orders import Shop, claimant, order
from tests.stage import becomes
from tests.told import START

from counterfoil.domain.errors import NotFound, WrongState
from counterfoil.domain.payment import Payment, ScreeningMode
from counterfoil.domain.schedule import NEVER_SENT_FOR, REVIEW_LIFE, REVIEW_MARGIN, VERDICT_WITHIN
from counterfoil.domain.screening import Check, Finding, Screening
from counterfoil.domain.verdict import Cause, Source
from counterfoil.journey import accept, assess, authorize, capture, conclude, operating, reconcile, renew, retry, void
from counterfoil.journey.accept import Accepted
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.store import payments
from stripe_sandbox.sandbox import Sandbox, Server

BEFORE_CHARGE = Screening(ScreeningMode.BEFORE_CHARGE)
BEFORE_CAPTURE = Screening(ScreeningMode.BEFORE_CAPTURE)
BOTH = pytest.mark.parametrize("policy", [BEFORE_CHARGE, BEFORE_CAPTURE], ids=["before_charge", "before_capture"])
LOCK = "SELECT FROM payments WHERE id = $1 FOR UPDATE"
LOCK_WAITS = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""
CHARGED, FAILED = ["PaymentRequested", "PaymentSucceeded"], ["PaymentRequested", "PaymentFailed"]


def screened(shop: Shop, policy: Screening) -> Shop:
    """The same shop, with its orders screened."""
    return replace(shop, screening=policy)


async def found(shop: Shop, payment_id: UUID, *findings: Finding) -> None:
    """Checks of a payment come, one after the other."""
    for number, finding in enumerate(findings):
        check = Check(payment_id, finding, Cause(Source.FRAUD_CHECK, f"check-{number}"), 12.5)
        await assess.run(shop.pool, shop.ids, [check], shop.clock.now())


async def work(shop: Shop) -> None:
    """One round of everything a worker does for payments."""
    for sending in await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now()):
        await shop.send(sending)
    cancel = shop.stripe.cancellation
    for letting in await void.claim_due(shop.pool, shop.ids, cancel, claimant(), shop.clock.now()):
        heard = await operating.call(shop.stripe, letting, shop.clock)
        await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    for taking in await capture.claim_due(shop.pool, shop.ids, shop.stripe.capture, claimant(), shop.clock.now()):
        said = await operating.call(shop.stripe, taking, shop.clock)
        await capture.record(shop.pool, shop.ids, [said], shop.clock.now())
    await assess.run_out(shop.pool, shop.ids, shop.clock.now())


async def stands(shop: Shop, payment_id: UUID) -> Payment:
    """How a payment stands in the store."""
    async with shop.pool.acquire() as connection:
        return (await payments.read(connection, [payment_id]))[payment_id].payment


async def names(shop: Shop, payment: Payment) -> list[str]:
    return [name for _, name, _ in await shop.facts(payment)]


async def failure(shop: Shop, payment: Payment) -> tuple[str, str, bool]:
    """What PaymentFailed says: failureReason, reason, and whether another method may be tried."""
    body = json.loads(
        await shop.pool.fetchval("SELECT body FROM facts WHERE payment_id = $1 AND name = 'PaymentFailed'", payment.id)
    )
    return body["failureReason"], body["reason"], body["canRetry"]


def intents(sandbox: Sandbox) -> int:
    """How many PaymentIntents were ever asked of the sandbox."""
    return sum(entry.method == "POST" and entry.path.startswith("/v1/payment_intents") for entry in sandbox.log)


def held_and_taken(sandbox: Sandbox) -> list[tuple[str, int]]:
    """How each PaymentIntent stands in the sandbox's own books, and what was received of it."""
    return [(intent["status"], intent["amount_received"]) for intent in sandbox.account().payment_intents]


async def test_before_its_check_nothing_is_sent(shop: Shop, sandbox: Sandbox) -> None:
    """No worker sends it, nor asks about it, nor takes it for lost; not even once its time is over."""
    shop = screened(shop, BEFORE_CHARGE)
    payment = await shop.accepted(order())
    for _ in range(3):
        assert await reconcile.claim_due(shop.pool, claimant(), shop.clock.now()) == []
        await work(shop)
        shop.clock.advance(VERDICT_WITHIN)
    assert (await stands(shop, payment.id)).state == "screening"
    assert (await names(shop, payment), intents(sandbox)) == (["PaymentRequested"], 0)


async def test_an_approval_lets_a_worker_charge(shop: Shop, sandbox: Sandbox) -> None:
    """Once, however often it comes; the money is taken as the order asked."""
    shop = screened(shop, BEFORE_CHARGE)
    payment = await shop.accepted(order())
    await found(shop, payment.id, Finding.APPROVED, Finding.APPROVED)
    await work(shop)
    await found(shop, payment.id, Finding.DECLINED)
    await work(shop)
    assert (await names(shop, payment), held_and_taken(sandbox)) == (CHARGED, [("succeeded", 1999)])


async def test_a_decline_fails_the_payment_and_never_charges(shop: Shop, sandbox: Sandbox) -> None:
    """PaymentFailed fraud_suspected; the order may be paid anew, this payment may not be tried again."""
    shop = screened(shop, BEFORE_CHARGE)
    payment = await shop.accepted(order())
    await found(shop, payment.id, Finding.DECLINED, Finding.APPROVED)
    await work(shop)
    assert (await names(shop, payment), intents(sandbox)) == (FAILED, 0)
    assert await failure(shop, payment) == ("fraud_suspected", "CARD_DECLINED", False)
    with pytest.raises(WrongState):
        await renew.find(shop.pool, payment.id)
    assert isinstance((await shop.place(order(2, order_id="order-1")))[0], Accepted)


async def test_what_is_held_is_to_be_captured_once_it_is_approved(shop: Shop, sandbox: Sandbox) -> None:
    """Held at once though the order wants it captured; nobody captures before the check."""
    shop = screened(shop, BEFORE_CAPTURE)
    payment = await shop.charge(order())
    assert (payment.state, payment.capture_method, payment.amount_to_capture) == ("authorized", "automatic", None)
    assert held_and_taken(sandbox) == [("requires_capture", 0)]
    await found(shop, payment.id, Finding.APPROVED)
    after = await stands(shop, payment.id)
    assert (after.amount_to_capture, after.next_check_at) == (1999, shop.clock.now())
    await work(shop)
    await found(shop, payment.id, Finding.DECLINED)
    await work(shop)
    assert held_and_taken(sandbox) == [("succeeded", 1999)]
    assert await names(shop, payment) == ["PaymentRequested", "PaymentAuthorized", "PaymentSucceeded"]


async def test_what_is_held_is_let_go_once_it_is_declined(shop: Shop, sandbox: Sandbox) -> None:
    """The hold is void at Stripe, and the payment failed: it was not canceled."""
    shop = screened(shop, BEFORE_CAPTURE)
    payment = await shop.charge(order())
    await found(shop, payment.id, Finding.DECLINED)
    assert await shop.state(payment) == "authorized"
    await work(shop)
    assert held_and_taken(sandbox) == [("canceled", 0)]
    assert await names(shop, payment) == ["PaymentRequested", "PaymentAuthorized", "PaymentFailed"]
    assert await failure(shop, payment) == ("fraud_suspected", "CARD_DECLINED", False)


async def test_the_webhook_of_the_void_says_the_same(shop: Shop, sandbox: Sandbox) -> None:
    """The answer to our cancellation was lost: what Stripe tells afterwards is a decline as well, once."""
    shop = screened(shop, BEFORE_CAPTURE)
    payment = await shop.charge(order())
    await found(shop, payment.id, Finding.DECLINED)
    (letting,) = await void.claim_due(shop.pool, shop.ids, shop.stripe.cancellation, claimant(), shop.clock.now())
    heard = await operating.call(shop.stripe, letting, shop.clock)
    (event,) = [json.loads(json.dumps(one)) for one in sandbox.account().events if one["type"].endswith(".canceled")]
    await keep(shop, event)
    await conclude.run(shop.pool, stripe_notices, shop.ids, shop.clock.now(), livemode=False)
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert await names(shop, payment) == ["PaymentRequested", "PaymentAuthorized", "PaymentFailed"]


async def test_a_check_that_comes_while_stripe_answers(shop: Shop, sandbox: Sandbox) -> None:
    """Sent, then the check, then the answer: as if the check had come after it."""
    shop = screened(shop, BEFORE_CAPTURE)
    good, bad = await shop.sending(order(1)), await shop.sending(order(2))
    await found(shop, good.payment_id, Finding.APPROVED)
    await found(shop, bad.payment_id, Finding.DECLINED)
    assert (await shop.send(good)).amount_to_capture == 1999
    await shop.send(bad)
    await work(shop)
    assert (await stands(shop, bad.payment_id)).state == "failed"
    assert ("canceled", 0) in held_and_taken(sandbox)


async def test_what_no_worker_has_held_yet_is_never_held(shop: Shop, sandbox: Sandbox) -> None:
    """Declined while it waits to be sent: it fails unsent."""
    shop = screened(shop, BEFORE_CAPTURE)
    payment = await shop.accepted(order(), owner=None)
    await found(shop, payment.id, Finding.DECLINED)
    await work(shop)
    assert (await names(shop, payment), intents(sandbox)) == (FAILED, 0)


STEPS = ["place", Finding.MANUAL_REVIEW, Finding.APPROVED, Finding.DECLINED]


@BOTH
@pytest.mark.parametrize("steps", list(itertools.permutations(STEPS)), ids="-".join)
async def test_order_and_checks_in_any_order(
    shop: Shop, sandbox: Sandbox, policy: Screening, steps: Sequence[str]
) -> None:
    """A check before its payment is kept and heard when it comes; the first that decides is final all the same."""
    shop = screened(shop, policy)
    wish = await shop.wish(order(), "test")
    for step in steps:
        if not isinstance(step, Finding):
            (accepted,) = await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())
            assert isinstance(accepted, Accepted)
            if accepted.claim is not None:
                await shop.send(authorize.Sending(wish.payment_id, 1, accepted.claim, wish.request, again=False))
        else:
            await found(shop, wish.payment_id, step)
    await work(shop)
    payment = await stands(shop, wish.payment_id)
    taken = held_and_taken(sandbox)
    if steps.index(Finding.APPROVED) < steps.index(Finding.DECLINED):
        assert (payment.state, payment.amount_captured, taken) == ("succeeded", 1999, [("succeeded", 1999)])
    else:
        assert (payment.state, payment.amount_to_capture) == ("failed", None)
        assert [status for status, _ in taken if status != "canceled"] == []
    assert payment.fraud_decision == next(step for step in steps if step in (Finding.APPROVED, Finding.DECLINED))


async def test_checks_of_one_batch_are_heard_in_order(shop: Shop) -> None:
    """Several of one payment and of others, some of them unknown: each payment is written once."""
    shop = screened(shop, BEFORE_CHARGE)
    one, two = await shop.accepted(order(1)), await shop.accepted(order(2))
    away = shop.ids.new()
    cause = Cause(Source.FRAUD_CHECK, "check")
    said = [
        (one.id, Finding.MANUAL_REVIEW),
        (away, Finding.DECLINED),
        (one.id, Finding.DECLINED),
        (two.id, Finding.APPROVED),
        (one.id, Finding.APPROVED),
        (away, Finding.APPROVED),
    ]
    batch = [Check(payment_id, finding, cause) for payment_id, finding in said]
    heard = await assess.run(shop.pool, shop.ids, batch, shop.clock.now())
    assert {payment.id: payment.state for payment in heard.values()} == {one.id: "failed", two.id: "requested"}
    kept = await shop.pool.fetch("SELECT payment_id, decision FROM fraud_checks")
    assert {row["payment_id"]: row["decision"] for row in kept} == {
        one.id: "DECLINED",
        two.id: "APPROVED",
        away: "DECLINED",
    }


async def test_a_check_waits_for_a_payment_that_is_being_accepted(shop: Shop) -> None:
    """Neither sees the other's transaction: the check is heard all the same, and not kept for nobody."""
    shop = screened(shop, BEFORE_CHARGE)
    wish = await shop.wish(order(), None)
    async with shop.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE attempts IN SHARE MODE")  # accepting comes so far, and no further
        accepting = asyncio.create_task(accept.run(shop.pool, shop.ids, [wish], shop.clock.now()))
        await becomes(1, lambda: waiting(shop, "relation"))
        coming = asyncio.create_task(found(shop, wish.payment_id, Finding.DECLINED))
        await becomes(1, lambda: waiting(shop, "advisory"))
    (accepted,) = await accepting
    await coming
    assert isinstance(accepted, Accepted)
    assert accepted.payment.state == "screening"
    assert (await stands(shop, wish.payment_id)).state == "failed"


async def waiting(shop: Shop, kind: str) -> int:
    """How many wait for a lock of that kind."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = $1 AND NOT granted AND database = "
    query += "(SELECT oid FROM pg_database WHERE datname = current_database())"
    count: int = await shop.pool.fetchval(query, kind)
    return count


async def test_without_a_check_in_time_a_person_decides(shop: Shop) -> None:
    """Approved by a person it goes on; who decided and why is kept, and no check after it counts."""
    shop = screened(shop, BEFORE_CHARGE)
    payment = await shop.accepted(order())
    shop.clock.advance(VERDICT_WITHIN)
    await work(shop)
    assert (await stands(shop, payment.id)).reviewing
    await review(shop, payment, Finding.APPROVED)
    await found(shop, payment.id, Finding.DECLINED)
    await work(shop)
    assert await names(shop, payment) == CHARGED
    row = await shop.pool.fetchrow("SELECT decision, source, reference, note FROM fraud_checks")
    assert row is not None
    assert tuple(row.values()) == ("APPROVED", "review", "ada", "a regular")


async def review(shop: Shop, payment: Payment, finding: Finding) -> Payment:
    """Decide on a payment as a person does."""
    check = Check(payment.id, finding, Cause(Source.REVIEW, "ada"), note="a regular")
    return await assess.review(shop.pool, shop.ids, check, shop.clock.now())


async def test_a_person_may_decline(shop: Shop, sandbox: Sandbox) -> None:
    """What is held is let go; what was not sent never is."""
    unsent = await screened(shop, BEFORE_CHARGE).accepted(order(1))
    held = await screened(shop, BEFORE_CAPTURE).charge(order(2))
    for payment in (unsent, held):
        await found(shop, payment.id, Finding.MANUAL_REVIEW)
        await review(shop, payment, Finding.DECLINED)
    await work(shop)
    assert [await shop.state(payment) for payment in (unsent, held)] == ["failed", "failed"]
    assert held_and_taken(sandbox) == [("canceled", 0)]


async def test_nobody_decides_where_no_review_is_open(shop: Shop) -> None:
    """Not before one is, not twice, not once it is over; and not on what is not there."""
    shop = screened(shop, BEFORE_CHARGE)
    payment = await shop.accepted(order())
    with pytest.raises(WrongState):
        await review(shop, payment, Finding.APPROVED)
    await found(shop, payment.id, Finding.MANUAL_REVIEW)
    await review(shop, payment, Finding.APPROVED)
    with pytest.raises(WrongState):
        await review(shop, payment, Finding.DECLINED)
    with pytest.raises(NotFound):
        await review(shop, replace(payment, id=shop.ids.new()), Finding.APPROVED)


async def test_a_review_that_nobody_ends_is_a_decline(shop: Shop, sandbox: Sandbox) -> None:
    """What is not held fails after three days; a person comes too late."""
    shop = screened(shop, BEFORE_CHARGE)
    payment = await shop.accepted(order())
    await found(shop, payment.id, Finding.MANUAL_REVIEW)
    shop.clock.advance(REVIEW_LIFE - timedelta(seconds=1))
    await work(shop)
    assert await shop.state(payment) == "screening"
    shop.clock.advance(timedelta(seconds=1))
    await work(shop)
    assert (await shop.facts(payment))[-1] == (2, "PaymentFailed", "timer")
    assert intents(sandbox) == 0
    with pytest.raises(WrongState):
        await review(shop, payment, Finding.APPROVED)


async def test_a_held_payments_review_ends_an_hour_before_its_hold(shop: Shop, sandbox: Sandbox) -> None:
    """Late enough for every person, early enough to let go before Stripe does."""
    shop = screened(shop, BEFORE_CAPTURE)
    payment = await shop.charge(order())
    ends = START + timedelta(days=5)
    await shop.pool.execute("UPDATE payments SET hold_ends_at = $1", ends)
    await found(shop, payment.id, Finding.MANUAL_REVIEW)
    assert (await stands(shop, payment.id)).decide_by == ends - REVIEW_MARGIN
    shop.clock.advance(ends - REVIEW_MARGIN - START)
    await work(shop)
    await work(shop)
    assert (await shop.state(payment), held_and_taken(sandbox)) == ("failed", [("canceled", 0)])


async def test_an_approval_after_days_is_still_sent(shop: Shop) -> None:
    """It waited for its check and not for the network: the three days of a send begin with the approval."""
    shop = screened(shop, replace(BEFORE_CHARGE, timeout=timedelta(hours=24)))
    payment = await shop.accepted(order())
    shop.clock.advance(timedelta(hours=24))
    await work(shop)
    shop.clock.advance(NEVER_SENT_FOR - timedelta(hours=1))
    await review(shop, payment, Finding.APPROVED)
    await work(shop)
    assert await shop.state(payment) == "succeeded"


async def test_a_declined_card_may_be_followed_by_another_while_the_check_is_out(shop: Shop) -> None:
    """The other is held as the first would have been, and the check is of the payment."""
    shop = screened(shop, BEFORE_CAPTURE)
    payment = await shop.charge(order(method="pm_card_chargeDeclined"))
    shop.clock.advance(VERDICT_WITHIN)
    await work(shop)
    held = await shop.charge_again(payment)
    assert (held.state, held.screening, held.decide_by) == ("authorized", True, shop.clock.now() + VERDICT_WITHIN)
    await found(shop, payment.id, Finding.APPROVED)
    assert (await stands(shop, payment.id)).amount_to_capture == 1999


async def test_a_retry_of_ours_holds_as_the_first_try_did(shop: Shop) -> None:
    """It may make an intent of its own, and an intent that captures would not wait for the check."""
    wished = order(method="card_1", off_session=True)
    payment = await screened(shop, BEFORE_CAPTURE).accepted(wished)
    prepared = await retry.prepare(shop.stripe, retry.Due(payment, wished))
    assert prepared.request is not None
    assert json.loads(prepared.request.body)["parameters"]["capture_method"] == "manual"


async def test_pitfall_07_who_is_refused_for_a_deadlock_comes_again(shop: Shop) -> None:
    """A rival locks the same two payments in the other order: the database ends ours, and both checks are heard yet."""
    shop = screened(shop, BEFORE_CHARGE)
    first, second = [await shop.accepted(order(number)) for number in (1, 2)]
    checks = [Check(one.id, Finding.APPROVED, Cause(Source.FRAUD_CHECK, "check")) for one in (first, second)]
    async with shop.pool.acquire() as rival, shop.pool.acquire() as watcher:

        async def waiting() -> int:
            waits: int = await watcher.fetchval(LOCK_WAITS)
            return waits

        await rival.execute("SET deadlock_timeout = '1 min'")  # so that it is ours that is ended
        async with rival.transaction():
            await rival.execute(LOCK, second.id)
            ours = asyncio.create_task(assess.run(shop.pool, shop.ids, checks, shop.clock.now()))
            await becomes(1, waiting)
            await rival.execute(LOCK, first.id)  # it comes through only because ours was ended
            assert not ours.done()
        await ours
        await rival.execute("RESET deadlock_timeout")

    assert [len(await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now()))] == [2]


@pytest.mark.parametrize("first", ["capture", "decline"])
async def test_money_that_was_taken_by_hand_all_the_same_calls_a_person(shop: Shop, peer: Server, first: str) -> None:
    """What is held is captured at Stripe itself, and its check declines it: whichever is heard first, it is seen."""
    shop = screened(shop, BEFORE_CAPTURE)
    payment = await shop.charge(order())
    await at_stripe(peer, f"/v1/payment_intents/{payment.intent_id}/capture")
    before = alarms()

    if first == "capture":
        await keep(shop, *json.loads(json.dumps(list(peer.sandbox.account().events))))
        await conclude.run(shop.pool, stripe_notices, shop.ids, shop.clock.now(), livemode=False)
    await found(shop, payment.id, Finding.DECLINED)
    await work(shop)

    assert await names(shop, payment) == ["PaymentRequested", "PaymentAuthorized", "PaymentSucceeded"]
    assert alarms() == before + 1


def alarms() -> float:
    """How often a person was called, by a check or by what was to be let go."""
    return sum(REGISTRY.get_sample_value("counterfoil_alarms_total", {"where": one}) or 0 for one in ("assess", "void"))
