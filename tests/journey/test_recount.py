"""What was given back elsewhere is counted from one look at the charge, whatever its notices tell, in any order."""

import itertools
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from tests.journey import peer as hostile
from tests.journey.peer import Answer
from tests.orders import Shop, order
from tests.refunds import Till, by_hand

from counterfoil.domain.payment import CaptureMethod, Payment
from counterfoil.domain.schedule import CLAIM
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.store import payments, refunds
from stripe_sandbox import refunding
from stripe_sandbox.sandbox import Sandbox, Server

HINTS = ("charge.refunded", "refund.", "charge.refund.updated")


@pytest.fixture
def till(shop: Shop) -> Till:
    """Gives money back."""
    return Till(shop)


def events(sandbox: Sandbox) -> list[Mapping[str, Any]]:
    """Every event about refunds that the sandbox made, oldest first."""
    return [one for one in everything(sandbox) if one["type"].startswith(HINTS)]


def everything(sandbox: Sandbox) -> list[Mapping[str, Any]]:
    """Every event that the sandbox made, oldest first."""
    return [json.loads(json.dumps(one)) for one in sandbox.account().events]


async def looks(peer: Server) -> list[str]:
    """Every question about charges and refunds that the sandbox was asked."""
    async with aiohttp.ClientSession() as session, session.get(f"{peer.url}/_sandbox/requests") as answer:
        log = (await answer.json())["requests"]
    asked = [one for one in log if one["method"] == "GET"]
    return [one["path"] for one in asked if "charges" in one["path"] or "refunds" in one["path"]]


def alarms() -> float:
    """How often a person was called about a look."""
    return REGISTRY.get_sample_value("counterfoil_alarms_total", {"where": "recount"}) or 0


async def held(shop: Shop) -> Payment:
    """A payment whose money is held and not taken."""
    return await shop.charge(order(capture_method=CaptureMethod.MANUAL))


