"""What follows from a payment's end happens once, is tried again by itself, and is parked where a person sees it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.journey.told_by_webhook import event, events_of, intent, keep, run
from tests.mail_server import MailServer, Mood, mail_server
from tests.orders import Shop, order

from counterfoil.domain.effects import CLAIM, MOST_TRIES, WAITS, EffectKind
from counterfoil.domain.order import Item, Order
from counterfoil.domain.payment import Payment
from counterfoil.journey import authorize, fulfil, renew
from counterfoil.journey.authorize import Sending
from counterfoil.journey.fulfil import Post
from counterfoil.journey.renew import Renewal
from counterfoil.mail.courier import Courier
from counterfoil.mail.letters import Writer
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.runtime.secret import Secret
from counterfoil.store import effects
from stripe_sandbox.sandbox import Sandbox

Standing = list[tuple[str, str, str | None]]
DECLINED = "pm_card_chargeDeclined"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """A mail server that takes letters until it is told otherwise."""
    async with mail_server() as server:
        yield server


def mailed(number: int = 1, method: str = "pm_card_visa", **changes: Any) -> Order:
    """An order whose customer can be told, and which takes something out of the stock."""
    return order(
        number,
        method,
        **{"customer_email": "kim@customer.example", "items": (Item("mug", 2), Item("tea", 1))} | changes,
    )


def post_to(server: MailServer, *, patience_seconds: float = 20.0) -> Post:
    writer = Writer("Shop <orders@shop.example>", "https://pay.example")
    return Post(writer, Courier(Secret(server.url), patience_seconds=patience_seconds))


async def work(shop: Shop, post: Post | None, owner: str = "worker") -> int:
    """Carry out what is due, as a worker does; return how much that was."""
    errands = await fulfil.claim_due(shop.pool, owner, shop.clock.now())
    tried = await asyncio.gather(*(fulfil.call(post, errand, shop.clock) for errand in errands))
    await fulfil.record(shop.pool, shop.ids, tried, shop.clock.now())
    return len(errands)


async def standing(shop: Shop, payment: Payment) -> Standing:
    found = await effects.of_payment(shop.pool, payment.id)
    return sorted((one.kind, one.state, one.reason) for one in found)


async def adjustments(shop: Shop, payment: Payment) -> list[tuple[int, str, Any]]:
    rows = await shop.pool.fetch(
        "SELECT version, body FROM facts WHERE name = 'InventoryAdjustmentRequested' AND payment_id = $1"
        " ORDER BY version",
        payment.id,
    )
    bodies = [(row["version"], json.loads(row["body"])) for row in rows]
    return [(version, body["direction"], body["items"]) for version, body in bodies]


async def tried_again(shop: Shop, payment: Payment, method: str) -> Sending:
    """Begin a further attempt at a failed payment; return what is to be sent for it."""
    found = await renew.find(shop.pool, payment.id)
    anew = replace(found.order, payment_method=method)
    request = await shop.stripe.request_again(payment.id, found.payment.intent_id, 2, anew)
    renewal = Renewal(found.payment, method, request, "test")
    renewed = await renew.run(shop.pool, shop.ids, renewal, shop.clock.now())
    return Sending(payment.id, 2, renewed.claim, request, again=False)


async def test_a_paid_order_is_followed_by_a_receipt_and_a_decrement(shop: Shop, server: MailServer) -> None:
    """The letter is at the mail server, and what the stock is asked for is the payment's next fact."""
    payment = await shop.charge(mailed(locale="de-AT"))
    assert await work(shop, post_to(server)) == 1
    (letter,) = server.letters()
    assert (letter["To"], letter["Subject"]) == ("kim@customer.example", "Beleg zur Bestellung order-1: 19.99 EUR")
    assert await standing(shop, payment) == [("receipt", "done", None), ("stock_decrement", "done", None)]
    items = [{"sku": "mug", "quantity": 2}, {"sku": "tea", "quantity": 1}]
    assert await adjustments(shop, payment) == [(3, "DECREMENT", items)]
    assert await shop.pool.fetchval("SELECT version FROM payments") == 3
    assert await shop.pool.fetchval("SELECT count(*) FROM outbox") == 3


