"""Deliveries with a good signature that are odd, false, late or too many (group W of the vectors)."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests import deliveries
from tests.relay import relayed
from tests.roles.hostile.door import Door, Row, delivering, is_refusal, raw
from tests.stage import Stage, becomes, fetch

Json = dict[str, Any]


def signed_for(body: bytes, sent: bytes) -> Callable[[Door], bytes]:
    """Return what makes a delivery whose signature is of one body and whose bytes are another."""
    return lambda door: door.request(sent, *door.proof(body)[-1:], without=[b"Stripe-Signature"])


def with_id(value: object) -> bytes:
    return deliveries.encoded(deliveries.event("hostile", id=value))


GENUINE = deliveries.encoded(deliveries.event("hostile"))

REFUSED = [
    Row("W03", signed_for(GENUINE, GENUINE.replace(b"\n", b"")), 401, "unauthorized"),
    *(
        Row("W22", lambda door, method=method: door.request(b"", line=method + b" %b HTTP/1.1" % door.target), 405)
        for method in (b"GET", b"PUT", b"DELETE", b"OPTIONS")
    ),
    # A redirect would turn the POST into a GET: another spelling of the address is another address.
    Row("W22", lambda door: door.request(line=b"POST %b/ HTTP/1.1" % door.target), 404, "not-found", variant="slash"),
    Row("W11", lambda door: door.request(deliveries.encoded({"object": "event", "type": "hostile"})), put_aside=1),
    Row("W11", lambda door: door.request(with_id(7)), put_aside=1, variant="number"),
    Row("W11", lambda door: door.request(with_id("evt_" + "x" * 300)), put_aside=1, hostile=[b"xxx"], variant="long"),
]


@pytest.mark.parametrize("row", REFUSED, ids=Row.shown)
async def test_what_is_no_delivery_is_refused(receiver: Door, row: Row) -> None:
    """It is a problem that repeats nothing, and the next is served; what was signed is put aside, nothing else kept."""
    answer = await receiver.refuses(row)
    assert answer.headers.get("location") is None
    assert answer.headers.get("allow") == ("POST" if row.status == 405 else None)


async def test_w16_a_thousand_at_once_are_one_row(receiver: Door) -> None:
    """The same event on 250 connections, four times on each in one packet: each is 200, and one row counts them all."""
    body = deliveries.encoded(deliveries.event("thousand"))
    four = receiver.request(body, without=[b"Connection"]) * 3 + receiver.request(body)

    answers = await asyncio.gather(*(receiver.send(four) for _ in range(250)))

    assert sum(answer.raw.count(b"HTTP/1.1 200 ") for answer in answers) == 1000
    rows = await fetch(receiver.stage, "SELECT deliveries FROM notices WHERE event_id = 'evt_thousand'")
    assert rows == [(1000,)]
    await receiver.serves()


async def test_w23_a_store_that_is_silent_is_503(receiver: Door) -> None:
    """Stripe hears that it must come again and nothing is kept; when the store is back so is the receiver."""
    stage = receiver.stage
    with relayed(stage.database_url) as relay:
        silenced = delivering(stage, stage.start("webhook-receiver", DATABASE_URL=relay.url))
        await silenced.serves()
        before = await receiver.tally()
        relay.fall_silent()

        answer = await silenced.send(silenced.request())

        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        is_refusal(answer, Row("W23", Door.request, 503, "unavailable"))
        assert before == await receiver.tally()
        relay.speak()
        await becomes(200, lambda: _status(silenced))


async def _status(door: Door) -> int:
    return (await door.send(door.request(door.genuine("spoken")))).status


@dataclass(frozen=True, slots=True)
class Told:
    """What is delivered of a payment that waits for its customer, and what must have become of it."""

    id: str
    events: Callable[[Json], Sequence[Json]]
    notices: Sequence[str]
    state: str = "requires_action"
    captured: int = 0
    alarms: int = 0
    approved: bool = False
    forgotten: bool = False


def intent(payment: Json, **changes: Any) -> Json:
    """Return an event about the payment's intent: succeeded, unless it says otherwise."""
    name, type_ = changes.pop("name", "a"), changes.pop("type", "payment_intent.succeeded")
    on_event = {key: changes.pop(key) for key in ("api_version", "created") if key in changes}
    thing = {
        "id": payment["payment_intent_id"],
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 1999,
        "amount_received": 1999,
        "currency": "eur",
        "latest_charge": f"ch_{payment['order_id']}",
        "metadata": {"payment_id": payment["payment_id"]},
        **changes,
    }
    return deliveries.event(f"{payment['order_id']}_{name}", type_, data={"object": thing}, **on_event)


def declined(payment: Json) -> Json:
    """Return an older event that says the payment's latest attempt failed."""
    error = {"code": "card_declined", "message": "No.", "charge": f"ch_{payment['order_id']}"}
    return intent(
        payment,
        name="declined",
        type="payment_intent.payment_failed",
        status="requires_payment_method",
        last_payment_error=error,
        created=1_600_000_000,
    )


