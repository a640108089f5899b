"""What was never delivered is found in Stripe's list of events, kept once, and read like any notice."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from tests.journey.conftest import KEY
from tests.journey.peer import Answer, listening
from tests.journey.told_by_webhook import event, events_of, intent, keep, run
from tests.orders import Shop, order
from tests.told import START

from counterfoil.domain.payment import Payment
from counterfoil.journey import catch_up, conclude
from counterfoil.journey.catch_up import AGAIN, CLAIM, EVERY, MOST_BACK, OVERLAP, Looked, Page
from counterfoil.processors.port import NotListed
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.processors.stripe.listing import LISTED_AT_ONCE, TYPES
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.store import catch_up as cursors
from counterfoil.store import pauses
from counterfoil.store.catch_up import Report, Source
from counterfoil.store.notices import NoticeState
from counterfoil.store.partitions import make_partitions
from stripe_sandbox.account import Cause
from stripe_sandbox.resources import webhook_endpoints
from stripe_sandbox.sandbox import Sandbox, Server

OURS = Source("", livemode=False)
CREDENTIAL = "test key"
LATER = timedelta(minutes=5)

Foreign = Callable[[], Awaitable[None]]


async def take(shop: Shop) -> Page | None:
    return await catch_up.take(shop.pool, OURS, CREDENTIAL, shop.clock.now())


async def look(shop: Shop, page: Page, stripe: StripeProcessor | None = None) -> Looked:
    place = page.place
    asked = stripe or shop.stripe
    return Looked(page, await asked.events(place.since, place.after, undelivered=place.undelivered))


async def record(shop: Shop, looked: Looked) -> int | None:
    return await catch_up.record(shop.pool, stripe_notices, shop.ids, looked, shop.clock.now())


async def one_page(shop: Shop, stripe: StripeProcessor | None = None) -> Looked | None:
    """What a worker does in a round."""
    page = await take(shop)
    if page is None:
        return None
    looked = await look(shop, page, stripe)
    await record(shop, looked)
    return looked


async def whole_run(shop: Shop) -> Report:
    """Go through a run to its end; return its report."""
    assert await one_page(shop) is not None, "a run was due"
    while (view := await cursors.shown(shop.pool, OURS)) is None or view.under_way is not None:
        await one_page(shop)
    assert view.last is not None
    return view.last


async def kept(shop: Shop) -> list[tuple[str, int]]:
    """The events that are kept, by type, and how often each was delivered."""
    rows = await shop.pool.fetch("SELECT type, deliveries FROM notices ORDER BY type, event_id")
    return [tuple(row) for row in rows]


async def challenged(shop: Shop, *numbers: int) -> list[Payment]:
    """Payments that wait for their customers."""
    return [await shop.charge(order(number, "pm_card_threeDSecure2Required")) for number in numbers]


async def approve(payment: Payment) -> None:
    """Approve at the bank, as the customer of a payment that waits for them."""
    action = payment.attempts[-1].action
    assert action is not None
    async with (
        aiohttp.ClientSession() as session,
        session.post(action.url, data={"outcome": "approve"}, allow_redirects=False) as answer,
    ):
        assert answer.status == 303


@pytest.fixture
def foreign(peer: Server) -> Foreign:
    """Lets somebody else take money by the same account."""

    async def pay() -> None:
        form = {"amount": "500", "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"}
        form |= {"payment_method_types[]": "card"}
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{peer.url}/v1/payment_intents", data=form) as answer,
        ):
            assert answer.status == 200, await answer.text()

    return pay


@pytest.fixture
def receiver(sandbox: Sandbox) -> None:
    """An endpoint that nobody listens at: all that is made is undelivered."""
    secret = "whsec_" + "x" * 32
    webhook_endpoints.add(sandbox.account(), url="http://127.0.0.1:9/hook", enabled_events=["*"], secret=secret)


@pytest.mark.usefixtures("receiver")
async def test_pitfall_12_after_an_outage_of_the_receiver_every_payment_ends_right(shop: Shop) -> None:
    """Customers approved while nobody listened: what Stripe made is found, and read like a delivery."""
    payments = await challenged(shop, 1, 2, 3)
    for payment in payments:
        await approve(payment)
    shop.clock.advance(LATER)

    report = await whole_run(shop)
    ended = await run(shop)

    assert [await shop.state(payment) for payment in payments] == ["succeeded"] * 3
    assert (await shop.facts(payments[0]))[-1] == (3, "PaymentSucceeded", "notice")
    assert report.missing["payment_intent.succeeded"] == 3
    assert report.expected == report.missing.total() == ended[NoticeState.DONE]
    assert {deliveries for _, deliveries in await kept(shop)} == {0}


async def test_pitfall_26_the_report_holds_what_is_listed_against_what_is_here(
    shop: Shop, sandbox: Sandbox, foreign: Foreign
) -> None:
    """One payment's events came by webhook, another's did not, and a third is somebody else's: one was missing."""
    first, second = await challenged(shop, 1, 2)
    await keep(shop, *events_of(sandbox))
    await approve(second)
    await foreign()
    shop.clock.advance(LATER)

    report = await whole_run(shop)

    listed = [one for one in events_of(sandbox) if one["type"] in TYPES]
    ours = [one for one in listed if str(first.id) in json.dumps(one) or str(second.id) in json.dumps(one)]
    assert (report.listed, report.expected) == (len(listed), len(ours))
    assert report.missing == {"charge.succeeded": 1, "payment_intent.succeeded": 1}
    assert len(listed) > len(ours), "there was something foreign, and it is not kept"
    assert {name for (name,) in await shop.pool.fetch("SELECT object_id FROM notices WHERE deliveries = 0")} == {
        one["data"]["object"]["id"] for one in ours if one["type"].endswith("succeeded")
    }