async def test_effects_are_on_record_with_the_end_they_follow_from(shop: Shop) -> None:
    """One transaction: a process that dies behind it leaves everything, one that dies before it nothing."""
    payment = await shop.charge(mailed())
    rows = await shop.pool.fetch(
        "SELECT xmin::text FROM facts WHERE payment_id = $1 AND version > 1"
        " UNION SELECT xmin::text FROM effects WHERE payment_id = $1",
        payment.id,
    )
    assert len(rows) == 1


@pytest.mark.parametrize("first", ["answer", "notice"])
async def test_answer_and_notices_together_are_one_receipt(
    shop: Shop, server: MailServer, sandbox: Sandbox, first: str
) -> None:
    """Whichever comes first, and however often it is told: the mail server has one letter, the stock one decrement."""
    sending = await shop.sending(mailed())
    heard = await authorize.call(shop.stripe, sending, shop.clock)
    answer = authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    if first == "answer":
        await answer
    await keep(shop, *events_of(sandbox))
    await run(shop)
    if first == "notice":
        await answer
    for _ in range(3):
        await work(shop, post_to(server))
    assert server.kinds() == [f"{sending.payment_id}.receipt"]
    assert await shop.pool.fetchval("SELECT count(*) FROM facts WHERE name = 'InventoryAdjustmentRequested'") == 1


async def test_pitfall_02_one_change_told_by_two_events_has_its_effect_once(shop: Shop, server: MailServer) -> None:
    """One event by two endpoints is one notice; another event of the same change is a second one, and moves nothing."""
    payment = await shop.accepted(mailed())
    thing = intent(payment)
    for name in ("evt_1", "evt_1", "evt_2"):
        await keep(shop, event("payment_intent.succeeded", thing, name))
        await run(shop)
        await work(shop, post_to(server))

    rows = await shop.pool.fetch("SELECT event_id, deliveries, state FROM notices ORDER BY event_id")
    assert [tuple(row.values()) for row in rows] == [("evt_1", 2, "done"), ("evt_2", 1, "done")]
    said = ["PaymentRequested", "PaymentSucceeded", "InventoryAdjustmentRequested"]
    assert [name for _, name, _ in await shop.facts(payment)] == said
    assert server.kinds() == [f"{payment.id}.receipt"]


async def test_pitfall_06_answers_notices_and_two_workers_race_to_one_receipt_each(
    shop: Shop, server: MailServer, sandbox: Sandbox
) -> None:
    """Twelve payments ended by their answers and their notices at once, then two workers at once: twelve letters."""
    sendings = [await shop.sending(mailed(number)) for number in range(12)]
    heard = await asyncio.gather(*(authorize.call(shop.stripe, sending, shop.clock) for sending in sendings))
    await keep(shop, *events_of(sandbox))
    await asyncio.gather(
        *(authorize.record(shop.pool, shop.ids, [one], shop.clock.now()) for one in heard), run(shop), run(shop)
    )
    post = post_to(server)
    while sum(await asyncio.gather(work(shop, post, "one"), work(shop, post, "two"))):
        pass
    assert server.kinds() == sorted(f"{sending.payment_id}.receipt" for sending in sendings)
    decremented = await shop.pool.fetch("SELECT payment_id FROM facts WHERE name = 'InventoryAdjustmentRequested'")
    assert sorted(row["payment_id"] for row in decremented) == sorted(sending.payment_id for sending in sendings)


async def test_a_failed_payment_is_told_with_a_link(shop: Shop, server: MailServer) -> None:
    """And what was reserved for it is let go."""
    payment = await shop.charge(mailed(method=DECLINED))
    await work(shop, post_to(server))
    (letter,) = server.letters()
    text = letter.get_body(("plain",))
    assert text is not None
    assert f"https://pay.example/try-again/{payment.id}\r\n" in text.get_content()
    assert await standing(shop, payment) == [("customer_notice", "done", None), ("stock_release", "done", None)]
    assert [direction for _, direction, _ in await adjustments(shop, payment)] == ["RELEASE"]


