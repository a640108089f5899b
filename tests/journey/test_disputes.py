"""A customer's bank wants its money back: the payment stays succeeded, says so, and its money is shown as it is."""

import itertools
import json
from typing import Any

import httpx
import pytest
from tests.journey.told_by_webhook import event, intent, keep, run
from tests.orders import Shop, order

from counterfoil.domain.money import Money
from counterfoil.domain.order import Mandate
from counterfoil.domain.payment import Payment
from counterfoil.journey.weighing import MOST_TRIES, OWNER_WAIT
from counterfoil.roles.gateway import shapes
from counterfoil.store import reading
from counterfoil.store.notices import NoticeState
from stripe_sandbox.sandbox import Sandbox, Server

KEY = "sk_test_journey"
CONSENT = Mandate(ip_address="192.0.2.7", user_agent="a browser")
DAY_SECONDS = 86_400


def news_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every event about a dispute that the sandbox made, oldest first."""
    made = [json.loads(json.dumps(one)) for one in sandbox.account().events]
    return [one for one in made if one["type"].startswith("charge.dispute.")]


async def disputed(shop: Shop, sandbox: Sandbox, method: str = "pm_card_createDispute") -> Payment:
    """A payment that its customer disputes a moment after it succeeded."""
    payment = await shop.charge(order(method=method))
    await sandbox.advance(1)
    return payment


async def answer(peer: Server, evidence: str) -> None:
    """Answer the dispute at Stripe, as the merchant does in its dashboard."""
    (dispute,) = peer.sandbox.account().disputes
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as http:
        form = {"evidence[uncategorized_text]": evidence}
        (await http.post(f"{peer.url}/v1/disputes/{dispute['id']}", data=form)).raise_for_status()


async def shown(shop: Shop, payment: Payment) -> dict[str, Any]:
    """The payment as the API shows it."""
    view = await reading.payment(shop.pool, payment.id)
    assert view is not None
    return shapes.payment(view)


async def said(shop: Shop, payment: Payment) -> list[str]:
    """The statuses that were said of a payment's disputes, in order."""
    rows = await shop.pool.fetch(
        "SELECT body ->> 'status' AS status FROM facts WHERE payment_id = $1 AND name = 'PaymentDisputed' "
        "ORDER BY version",
        payment.id,
    )
    return [row["status"] for row in rows]


async def test_a_disputed_payment_stays_succeeded_and_its_money_is_gone(shop: Shop, sandbox: Sandbox) -> None:
    """Two events, one fact; what was captured was captured, and what was withdrawn is shown beside it."""
    payment = await disputed(shop, sandbox)
    await keep(shop, *news_of(sandbox))
    assert await run(shop) == {NoticeState.DONE: 2}
    seen = await shown(shop, payment)
    assert (seen["status"], seen["disputed"], seen["dispute_status"]) == ("succeeded", True, "opened")
    assert (seen["amount_captured"], seen["amount_refunded"], seen["amount_disputed"]) == (1999, 0, 1999)
    (one,) = seen["disputes"]
    assert (one["status"], one["amount"], one["currency"], one["reason"]) == ("opened", 1999, "EUR", "fraudulent")
    assert (one["funds"], one["fee"], one["fee_currency"]) == ("withdrawn", 1500, "EUR")
    assert await said(shop, payment) == ["opened"]
    assert (await shop.facts(payment))[-1] == (3, "PaymentDisputed", "notice")


@pytest.mark.parametrize(
    ("evidence", "status", "gone"), [("winning_evidence", "won", 0), ("losing_evidence", "lost", 1999)]
)
async def test_a_dispute_is_won_or_lost(shop: Shop, peer: Server, evidence: str, status: str, gone: int) -> None:
    """The bank decides: it is said once, and the money is back, or gone for good."""
    payment = await disputed(shop, peer.sandbox)
    await answer(peer, evidence)
    for one in news_of(peer.sandbox):
        await keep(shop, one)
        await run(shop)
    seen = await shown(shop, payment)
    assert (seen["status"], seen["dispute_status"], seen["amount_disputed"]) == ("succeeded", status, gone)
    assert await said(shop, payment) == ["opened", status]


async def test_every_order_of_its_events_ends_the_same(shop: Shop, sandbox: Sandbox, peer: Server) -> None:
    """Created, withdrawn, updated, closed, reinstated, each of them first, forwards and backwards: won, once and last.

    All orders of them are gone through in `tests/domain/test_disputing.py`; here one after the other is on record.
    """
    payment = await disputed(shop, sandbox)
    await answer(peer, "winning_evidence")
    news = news_of(sandbox)
    ends = set()
    turned = [news[place:] + news[:place] for place in range(len(news))]
    for number, told in enumerate(itertools.chain(turned, (one[::-1] for one in turned))):
        for one in told:
            text = json.dumps({**one, "id": f"{one['id']}_{number}"}).replace('"dp_', f'"dp_{number}_')
            await keep(shop, json.loads(text))
            await run(shop)
        (dispute,) = (await shown(shop, payment))["disputes"][-1:]
        statuses = await said(shop, payment)
        ends.add((dispute["status"], dispute["funds"], dispute["fee"], statuses[-1], statuses.count("won")))
        await shop.pool.execute("DELETE FROM disputes")
        await shop.pool.execute("DELETE FROM outbox WHERE version > 2")
        await shop.pool.execute("DELETE FROM facts WHERE name = 'PaymentDisputed'")
        await shop.pool.execute("UPDATE payments SET version = 2, disputed = false, dispute_status = NULL")
    assert len(news) == 5
    assert ends == {("won", "reinstated", 0, "won", 1)}