@pytest.mark.usefixtures("receiver")
async def test_what_is_undelivered_comes_first(shop: Shop, sandbox: Sandbox) -> None:
    """The first half of a run lists that alone; the second lists everything, and brings what was lost behind a 200."""
    acknowledged, missed = await challenged(shop, 1, 2)
    for one in events_of(sandbox):
        if one["data"]["object"]["id"] == acknowledged.intent_id:
            sandbox.account().events.put({**one, "pending_webhooks": 0})
    shop.clock.advance(LATER)

    first = await one_page(shop)
    brought = [name for (name,) in await shop.pool.fetch("SELECT object_id FROM notices")]
    second = await one_page(shop)

    assert (halves(first), halves(second)) == (True, False)
    assert brought == [missed.intent_id]
    assert len(await kept(shop)) == 2
    assert await one_page(shop) is None


def halves(looked: Looked | None) -> bool:
    """Whether a page was of what is undelivered."""
    assert looked is not None
    return looked.page.place.undelivered


@pytest.mark.usefixtures("receiver")
async def test_pitfall_26_who_comes_after_a_kill_between_pages_goes_on_there(shop: Shop, sandbox: Sandbox) -> None:
    """Pages of a hundred: the place is on record with what each brought, so nothing is listed or counted twice."""
    await challenged(shop, 1)
    (thing,) = sandbox.account().payment_intents
    for _ in range(259):
        sandbox.account().emit("payment_intent.requires_action", thing, Cause("req_1", None))
    shop.clock.advance(LATER)

    pages: list[Looked] = []
    while len(pages) < 3:
        looked = await one_page(shop)
        assert looked is not None
        pages.append(looked)
        killed = await take(shop)  # claimed, and its worker dies
        assert killed is not None
        assert await take(shop) is None, "nobody takes it from them before their time is over"
        shop.clock.advance(CLAIM)

    named = [[one.identity.event_id for one in page.found.events] for page in pages]
    assert [len(names) for names in named] == [LISTED_AT_ONCE, LISTED_AT_ONCE, 60]
    assert len({name for names in named for name in names}) == 260
    report = await whole_run(shop)
    assert (report.listed, report.expected, report.missing.total()) == (260, 260, 260)
    assert len(await kept(shop)) == 260


async def test_a_page_of_who_was_replaced_changes_nothing(shop: Shop) -> None:
    """They were away for longer than their claim: what they bring late is kept by whoever took over, once."""
    await challenged(shop, 1)
    shop.clock.advance(LATER)
    frozen = await take(shop)
    assert frozen is not None
    late = await look(shop, frozen)
    shop.clock.advance(CLAIM)

    report = await whole_run(shop)

    assert await record(shop, late) is None
    assert report.missing.total() == len(await kept(shop)) == 1


async def test_runs_overlap_and_count_nothing_twice(shop: Shop) -> None:
    """The second goes back behind the beginning of the first: what that found is there, what came since is missing."""
    (payment,) = await challenged(shop, 1)
    shop.clock.advance(LATER)
    first = await whole_run(shop)
    await approve(payment)
    shop.clock.advance(EVERY)

    second = await whole_run(shop)

    assert (first.since, second.since) == (START - OVERLAP, START + LATER - OVERLAP)
    assert (first.missing, second.missing) == (
        {"payment_intent.requires_action": 1},
        {"charge.succeeded": 1, "payment_intent.succeeded": 1},
    )
    assert second.expected == 3
    assert len(await kept(shop)) == 3