async def test_a_late_success_still_gets_its_receipt(shop: Shop, server: MailServer) -> None:
    """Told that it failed, then paid after all: the receipt follows, and the stock is taken out."""
    payment = await shop.charge(mailed(method=DECLINED))
    await work(shop, post_to(server))
    await keep(shop, event("payment_intent.succeeded", intent(payment, id=payment.intent_id, latest_charge="ch_late")))
    await run(shop)
    await work(shop, post_to(server))
    assert server.kinds() == [f"{payment.id}.notice", f"{payment.id}.receipt"]
    assert [direction for _, direction, _ in await adjustments(shop, payment)] == ["RELEASE", "DECREMENT"]


async def test_nobody_is_told_of_a_failure_that_is_over(shop: Shop, server: MailServer) -> None:
    """The mail server was away when it failed; by now the money has come."""
    payment = await shop.charge(mailed(method=DECLINED))
    await keep(shop, event("payment_intent.succeeded", intent(payment, id=payment.intent_id, latest_charge="ch_late")))
    await run(shop)
    await work(shop, post_to(server))
    assert server.kinds() == [f"{payment.id}.receipt"]
    assert ("customer_notice", "skipped", "the payment succeeded after all") in await standing(shop, payment)


async def test_a_failure_is_not_told_while_the_customer_tries_again(shop: Shop, server: MailServer) -> None:
    """The word waits for the end of the further attempt, and is said once, however often it fails."""
    payment = await shop.charge(mailed(method=DECLINED))
    sending = await tried_again(shop, payment, "pm_card_chargeDeclinedInsufficientFunds")
    assert await work(shop, post_to(server)) == 0
    assert (await shop.send(sending)).state == "failed"
    assert await work(shop, post_to(server)) == 1
    assert await work(shop, post_to(server)) == 0
    assert server.kinds() == [f"{payment.id}.notice"]
    assert [direction for _, direction, _ in await adjustments(shop, payment)] == ["RELEASE"]


async def test_where_there_is_nobody_and_nothing_it_is_skipped(shop: Shop, server: MailServer) -> None:
    """Without an address and without items the reasons stand on record, and nothing is due."""
    payment = await shop.charge(order())
    assert await work(shop, post_to(server)) == 0
    assert await standing(shop, payment) == [
        ("receipt", "skipped", "no address"),
        ("stock_decrement", "skipped", "no items"),
    ]
    assert await adjustments(shop, payment) == []


@pytest.mark.parametrize(
    ("address", "posted", "reason"),
    [
        ("kim@customer.example", "nowhere", "no SMTP_URL"),
        ("a,b@customer.example", "to the server", "no address that a letter could go to"),
    ],
)
async def test_what_could_never_be_sent_is_skipped(
    shop: Shop, server: MailServer, address: str, posted: str, reason: str
) -> None:
    """No mail server was named, or what the order holds is no address."""
    payment = await shop.charge(mailed(customer_email=address))
    await work(shop, None if posted == "nowhere" else post_to(server))
    assert ("receipt", "skipped", reason) in await standing(shop, payment)
    assert server.kept == []


async def test_eight_refusals_park_it_and_a_person_lets_it_go_on(shop: Shop, server: MailServer) -> None:
    """Tried at ever longer waits, then an alarm; replayed, it has eight tries again and succeeds."""
    payment = await shop.charge(mailed())
    server.mood = Mood.REFUSES
    before = alarms()
    for wait in (*WAITS, timedelta()):
        assert await work(shop, post_to(server)) == 1
        assert await work(shop, post_to(server)) == 0
        shop.clock.advance(wait)
    (parked,) = await effects.parked(shop.pool, None, 10)
    refused = "the mail server refuses the letter (452)"
    assert (parked.payment_id, parked.kind, parked.reason, parked.tries) == (payment.id, "receipt", refused, MOST_TRIES)
    assert alarms() == before + 1
    assert await work(shop, post_to(server)) == 0

    server.mood = Mood.TAKES
    replayed = await effects.replay(shop.pool, payment.id, EffectKind.RECEIPT, shop.clock.now())
    assert replayed is not None
    assert (replayed.state, replayed.tries) == ("waiting", 0)
    assert await work(shop, post_to(server)) == 1
    assert await effects.replay(shop.pool, payment.id, EffectKind.RECEIPT, shop.clock.now()) is None
    assert server.kinds() == [f"{payment.id}.receipt"]