async def at_stripe(peer: Server, path: str, **form: Any) -> None:
    """Do something as somebody does in Stripe's dashboard."""
    headers = {"Authorization": "Bearer sk_test_journey"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{peer.url}{path}", data=form) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def test_pitfall_23_a_refund_made_in_the_dashboard_is_adopted(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """R16: it gets a row and a name of ours, the totals include it, and it is said once; nobody is asked twice."""
    payment = await shop.charge(order())
    await by_hand(peer, payment.attempts[0].charge_id, 600)

    await till.deliver(events(sandbox))
    assert await till.recount() == 1
    assert await till.recount() == 0

    assert await till.totals(payment) == (1999, 600, 0)
    assert await till.refunds() == [(600, "processed", None)]
    assert await till.said(payment) == ["RefundProcessed"]
    assert await looks(peer) == [f"/v1/charges/{payment.attempts[0].charge_id}"]


async def test_many_hints_are_one_look_and_what_comes_meanwhile_another(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """Ten notices together are one question; one that comes while it is asked is not lost."""
    payment = await shop.charge(order())
    for _ in range(5):
        await by_hand(peer, payment.attempts[0].charge_id, 100)
    await till.deliver(events(sandbox))
    now = shop.clock.now()
    async with shop.pool.acquire() as connection:
        (trace,) = await refunds.claim_to_look(connection, now, now + CLAIM, 10, "test key")
        assert await refunds.claim_to_look(connection, now, now + CLAIM, 10, "test key") == [], "it is claimed"
        await refunds.look_soon(connection, [payment.id], now)
        await refunds.looked(connection, [trace])

    assert await till.recount() == 1
    assert await till.recount() == 0
    assert await till.totals(payment) == (1999, 500, 0)
    assert len(await looks(peer)) == 1


@pytest.mark.parametrize("method", ["pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail"])
async def test_any_order_of_notices_and_answer_ends_the_same(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server, method: str
) -> None:
    """A look counts what is, not what is told: stale, doubled and out of order, each refund is counted once."""
    payment = await shop.charge(order(method=method))
    await till.ask(payment, 500)
    await till.send()
    await by_hand(peer, payment.attempts[0].charge_id, 300)
    shop.clock.advance(timedelta(days=1))
    await sandbox.advance(0)
    made = events(sandbox)
    ends: set[tuple[tuple[int, int, int], tuple[str, ...], tuple[tuple[Any, ...], ...]]] = set()
    for permutation in itertools.islice(itertools.permutations(made), 0, 700, 97):
        for place, one in enumerate((*permutation, permutation[0])):
            await till.deliver([{**one, "id": f"{one['id']}_{place}_{len(ends)}"}])
            if place % 2:
                await till.recount()
        await till.recount()
        ends.add((await till.totals(payment), tuple(await till.said(payment)), tuple(await till.refunds())))
    given = (1999, 0, 0) if method == "pm_card_refundFail" else (1999, 800, 0)
    assert [(totals, len(rows)) for totals, _, rows in ends] == [(given, 2)]


async def test_what_is_let_go_of_a_hold_is_no_refund(shop: Shop, till: Till, sandbox: Sandbox, peer: Server) -> None:
    """Captured in part, the rest is listed as a refund; of what was taken nothing was given back, until it is."""
    payment = await held(shop)
    await at_stripe(peer, f"/v1/payment_intents/{payment.intent_id}/capture", amount_to_capture=700)
    await till.deliver(everything(sandbox))
    assert await till.totals(payment) == (700, 0, 0)
    await till.hint(payment)
    assert await till.recount() == 1
    assert (await till.totals(payment), await till.refunds()) == ((700, 0, 0), [])

    await by_hand(peer, sandbox.account().payment_intents[payment.intent_id or ""]["latest_charge"], 200)
    await till.deliver(events(sandbox))
    await till.recount()

    assert (await till.totals(payment), await till.refunds()) == ((700, 200, 0), [(200, "processed", None)])


async def test_a_hold_that_is_canceled_gives_nothing_back(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """Its charge is told as refunded; nothing was taken, so nobody looks, now or later."""
    payment = await held(shop)
    await at_stripe(peer, f"/v1/payment_intents/{payment.intent_id}/cancel")
    await till.deliver(everything(sandbox))

    assert "charge.refunded" in {one["type"] for one in sandbox.account().events}
    assert await shop.state(payment) == "canceled"
    assert (await till.recount(), await till.refunds(), await looks(peer)) == (0, [], [])


async def test_a_refund_that_is_told_before_the_money_waits_for_it(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """The answer was lost and somebody gave it back at once: it is counted once we know that it was taken."""
    sending = await shop.sending(order())
    async with shop.pool.acquire() as connection:
        payment = (await payments.read(connection, [sending.payment_id]))[sending.payment_id].payment
    lost = await shop.stripe.send(sending.request, again=False)
    await by_hand(peer, lost.charge_id, 1999)
    await till.deliver(events(sandbox))
    assert await till.recount() == 0

    shop.clock.advance(CLAIM)
    await till.deliver([one for one in everything(sandbox) if one not in events(sandbox)])
    assert await till.recount() == 1

    assert await till.totals(payment) == (1999, 1999, 0)


async def test_a_refund_made_elsewhere_takes_the_room_of_one_not_made_yet(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """1500 are asked back here while 1000 go back there: never more than was taken, and ours fails at Stripe."""
    payment = await shop.charge(order())
    await till.ask(payment, 1500)
    await by_hand(peer, payment.attempts[0].charge_id, 1000)
    await till.deliver(events(sandbox))
    await till.recount()
    assert await till.totals(payment) == (1999, 1000, 999)

    await till.send()

    assert await till.totals(payment) == (1999, 1000, 0)
    assert [one[:2] for one in await till.refunds()] == [(1000, "processed"), (1500, "failed")]


async def test_one_that_failed_for_want_of_a_trace_and_is_there_after_all_is_counted(
    shop: Shop, till: Till, peer: Server
) -> None:
    """We concluded that it was never made; Stripe shows it: it is processed, and a person must see it."""
    payment = await shop.charge(order())
    asked = await till.ask(payment, 500)
    await shop.pool.execute("UPDATE refunds SET state = 'failed', failure_reason = 'lost', next_check_at = NULL")
    await shop.pool.execute("UPDATE payments SET amount_refund_reserved = 0")
    await by_hand(peer, payment.attempts[0].charge_id, 500, refund_id=str(asked.refund_id))
    await till.hint(payment)
    before = alarms()

    await till.recount()

    assert (await till.totals(payment), await till.refunds()) == ((1999, 500, 0), [(500, "processed", None)])
    assert alarms() == before + 1


async def test_a_refund_of_somebody_elses_charge_is_foreign(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """On an account that others use too: kept, done, and nobody asks."""
    await at_stripe(peer, "/v1/charges", amount="500", currency="eur", source="tok_visa")
    (charge,) = [one["id"] for one in sandbox.account().charges]
    await by_hand(peer, charge, 500)
    await till.deliver(events(sandbox))

    states = {row["state"] for row in await shop.pool.fetch("SELECT state FROM notices")}
    assert (states, await till.recount(), await looks(peer)) == ({"foreign"}, 0, [])


@pytest.mark.parametrize(
    "gets",
    [
        Answer(500, {"error": {"type": "api_error"}}),
        Answer(401, {"error": {"type": "invalid_request_error"}}),
        Answer(200, {"id": "ch_1", "object": "charge", "amount": "much", "refunds": {"data": [], "has_more": False}}),
    ],
    ids=["500", "401", "unreadable"],
)
async def test_a_look_that_tells_nothing_changes_nothing_and_is_repeated(shop: Shop, till: Till, gets: Answer) -> None:
    """The claim ends, and it is asked again."""
    payment = await shop.charge(order())
    await till.hint(payment)
    async with hostile.listening() as listening:
        listening.gets = gets
        processor = StripeProcessor("sk_test_journey", livemode=False, api_base=listening.url)
        assert await till.recount(processor) == 1
        assert await till.recount(processor) == 0
        shop.clock.advance(CLAIM)
        assert await till.recount(processor) == 1
        await processor.close()

    assert (await till.totals(payment), await till.refunds()) == ((1999, 0, 0), [])


async def test_room_that_a_failed_refund_made_elsewhere_gives_back_is_counted_again(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """All is asked back here, a part went back there and failed: ours takes all of it, and both sides say so."""
    payment = await shop.charge(order())
    await till.ask(payment)
    await by_hand(peer, payment.attempts[0].charge_id, 300)
    await till.hint(payment)
    await till.recount()
    assert await till.totals(payment) == (1999, 300, 1699)
    (elsewhere,) = sandbox.account().refunds
    refunding.fail(sandbox.account(), elsewhere["id"], "expired_or_canceled_card")

    await till.send()
    assert await till.recount() == 1, "more went back than was left, as far as we knew: the charge is asked"

    assert await till.totals(payment) == (1999, 1999, 0)
    assert [one[:2] for one in await till.refunds()] == [(300, "failed"), (1999, "processed")]


async def test_what_was_reserved_is_reserved_again_once_another_refund_has_failed(
    shop: Shop, till: Till, sandbox: Sandbox, peer: Server
) -> None:
    """Else its room would be promised twice, and the second promise broken."""
    payment = await shop.charge(order())
    await till.ask(payment)
    await by_hand(peer, payment.attempts[0].charge_id, 300)
    await till.hint(payment)
    await till.recount()
    (elsewhere,) = sandbox.account().refunds
    refunding.fail(sandbox.account(), elsewhere["id"], "expired_or_canceled_card")

    await till.hint(payment)
    await till.recount()

    assert await till.totals(payment) == (1999, 0, 1999)