async def test_what_may_be_on_its_way_is_kept_and_not_called_missing(shop: Shop) -> None:
    """Younger than a minute when the run began: it is no sign of an outage, and its delivery is a repeat."""
    await challenged(shop, 1)
    report = await whole_run(shop)
    assert (report.expected, report.missing.total(), await kept(shop)) == (
        1,
        0,
        [("payment_intent.requires_action", 0)],
    )


async def test_a_delivery_that_comes_late_all_the_same_is_a_repeat(shop: Shop, sandbox: Sandbox) -> None:
    """The receiver is back and Stripe delivers what was caught up with: the same row, delivered once."""
    (payment,) = await challenged(shop, 1)
    shop.clock.advance(LATER)
    await whole_run(shop)
    await run(shop)
    facts = await shop.facts(payment)

    await keep(shop, *[one for one in events_of(sandbox) if one["type"] in TYPES])

    assert await run(shop) == {}
    assert await shop.facts(payment) == facts
    assert await kept(shop) == [("payment_intent.requires_action", 1)]


async def test_a_parked_notice_is_not_stirred_up_by_every_run(shop: Shop) -> None:
    """What waits for a person stays parked, however often it is listed."""
    await challenged(shop, 1)
    shop.clock.advance(LATER)
    await whole_run(shop)
    await shop.pool.execute("UPDATE notices SET state = 'parked', reason = 'a test', next_try_at = NULL")
    shop.clock.advance(EVERY)
    await whole_run(shop)
    assert await shop.pool.fetchval("SELECT state FROM notices") == "parked"


async def test_without_a_payment_nothing_is_listed(shop: Shop, foreign: Foreign) -> None:
    """A new installation has missed nothing; it looks again when it has taken its first order."""
    await foreign()
    assert await take(shop) is None
    await challenged(shop, 1)
    shop.clock.advance(EVERY)
    page = await take(shop)
    assert page is not None
    assert page.place.since == START - OVERLAP


async def test_no_run_goes_back_further_than_events_are_listed(shop: Shop) -> None:
    """Thirty days; whoever was not looked at for longer has a gap that only a comparison closes, and a person hears."""
    await challenged(shop, 1)
    shop.clock.advance(LATER)
    await whole_run(shop)
    before = alarms()
    shop.clock.advance(MOST_BACK)
    at_the_edge = await take(shop)
    assert at_the_edge is not None
    assert at_the_edge.place.since == shop.clock.now() - MOST_BACK
    assert alarms() == before
    await whole_run_after(shop)

    shop.clock.advance(MOST_BACK + timedelta(seconds=1))
    late = await take(shop)

    assert late is not None
    assert late.place.since == shop.clock.now() - MOST_BACK
    assert alarms() == before + 1


async def whole_run_after(shop: Shop) -> None:
    """End the run of which a page is claimed."""
    shop.clock.advance(CLAIM)
    await whole_run(shop)


def alarms() -> float:
    return REGISTRY.get_sample_value("counterfoil_alarms_total", {"where": "catch_up"}) or 0.0


async def test_a_person_may_have_a_run_that_goes_further_back(shop: Shop) -> None:
    """At once, though none is due; one that is under way is ended first. What is covered has no gap."""
    await challenged(shop, 1)
    shop.clock.advance(timedelta(days=3))
    await whole_run(shop)
    await shop.pool.execute("DELETE FROM notices")
    assert await take(shop) is None

    await cursors.ask(shop.pool, OURS, START, shop.clock.now())
    asked = await whole_run(shop)
    assert (asked.since, asked.missing.total()) == (START, 1)

    shop.clock.advance(EVERY)
    begun = await one_page(shop)
    await cursors.ask(shop.pool, OURS, START, shop.clock.now())
    assert begun is not None
    ended, at_once = await whole_run(shop), await whole_run(shop)
    assert (ended.since, at_once.since) == (begun.page.place.since, START)


async def test_a_list_that_is_not_to_be_had_is_asked_for_again(shop: Shop) -> None:
    """Stripe is away: half a minute later the same page is due, and nothing is taken for looked at."""
    await challenged(shop, 1)
    shop.clock.advance(LATER)
    away = StripeProcessor(KEY, livemode=False, api_base="http://127.0.0.1:9")
    page = await take(shop)
    assert page is not None
    with pytest.raises(NotListed, match="does not answer") as raised:
        await look(shop, page, away)
    await away.close()

    await catch_up.put_off(shop.pool, page, raised.value, shop.clock.now())

    assert await take(shop) is None
    shop.clock.advance(AGAIN)
    again = await take(shop)
    assert again is not None
    assert again.place == page.place


