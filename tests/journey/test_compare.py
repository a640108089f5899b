"""Both books compared, page by page, against a real database and the sandbox."""

import tracemalloc
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import aiohttp
import pytest
from tests.comparing import Auditor, Crowd
from tests.journey.conftest import KEY
from tests.orders import Shop, claimant, order
from tests.refunds import Till, by_hand

from counterfoil.domain.comparing import Resource, Standing
from counterfoil.domain.payment import CaptureMethod
from counterfoil.journey import compare, learn
from counterfoil.processors.port import Books, Page
from counterfoil.store import reconciliations
from stripe_sandbox.sandbox import Sandbox, Server


@pytest.fixture
def auditor(shop: Shop) -> Auditor:
    return Auditor(shop)


async def learned(shop: Shop) -> None:
    """Learn the fees of all that succeeded, as the worker does a minute later."""
    shop.clock.advance(timedelta(minutes=2))
    for due in await learn.claim_due(shop.pool, claimant(), shop.clock.now(), 100):
        await learn.record(shop.pool, shop.ids, [await learn.call(shop.stripe, due)], shop.clock.now())


async def posted(peer: Server, path: str, **form: str) -> str:
    """Do something at the sandbox that is none of our doing; return the id of what was made or changed."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{peer.url}{path}", data=form) as answer,
    ):
        body = await answer.json()
        assert answer.status == 200, body
        return str(body["id"])


async def charged_elsewhere(peer: Server, **metadata: str) -> str:
    """Take 19.99 euros in our account, under that metadata, by somebody who is not us; return the intent."""
    form = {"amount": "1999", "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa"}
    form |= {"payment_method_types[]": "card"} | {f"metadata[{name}]": value for name, value in metadata.items()}
    return await posted(peer, "/v1/payment_intents", **form)


async def test_equal_books_leave_nothing(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """A success, a decline, a hold and a refund that both sides know; what is foreign is counted, and that is all."""
    paid = await shop.charge(order(1))
    await shop.charge(order(2, "pm_card_visa_chargeDeclined"))
    await shop.charge(order(3, capture_method=CaptureMethod.MANUAL))
    await Till(shop).ask(paid, 500)
    await Till(shop).send()
    await learned(shop)
    await charged_elsewhere(peer)
    view = await auditor.compare()
    assert await auditor.told(view) == []
    assert (view.compared, view.foreign) == (3, 2)  # an intent, and its charge


async def test_a_part_that_was_let_go_is_no_refund(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """Of a hold captured in part, Stripe lists the rest as refunded; neither side gave anything back."""
    held = await shop.charge(order(1, capture_method=CaptureMethod.MANUAL))
    await posted(peer, f"/v1/payment_intents/{held.intent_id}/capture", amount_to_capture="1500")
    view = await auditor.compare()
    assert ("payment", "state", "authorized", "captured", "settled") in await auditor.told(view)
    assert (view.left, await shop.state(held)) == (0, "succeeded")
    await learned(shop)
    assert await auditor.told(await auditor.compare()) == []


async def test_what_the_processor_knows_better_is_heard(shop: Shop, auditor: Auditor) -> None:
    """An answer that was lost: the payment hears how it stands. One that was never sent is no difference."""
    sending = await shop.sending(order(1))
    await shop.stripe.send(sending.request, again=False)
    await shop.place(order(2), owner=None)
    shop.clock.advance(timedelta(minutes=3))
    view = await auditor.compare()
    told = await auditor.told(view)
    assert ("payment", "state", "processing", "captured", "settled") in told
    assert view.left == 0
    assert await shop.pool.fetchval("SELECT state FROM payments WHERE id = $1", sending.payment_id) == "succeeded"
    assert await shop.pool.fetchval("SELECT state FROM payments WHERE order_id = 'order-2'") == "requested"


async def test_a_refund_made_elsewhere_is_taken_down(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """Its webhook was lost, and its payment is older than what is compared: the list of refunds tells."""
    paid = await shop.charge(order(1))
    await learned(shop)
    shop.clock.advance(timedelta(days=2))
    await by_hand(peer, paid.attempts[0].charge_id, 700)
    view = await auditor.compare(timedelta(days=1))
    assert await auditor.told(view) == [("refund", "ours_missing", "None", "700 EUR processed", "settled")]
    assert await Till(shop).totals(paid) == (1999, 700, 0)


async def test_a_dispute_and_a_fee_are_learned(shop: Shop, auditor: Auditor, sandbox: Sandbox) -> None:
    """No webhook came, and the questions after the success are long over."""
    await shop.charge(order(1, "pm_card_createDispute"))
    await sandbox.advance(1)
    await shop.pool.execute("UPDATE payments SET learn_at = NULL")
    shop.clock.advance(timedelta(hours=1))
    view = await auditor.compare()
    told = await auditor.told(view)
    assert {one[:2] for one in told} == {("fee", "ours_missing"), ("dispute", "ours_missing")}
    assert {one[-1] for one in told} == {"settled"}
    assert await shop.pool.fetchval("SELECT disputed AND fee IS NOT NULL FROM payments")


async def test_money_that_no_payment_accounts_for_is_left(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """It bears our metadata, and there is no such payment: ours is missing, and nothing is made up."""
    nobody = str(shop.ids.new())
    intent_id = await charged_elsewhere(peer, payment_id=nobody, order_id="order-x", event_id="event-x")
    view = await auditor.compare()
    found = await auditor.differences(view)
    assert {(one.difference.verdict, str(one.difference.payment_id), one.standing) for one in found} == {
        ("ours_missing", nobody, Standing.LEFT)
    }
    assert intent_id in {one.difference.reference for one in found}
    assert await shop.pool.fetchval("SELECT count(*) FROM payments") == 0


async def test_a_second_charge_of_a_payment_is_left(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """It has its money, and the processor took it once more under the same id, by another intent."""
    paid = await shop.charge(order(1))
    await learned(shop)
    await charged_elsewhere(peer, payment_id=str(paid.id))
    view = await auditor.compare()
    assert [one[:2] for one in await auditor.told(view)] == [("payment", "ours_missing")] * 2  # intent and charge
    assert view.left == 2


async def test_a_payment_that_the_processor_does_not_know_is_left(
    shop: Shop, auditor: Auditor, sandbox: Sandbox
) -> None:
    """Ours is asked for by name where no list shows it."""
    paid = await shop.charge(order(1))
    sandbox.reset()
    view = await auditor.compare()
    assert await auditor.told(view) == [("payment", "theirs_missing", "succeeded", "None", "left")]
    assert [one.difference.reference for one in await auditor.differences(view)] == [paid.intent_id]


async def test_other_amounts_are_left(shop: Shop, auditor: Auditor) -> None:
    """What was captured, and what was kept, as each side has them."""
    await shop.charge(order(1))
    await learned(shop)
    await shop.pool.execute("UPDATE payments SET amount_captured = 1000, fee = 1")
    view = await auditor.compare()
    told = await auditor.told(view)
    assert ("payment", "amount", "1000 EUR captured", "1999 EUR captured", "left") in told
    assert [one for one in told if one[0] == "fee"] == [("fee", "amount", "1 EUR", "88 EUR", "left")]


async def test_what_was_open_for_long_is_asked_for(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """A hold older than what is compared, taken since by somebody else."""
    held = await shop.charge(order(1, capture_method=CaptureMethod.MANUAL))
    shop.clock.advance(timedelta(days=3))
    await posted(peer, f"/v1/payment_intents/{held.intent_id}/capture")
    view = await auditor.compare(timedelta(hours=1))
    assert ("payment", "state", "authorized", "captured", "settled") in await auditor.told(view)
    assert await shop.state(held) == "succeeded"


async def test_whoever_comes_next_goes_on_where_the_last_ended(shop: Shop, auditor: Auditor) -> None:
    """A worker dies with a page in hand: its claim expires, another reads that page, and the end is the same."""
    await shop.charge(order(1))
    await learned(shop)
    wanted = await auditor.ask()
    assert await auditor.page()
    lost = await compare.claim(shop.pool, claimant("dies"), shop.clock.now())
    assert lost is not None
    assert await compare.claim(shop.pool, claimant(), shop.clock.now()) is None
    shop.clock.advance(timedelta(minutes=3))
    view = await auditor.run(wanted)
    late = await compare.read(shop.pool, shop.stripe.books, lost, shop.clock.now())
    await compare.record(shop.pool, shop.ids, late, shop.clock.now())
    after = await reconciliations.view(shop.pool, wanted)
    assert (view.compared, view.left) == (1, 0)
    assert after == view


@dataclass
class Blurred:
    """The processor's books, with one thing in them that cannot be read by its name."""

    books: Books
    name: str

    def resource_of(self, name: str) -> Resource:
        """Return what the books say."""
        return self.books.resource_of(name)

    async def page(self, resource: Resource, since: datetime, until: datetime, behind: str | None) -> Page:
        """Return the books' page."""
        return await self.books.page(resource, since, until, behind)

    async def show(self, resource: Resource, name: str) -> Page:
        """Return the books' thing, unless it is the one."""
        page = await self.books.show(resource, name)
        return Page(alarms=(f"{name} is a blur",)) if name == self.name else page