NEW_FIELD = {"deep": [{"er": None}]}
NOBODY = "0190a000-0000-7000-8000-000000000000"
OTHER_VERSION = "2031-01-01.future"

TOLD = [
    Told("W05", lambda payment: [intent(payment, type="payment_intent.of_2031")], ["done"]),
    Told("W06", lambda payment: [intent(payment, new=NEW_FIELD)], ["done"], "succeeded", 1999),
    Told("W07", lambda payment: [intent(payment, status="unheard_of")], ["parked"], alarms=1),
    Told(
        "W10",
        lambda payment: [intent(payment, api_version=OTHER_VERSION, status={})],
        ["done"],
        "succeeded",
        1999,
        approved=True,
    ),
    Told("W12", lambda payment: [intent(payment, id="pi_foreign", metadata={})], ["foreign"]),
    Told("W13", lambda payment: [intent(payment, id="pi_impostor")], ["parked"], alarms=1),
    Told("W14", lambda payment: [intent(payment, amount_received=2999)], ["done"], "succeeded", 2999, alarms=1),
    Told("W14-currency", lambda payment: [intent(payment, currency="usd")], ["parked"], alarms=1),
    Told(
        "W18",
        lambda payment: [
            intent(payment),
            intent(payment, name="b", type="payment_intent.processing", status="processing"),
        ],
        ["done", "done"],
        "succeeded",
        1999,
    ),
    Told("W19", lambda payment: [intent(payment), declined(payment)], ["done", "done"], "succeeded", 1999),
    Told("W21", lambda payment: [intent(payment, api_version=OTHER_VERSION)], ["done"], forgotten=True),
    Told("W12-ours", lambda payment: [intent(payment, id="pi_early", metadata={"payment_id": NOBODY})], ["kept"]),
]


async def alarms(http: httpx.AsyncClient, worker: Door, where: str = "conclude") -> int:
    """Return how often the worker found something that a person must look at, in a notice or in a look-up."""
    text = (await http.get(f"{worker.running.url}/metrics")).text
    found = re.search(rf'^counterfoil_alarms_total\{{where="{where}"\}} (\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0


async def states(stage: Stage, events: Sequence[Json]) -> list[tuple[Any, ...]]:
    """Return how the notices of these events stand, in their order, and whether each has been looked at."""
    rows = await fetch(stage, "SELECT event_id, state, tries > 0 OR state <> 'kept' FROM notices")
    found = {event_id: tuple(rest) for event_id, *rest in rows}
    return [found[event["id"]] for event in events]


async def stands(stage: Stage, payment: Json) -> list[tuple[Any, ...]]:
    """Return how the payment stands, and what of it was captured."""
    rows = await fetch(stage, "SELECT id, state, amount_captured FROM payments")
    return [(state, captured) for found, state, captured in rows if str(found) == payment["payment_id"]]


async def asked(http: httpx.AsyncClient, stage: Stage, payment: Json) -> int | None:
    """Return what Stripe last answered about the payment's intent."""
    path = f"/v1/payment_intents/{payment['payment_intent_id']}"
    log = (await http.get(f"{stage.sandbox_url}/_sandbox/requests?path={path}")).json()["requests"]
    return log[-1]["status"] if log else None


@pytest.mark.parametrize("told", TOLD, ids=[told.id for told in TOLD])
async def test_what_becomes_of_it(
    gateway: Door, receiver: Door, worker: Door, http: httpx.AsyncClient, told: Told
) -> None:
    """Each is acknowledged, read once or put aside with an alarm, and moves its payment only where it may."""
    sent = raw(told.id, payment_method='"pm_card_threeDSecure2Required"')
    payment = (await gateway.send(gateway.request(sent))).said()
    assert payment["status"] == "requires_action"
    if told.approved:
        await http.post(payment["action"]["url"], data={"outcome": "approve"})
    if told.forgotten:
        await http.post(f"{gateway.stage.sandbox_url}/_sandbox/reset")
    before, missed = await alarms(http, worker), await alarms(http, worker, "reconcile")

    events = told.events(payment)
    for event in events:
        answer = await receiver.send(receiver.request(deliveries.encoded(event)))
        assert (answer.status, answer.said()) == (200, {"received": event["id"]})

    await becomes([(state, True) for state in told.notices], lambda: states(receiver.stage, events))
    if told.forgotten:
        await becomes(404, lambda: asked(http, gateway.stage, payment))
        await becomes(missed + 1, lambda: alarms(http, worker, "reconcile"))
    await becomes([(told.state, told.captured)], lambda: stands(receiver.stage, payment))
    assert await alarms(http, worker) == before + told.alarms
    assert worker.running.process.poll() is None