@pytest.mark.parametrize(
    ("method", "currency"), [("pm_usBankAccount_dispute", "USD"), ("pm_sepaDebit_disputed_de", "EUR")]
)
async def test_a_debit_that_bounces_after_its_success_is_a_dispute(
    shop: Shop, sandbox: Sandbox, method: str, currency: str
) -> None:
    """Days after it was paid the bank takes it back, for good: succeeded, disputed, lost, and nothing left of it."""
    payment = await shop.charge(order(method=method, money=Money(1999, currency), mandate=CONSENT))
    await sandbox.advance(10 * DAY_SECONDS)
    await keep(shop, *[json.loads(json.dumps(one)) for one in sandbox.account().events])
    await run(shop)
    await run(shop)
    shop.clock.advance(OWNER_WAIT)
    await run(shop)
    seen = await shown(shop, payment)
    assert (seen["status"], seen["disputed"], seen["dispute_status"]) == ("succeeded", True, "lost")
    assert (seen["amount_captured"], seen["amount_disputed"]) == (1999, 1999)
    assert [name for _, name, _ in await shop.facts(payment)] == [
        "PaymentRequested",
        "PaymentProcessing",
        "PaymentSucceeded",
        "PaymentDisputed",
    ]


async def test_an_inquiry_is_no_dispute_until_it_takes_the_money(shop: Shop, sandbox: Sandbox, peer: Server) -> None:
    """While the bank only asks nothing is said; when it escalates, that is a dispute as any other."""
    payment = await disputed(shop, sandbox, "pm_card_createDisputeInquiry")
    await keep(shop, *news_of(sandbox))
    assert await run(shop) == {NoticeState.DONE: 1}
    asked = (await shown(shop, payment))["disputed"]

    await answer(peer, "escalate_inquiry_evidence")
    await keep(shop, *news_of(sandbox))
    await run(shop)

    seen = await shown(shop, payment)
    assert (asked, seen["disputed"], seen["amount_disputed"]) == (False, True, 1999)
    assert await said(shop, payment) == ["opened"]


async def test_a_dispute_that_overtakes_the_success_waits_for_its_name(shop: Shop, sandbox: Sandbox) -> None:
    """The answer was lost, so nobody knows the intent yet: the dispute is read again once a notice has named it."""
    payment = await shop.accepted(order())
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "amount": 1999,
        "balance_transactions": [],
        "charge": "ch_1",
        "created": 1_772_366_400,
        "currency": "eur",
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
    }
    await keep(shop, event("charge.dispute.created", dispute, "evt_1"))
    assert await run(shop) == {NoticeState.KEPT: 1}
    await keep(shop, event("payment_intent.succeeded", intent(payment), "evt_2"))
    shop.clock.advance(OWNER_WAIT)
    await run(shop)
    shop.clock.advance(OWNER_WAIT)
    await run(shop)
    assert await said(shop, payment) == ["opened"]
    assert list(sandbox.account().disputes) == []


async def test_a_dispute_is_known_by_its_charge_alone(shop: Shop, sandbox: Sandbox) -> None:
    """A charge that was made without an intent has its dispute all the same."""
    payment = await disputed(shop, sandbox)
    for one in news_of(sandbox):
        one["data"]["object"]["payment_intent"] = None
        await keep(shop, one)
    assert await run(shop) == {NoticeState.DONE: 2}
    assert await said(shop, payment) == ["opened"]


async def test_somebody_elses_dispute_is_foreign_in_the_end(shop: Shop, sandbox: Sandbox) -> None:
    """It carries nothing that says whose it is: it waits a while for its owner, and then is nobody's."""
    await disputed(shop, sandbox)
    (one, _) = news_of(sandbox)
    one["data"]["object"] |= {"payment_intent": "pi_others", "charge": "ch_others"}
    await keep(shop, one)
    ended = []
    for _ in range(MOST_TRIES):
        ended += list(await run(shop))
        shop.clock.advance(OWNER_WAIT)
    assert ended == [NoticeState.KEPT] * (MOST_TRIES - 1) + [NoticeState.FOREIGN]


async def test_a_dispute_of_another_currency_is_parked(shop: Shop, sandbox: Sandbox) -> None:
    """A person looks; nothing is written down of it."""
    payment = await disputed(shop, sandbox)
    (one, _) = news_of(sandbox)
    one["data"]["object"]["currency"] = "usd"
    await keep(shop, one)
    assert await run(shop) == {NoticeState.PARKED: 1}
    assert (await shown(shop, payment))["disputed"] is False