async def test_a_recipient_nobody_knows_is_parked_at_once(shop: Shop, server: MailServer) -> None:
    """To insist would be taken for spam; a person drops it, and it is gone."""
    payment = await shop.charge(mailed())
    server.mood = Mood.KNOWS_NOBODY
    await work(shop, post_to(server))
    reason = "the mail server refuses the recipient (550)"
    assert ("receipt", "parked", reason) in await standing(shop, payment)
    assert await effects.drop(shop.pool, payment.id, EffectKind.RECEIPT, shop.clock.now()) is not None
    assert ("receipt", "dropped", reason) in await standing(shop, payment)
    assert await effects.drop(shop.pool, payment.id, EffectKind.RECEIPT, shop.clock.now()) is None
    assert await effects.count_parked(shop.pool) == 0


async def test_a_mail_server_that_hangs_is_tried_again(shop: Shop, server: MailServer) -> None:
    """The others of its round are delivered meanwhile."""
    payment = await shop.charge(mailed())
    server.mood = Mood.HANGS
    await work(shop, post_to(server, patience_seconds=0.5))
    assert ("receipt", "waiting", "the mail server does not answer in time") in await standing(shop, payment)
    server.mood = Mood.TAKES
    shop.clock.advance(WAITS[0])
    await work(shop, post_to(server))
    assert server.kinds() == [f"{payment.id}.receipt"]


async def test_a_letter_whose_arrival_is_not_known_goes_again_as_the_same(shop: Shop, server: MailServer) -> None:
    """The server kept it and died before it said so: the second is the first, byte for byte, Message-ID and all."""
    await shop.charge(mailed())
    server.mood = Mood.DIES_LATER
    await work(shop, post_to(server))
    server.mood = Mood.TAKES
    shop.clock.advance(WAITS[0])
    await work(shop, post_to(server))
    first, second = server.kept
    assert first == second


async def test_what_a_dead_worker_left_is_taken_over_once(shop: Shop, server: MailServer) -> None:
    """Its claim runs out; if it was only frozen, it neither sends nor records anything any more."""
    payment = await shop.charge(mailed())
    (frozen,) = await fulfil.claim_due(shop.pool, "frozen", shop.clock.now())
    assert await work(shop, post_to(server), "other") == 0
    shop.clock.advance(CLAIM)
    server.mood = Mood.REFUSES
    assert await work(shop, post_to(server), "other") == 1
    server.mood = Mood.TAKES
    thawed = await fulfil.call(post_to(server), frozen, shop.clock)
    await fulfil.record(shop.pool, shop.ids, [thawed], shop.clock.now())
    assert server.kept == []
    assert ("receipt", "waiting", "the mail server refuses the letter (452)") in await standing(shop, payment)


async def test_a_letter_that_kills_its_workers_is_parked(shop: Shop, server: MailServer) -> None:
    """Eight claims of which nobody came back count as eight tries: the ninth does not send."""
    payment = await shop.charge(mailed())
    for _ in range(MOST_TRIES):
        assert len(await fulfil.claim_due(shop.pool, "doomed", shop.clock.now())) == 1
        shop.clock.advance(CLAIM)
    assert await work(shop, post_to(server)) == 1
    assert ("receipt", "parked", "its tries never came to an end") in await standing(shop, payment)
    assert server.kept == []


async def test_a_cancellation_on_request_is_no_failure(shop: Shop, server: MailServer) -> None:
    """Whoever asked for it is not told that it did not work."""
    payment = await shop.charge(mailed(method="pm_card_threeDSecure2Required"))
    await shop.pool.execute("UPDATE payments SET cancel_requested_at = now()")
    canceled = intent(payment, "canceled", id=payment.intent_id, latest_charge=None, amount_received=0)
    await keep(shop, event("payment_intent.canceled", canceled))
    await run(shop)
    assert await shop.state(payment) == "canceled"
    assert await work(shop, post_to(server)) == 0
    assert await standing(shop, payment) == [
        ("customer_notice", "skipped", "canceled on request"),
        ("stock_release", "done", None),
    ]


def alarms() -> float:
    return REGISTRY.get_sample_value("counterfoil_alarms_total", {"where": "fulfil"}) or 0.0