async def test_a_key_that_may_not_list_events_is_no_alarm_every_half_a_minute(shop: Shop, peer: Server) -> None:
    """A person has to give it the right: they are called once for each run that there would be."""
    await challenged(shop, 1)
    shop.clock.advance(LATER)
    before = alarms()
    fault = {"fault": "error", "status": 403, "path": "/v1/events"}
    async with aiohttp.ClientSession() as session, session.post(f"{peer.url}/_sandbox/faults", json=fault) as answer:
        assert answer.status == 200
    page = await take(shop)
    assert page is not None
    with pytest.raises(NotListed, match="refuses our key") as raised:
        await look(shop, page)

    await catch_up.put_off(shop.pool, page, raised.value, shop.clock.now())

    shop.clock.advance(AGAIN)
    assert await take(shop) is None
    assert alarms() == before + 1
    shop.clock.advance(EVERY - AGAIN)
    assert (await whole_run(shop)).missing.total() == 1


async def test_a_place_that_stripe_has_forgotten_begins_the_half_again(shop: Shop) -> None:
    """The event that a page begins after is older than thirty days by now: from the newest on, what is kept is kept."""
    await challenged(shop, 1)
    shop.clock.advance(LATER)
    page = await take(shop)
    assert page is not None
    await shop.pool.execute("UPDATE catch_ups SET after = 'evt_forgotten'")
    shop.clock.advance(CLAIM)
    lost = await take(shop)
    assert lost is not None
    with pytest.raises(NotListed) as raised:
        await look(shop, lost)

    assert raised.value.place_lost
    await catch_up.put_off(shop.pool, lost, raised.value, shop.clock.now())
    shop.clock.advance(AGAIN)
    assert (await whole_run(shop)).missing.total() == 1


async def test_nothing_is_listed_with_a_paused_key(shop: Shop) -> None:
    """While Stripe refuses it, as with any other call."""
    await challenged(shop, 1)
    shop.clock.advance(LATER)
    async with shop.pool.acquire() as connection:
        await pauses.begin(connection, CREDENTIAL, "refused", shop.clock.now(), shop.clock.now())
        assert await take(shop) is None
        await pauses.finish(connection, CREDENTIAL)
    assert await take(shop) is not None


async def test_where_no_body_can_be_kept_nothing_is_taken_for_seen(shop: Shop) -> None:
    """Nobody made a place for this day's bodies: the page stays to be looked at, and the count as it was."""
    await challenged(shop, 1)
    shop.clock.advance(timedelta(days=25))
    page = await take(shop)
    assert page is not None
    await record(shop, await look(shop, page))
    assert await kept(shop) == []
    async with shop.pool.acquire() as connection:
        await make_partitions(connection, shop.clock.now().date())
    shop.clock.advance(CLAIM)

    assert (await whole_run(shop)).missing.total() == 1


async def test_what_cannot_be_read_harms_no_other(shop: Shop) -> None:
    """One that is no event goes to quarantine, one that is not what Stripe documents is parked; the third is read."""
    payment = await shop.accepted(order())
    created = int(START.timestamp())
    events: list[dict[str, Any]] = [
        event("payment_intent.succeeded", intent(payment), "evt_1", created=created),
        event("payment_intent.succeeded", intent(payment, "unheard_of"), "evt_2", created=created),
        {"object": "event", "created": created, "type": "payment_intent.succeeded"},
    ]
    shop.clock.advance(LATER)
    async with listening() as peer:
        peer.gets = Answer(200, {"object": "list", "data": events, "has_more": False, "url": "/v1/events"})
        stripe = StripeProcessor(KEY, livemode=False, api_base=peer.url)
        while await one_page(shop, stripe) is not None:
            pass
        await stripe.close()
    ended = await conclude.run(shop.pool, stripe_notices, shop.ids, shop.clock.now(), livemode=False)

    assert await shop.state(payment) == "succeeded"
    assert dict(ended) == {NoticeState.DONE: 1, NoticeState.PARKED: 1}
    assert await shop.pool.fetchval("SELECT count(*) FROM quarantine") == 2, "once in each half of the run"


def test_all_that_says_something_is_listed() -> None:
    """Twenty types, which is what Stripe takes; those that are left out are each said by another as well."""
    everything = frozenset().union(
        stripe_notices.INTENT_EVENTS,
        stripe_notices.CHARGE_EVENTS,
        stripe_notices.DISPUTE_EVENTS,
        stripe_notices.REFUND_EVENTS,
        {stripe_notices.BOOKING_EVENT},
    )
    left_out = {"charge.pending", "charge.refund.updated", "payment_intent.partially_funded"}
    assert everything - set(TYPES) == left_out
    assert len(TYPES) == 20
