"""Five real events of one payment, delivered over HTTP in all their orders to receiver and worker: one end."""

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest_asyncio
from tests import deliveries
from tests.acceptance.merchant import Merchant, answers_challenge, merchant_at
from tests.stage import Running, Stage, becomes, fetch, order

EVENTS = [
    "payment_intent.requires_action",
    "charge.succeeded",
    "payment_intent.amount_capturable_updated",
    "charge.captured",
    "payment_intent.succeeded",
]
"""What Stripe says of a hold that the customer had to approve, in the order in which it happens."""

STORY = ["PaymentRequested", "PaymentActionRequired", "PaymentAuthorized", "PaymentSucceeded"]
"""What is said of it where nothing overtakes."""

FOLLOWS = "InventoryAdjustmentRequested"
"""What is asked for once its order is paid; nobody is written to, for want of an address."""

ASKED = {
    "payment_method": "pm_card_threeDSecure2Required",
    "capture_method": "manual",
    "items": [{"sku": "mug", "quantity": 2}],
}


@dataclass(frozen=True, slots=True)
class Telling:
    """The five events as they were made for one payment, and its own names in them."""

    events: Sequence[Mapping[str, Any]]
    payment_id: str
    intent_id: str
    charge_id: str

    def of(self, payment_id: str, intent_id: str) -> "Telling":
        """Return the events as they would have been made for another payment: only names differ."""
        charge_id = f"{self.charge_id}_of_{intent_id}"
        text = json.dumps(self.events)
        for old, new in ((self.payment_id, payment_id), (self.charge_id, charge_id), (self.intent_id, intent_id)):
            text = text.replace(old, new)
        events = [{**event, "id": f"{event['id']}_of_{intent_id}"} for event in json.loads(text)]
        return Telling(events, payment_id, intent_id, charge_id)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def merchant(shared_stage: Stage) -> Merchant:
    """A merchant whose installation is whole, but for the sandbox, which has no endpoint to tell its events to."""
    shared_stage.start("worker")
    shared_stage.start("outbox-publisher")
    return await merchant_at(shared_stage)


async def told(merchant: Merchant, http: httpx.AsyncClient) -> Telling:
    """Take one hold through the sandbox, and return what it says of it."""
    asked = (await merchant.charge(http, order("model", **ASKED))).json()
    await answers_challenge(http, asked["action"]["url"], "approve")
    capture = f"/v1/payment_intents/{asked['payment_intent_id']}/capture"
    taken = await merchant.at_stripe(http, "POST", capture)
    made = await merchant.at_stripe(http, "GET", "/v1/events?limit=100")
    by_type = {event["type"]: event for event in made["data"]}
    return Telling([by_type[type_] for type_ in EVENTS], asked["payment_id"], taken["id"], taken["latest_charge"])


async def unheard(merchant: Merchant, http: httpx.AsyncClient, count: int) -> dict[str, str]:
    """Place orders to which no answer of Stripe's comes through; return the intent of each payment."""
    async with merchant.fault(http, fault="lose_answer", method="POST", path="/v1/payment_intents"):
        answers = await asyncio.gather(*(merchant.charge(http, order(number, **ASKED)) for number in range(count)))
        assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "processing")}
    dump = (await http.get(f"{merchant.stage.sandbox_url}/_sandbox/dump")).json()
    intents = {intent["metadata"]["payment_id"]: intent["id"] for intent in dump["test"]["payment_intents"]}
    return {answer.json()["payment_id"]: intents[answer.json()["payment_id"]] for answer in answers}


async def deliver(http: httpx.AsyncClient, receiver: Running, events: Sequence[Mapping[str, Any]]) -> None:
    """Post events as Stripe does, one after the other."""
    for event in events:
        body = deliveries.encoded(event)
        answer = await http.post(f"{receiver.url}/webhooks/stripe", content=body, headers=deliveries.signed(body))
        assert (answer.status_code, answer.json()) == (200, {"received": event["id"]})


async def end(
    merchant: Merchant, http: httpx.AsyncClient, telling: Telling, published: Sequence[Mapping[str, Any]]
) -> tuple[Any, ...]:
    """Return what must be equal at the end of every telling, after a look at what may differ."""
    payment = await merchant.payment(http, telling.payment_id)
    facts = [fact for fact in published if fact["payment_id"] == telling.payment_id]
    story = [fact["type"] for fact in facts]
    assert story.pop() == FOLLOWS
    last = facts[-2]["data"]
    (attempt,) = payment["attempts"]
    assert [fact["sequence"] for fact in facts] == list(range(1, payment["version"] + 1))
    assert story == [name for name in STORY if name in story]
    assert (payment["payment_intent_id"], attempt["charge_id"]) == (telling.intent_id, telling.charge_id)
    stands = (payment["status"], payment["amount_captured"], attempt["state"])
    return (*stands, story[0], story[-1], last["amount"], last["currency"])


async def test_pitfall_04_all_orders_of_five_events_end_the_same(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """120 payments, each told in another order while the worker reads: same state, amount, last word, effects.

    What was overtaken before it was read is not said, so the facts on the way may be fewer; which, and the version that
    counts them, is the only thing that may differ.
    """
    receiver = merchant.stage.start("webhook-receiver")
    model = await told(merchant, http)
    orders = list(itertools.permutations(range(len(EVENTS))))
    tellings = [model.of(*names) for names in (await unheard(merchant, http, len(orders))).items()]

    await asyncio.gather(
        *(
            deliver(http, receiver, [telling.events[place] for place in places])
            for telling, places in zip(tellings, orders, strict=True)
        )
    )

    await becomes(
        [("done", len(orders) * len(EVENTS))],
        lambda: fetch(merchant.stage, "SELECT state, count(*) FROM notices GROUP BY state"),
        seconds=60,
    )
    await becomes(
        [("receipt", "skipped", len(orders)), ("stock_decrement", "done", len(orders))],
        lambda: fetch(merchant.stage, "SELECT kind, state, count(*) FROM effects GROUP BY kind, state ORDER BY kind"),
        seconds=60,
    )
    await becomes([(0,)], lambda: fetch(merchant.stage, "SELECT count(*) FROM outbox"), seconds=60)
    published = await merchant.published(http)
    assert {await end(merchant, http, telling, published) for telling in tellings} == {
        ("succeeded", 1999, "captured", "PaymentRequested", "PaymentSucceeded", 1999, "EUR")
    }