async def test_what_cannot_be_read_is_left_and_holds_nothing_up(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """The comparison ends, and with it the difference is a person's."""
    intent_id = await charged_elsewhere(peer, payment_id=str(shop.ids.new()))
    view = await auditor.compare(books=Blurred(shop.stripe.books, intent_id))
    assert (view.left, view.suspected) == (2, 0)


async def test_what_was_acknowledged_stays_so(shop: Shop, auditor: Auditor, peer: Server) -> None:
    """A person has seen to it and says how; only what is left can be acknowledged."""
    await charged_elsewhere(peer, payment_id=str(shop.ids.new()))
    view = await auditor.compare()
    first, *_ = await auditor.differences(view)
    done = await reconciliations.acknowledge(shop.pool, first.id, "kim", "given back", shop.clock.now())
    assert (done.standing, done.acknowledged_by, done.note) == (Standing.ACKNOWLEDGED, "kim", "given back")
    after = await reconciliations.view(shop.pool, view.id)
    assert after is not None
    assert (after.left, after.acknowledged) == (view.left - 1, 1)


async def test_nothing_that_was_seen_is_kept(shop: Shop, auditor: Auditor) -> None:
    """Once a comparison is over, the rows by which it knew what it had seen are gone."""
    await shop.charge(order(1))
    await auditor.compare()
    assert await shop.pool.fetchval("SELECT count(*) FROM reconciled") == 0


async def crowd(shop: Shop, size: int) -> list[UUID]:
    """Put so many payments that succeeded on record, all at once; return their ids."""
    ids = [shop.ids.new() for _ in range(size)]
    now = shop.clock.now()
    await shop.pool.execute(
        "INSERT INTO payments (id, event_id, order_id, amount, currency, capture_method, payment_method, off_session,"
        " items, metadata, fingerprint, livemode, created_at, state, version, intent_id, amount_captured, updated_at)"
        " SELECT id, id, id, 1999, 'EUR', 'automatic', 'pm_card_visa', false,"
        " '[]', '{}', '', false, $2, 'succeeded', 1, 'pi_' || id, 1999, $2 FROM unnest($1::uuid[]) AS t(id)",
        ids,
        now,
    )
    return ids


async def test_what_is_held_does_not_grow_with_what_is_compared(shop: Shop, auditor: Auditor) -> None:
    """A page of it is, whether there are three pages or thirty: ten times the payments take no half as much again."""
    peaks = []
    for size in (300, 3000):
        books = Crowd(await crowd(shop, size), shop.clock.now())
        shop.clock.advance(timedelta(minutes=1))
        wanted = await auditor.ask(timedelta(seconds=90))
        tracemalloc.start()
        try:
            view = await auditor.run(wanted, books)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert (view.compared, view.left) == (size, 0)
        shop.clock.advance(timedelta(days=1))
    assert peaks[1] < 1.5 * peaks[0], peaks
