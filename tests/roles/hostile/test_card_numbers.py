"""Card numbers, in every place where somebody can put one: none is logged, and none is in a row of any table.

Of rows two are excepted, for there a delivery lies as it came: the bodies of notices and the quarantine.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import pytest
from tests import deliveries
from tests.roles.hostile.door import Door, Row, Sent, body, raw
from tests.stage import Stage, becomes, fetch

NUMBER = "4242424242424242"
SPACED = "4242 4242 4242 4242"
DASHED = "4242-4242-4242-4242"
WIDE = "\uff14\uff12" * 8
CODE = "97531"
AS_THEY_CAME = re.compile(r"notice_bodies.*|quarantine")


async def found(stage: Stage, text: str = NUMBER) -> list[str]:
    """Return the log files and tables in which these letters and digits stand, whatever stands between them."""
    places = [log.name for log in sorted(stage.folder.glob("*.log")) if text in squeezed(log.read_text())]
    connection = await asyncpg.connect(stage.database_url)
    try:
        for (table,) in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            if not AS_THEY_CAME.fullmatch(table):
                rows = await connection.fetch(f'SELECT * FROM "{table}"')  # noqa: S608 - names come from the catalogue
                shown = "\n".join(spelt(value) for row in rows for value in row.values())
                places += [table] if text in squeezed(shown) else []
    finally:
        await connection.close()
    return places


def spelt(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def squeezed(text: str) -> str:
    """Return letters and digits alone, each in its plainest form."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text))


def hidden(text: str) -> list[bytes]:
    return [text.encode(), json.dumps(text).strip('"').encode(), CODE.encode()]


IN_AN_ORDER: Mapping[str, dict[str, Any]] = {
    "metadata": {"metadata": {"note": f"card {SPACED}, thanks"}},
    "metadata-key": {"metadata": {NUMBER: "note"}},
    "full-width": {"metadata": {"note": WIDE}},
    "order-id": {"order_id": NUMBER},
    "event-id": {"event_id": DASHED},
    "customer-id": {"customer_id": NUMBER},
    "e-mail": {"customer_email": f"{NUMBER}@shop.example"},
    "article": {"items": [{"sku": DASHED, "quantity": 1}]},
    "method": {"payment_method": NUMBER},
    "return-url": {"return_url": f"https://shop.example/back?card={NUMBER}"},
    "mandate": {"mandate": NUMBER},
    "user-agent": {
        "mandate": {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "203.0.113.9", "user_agent": f"pos {SPACED}"}
    },
    "version": {"schema_version": NUMBER},
    "amount": {"amount_cents": int(NUMBER)},
    "J26-code": {"cvc": CODE},
    "J26-form": {"card[number]": SPACED},
    "J26-deep": {"items": [{"sku": "a", "quantity": 1, "card": {"number": CODE, "exp_month": 12}}]},
}


def ordering(place: str) -> Row:
    changes = {field: json.dumps(value) for field, value in IN_AN_ORDER[place].items()}
    pieces = [piece for text in (NUMBER, SPACED, DASHED, WIDE) for piece in hidden(text)]
    return Row(place, body(raw(**changes)), 400, "card-data-not-accepted", pieces)


@pytest.mark.parametrize("place", IN_AN_ORDER)
async def test_j25_an_order_with_a_card_number_is_refused(gateway: Door, place: str) -> None:
    """Wherever in the order it stands, the problem names it and does not repeat it; no log and no row has it."""
    await gateway.refuses(ordering(place))
    assert await found(gateway.stage) == []
    assert await found(gateway.stage, CODE) == []


def asking(target: str) -> Sent:
    """Return what makes a question to the gateway."""
    return lambda door: door.request(b"", line=f"GET {target} HTTP/1.1".encode())


def lined(line: str) -> Sent:
    """Return what makes an order under another request line."""
    return lambda door: door.request(line=line.encode())


def replaced(name: str, value: str) -> Sent:
    """Return what makes an order with another value of a header."""
    return body(raw(), f"{name}: {value}".encode(), without=[name.encode()])


AROUND_AN_ORDER = [
    Row("token", replaced("Authorization", f"Bearer {NUMBER}"), 401, "unauthorized"),
    Row("content-type", replaced("Content-Type", f"application/{NUMBER}"), 415),
    Row("host", replaced("Host", f"{NUMBER}.example"), 421),
    Row("path", lined(f"POST /{NUMBER} HTTP/1.1"), 404, "not-found"),
    Row("method", lined(f"{NUMBER} /charge HTTP/1.1")),
    Row("protocol", lined(f"POST /charge HTTP/{NUMBER}")),
    Row("payment", asking(f"/payments/{NUMBER}"), 404, "not-found"),
    Row("order", asking(f"/orders/{NUMBER}/payment"), 404, "not-found"),
    Row("cursor", asking(f"/payments?cursor={NUMBER}")),
    Row("status", asking(f"/payments?status={SPACED.replace(' ', '%20')}")),
]


@pytest.mark.parametrize("row", AROUND_AN_ORDER, ids=Row.shown)
async def test_a_card_number_around_an_order_is_not_repeated(gateway: Door, row: Row) -> None:
    """In a header, a path or a question that is refused: the problem does not repeat it, no log and no row has it."""
    answer = await gateway.refuses(row)
    assert NUMBER not in squeezed(answer.raw.decode())
    assert await found(gateway.stage) == []


PASSED_OVER: Mapping[str, Callable[[Door, str], bytes]] = {
    "header": lambda door, name: door.request(raw(name), f"X-Card: {SPACED}".encode()),
    "header-name": lambda door, name: door.request(raw(name), f"X-{NUMBER}: card".encode()),
    "agent": lambda door, name: door.request(raw(name), f"User-Agent: {NUMBER}".encode()),
    "cookie": lambda door, name: door.request(raw(name), f"Cookie: card={NUMBER}".encode()),
    "key": lambda door, name: door.request(raw(name), f"Idempotency-Key: {NUMBER}".encode()),
    "query": lambda door, name: door.request(raw(name), line=f"POST /charge?card={NUMBER} HTTP/1.1".encode()),
    "search": lambda door, _name: asking(f"/payments?order_id={NUMBER}")(door),
    "resumed": lambda door, _name: asking(f"/events?note={NUMBER}")(door),
}


@pytest.mark.parametrize("place", PASSED_OVER)
async def test_pitfall_29_a_card_number_that_nobody_reads_is_kept_nowhere(gateway: Door, place: str) -> None:
    """Where we look at nothing, or only compare, the request is served, and no answer, log or row has the number."""
    answer = await gateway.accepts(PASSED_OVER[place](gateway, place))
    assert NUMBER not in squeezed(answer.raw.decode())
    assert await found(gateway.stage) == []


async def test_a_card_number_in_a_delivery_is_in_its_body_alone(gateway: Door, receiver: Door, worker: Door) -> None:
    """Signed or not, read by the worker or put aside as unreadable: beside the kept bytes no log and no row has it."""
    thing = {"id": "pi_card", "status": "succeeded", "description": SPACED, "metadata": {NUMBER: DASHED}}
    payment = (await gateway.send(gateway.request(raw("read")))).said()
    ours = {**thing, "id": payment["payment_intent_id"], "metadata": {"payment_id": payment["payment_id"], "a": NUMBER}}
    waiting = (
        await gateway.send(gateway.request(raw("told", payment_method='"pm_card_threeDSecure2Required"')))
    ).said()
    told = {
        "id": waiting["payment_intent_id"],
        "status": "requires_payment_method",
        "metadata": {"payment_id": waiting["payment_id"]},
        "last_payment_error": {"code": NUMBER, "decline_code": SPACED, "message": f"The card {DASHED} was declined."},
    }
    events = {
        "declined": deliveries.event("declined", "payment_intent.payment_failed", data={"object": told}),
        "foreign": deliveries.event("foreign", data={"object": thing}),
        "ours": deliveries.event("ours", data={"object": {**ours, "amount_received": 1999}}),
        "unreadable": deliveries.event("unreadable", data={"object": {**ours, "status": NUMBER}}),
        "unheard-of": deliveries.event("unheard", "card.found", note=NUMBER),
    }
    for event in events.values():
        assert (await receiver.send(receiver.request(deliveries.encoded(event)))).status == 200
    for row in (
        Row("no-event", lambda door: door.request(SPACED.encode())),
        Row("no-id", lambda door: door.request(deliveries.encoded({"object": "event", "id": int(NUMBER)}))),
        Row("unsigned", lambda door: door.request(SPACED.encode(), without=[b"Stripe-Signature"])),
        Row("signature", lambda door: door.request(None, f"Stripe-Signature: t={NUMBER}".encode())),
    ):
        answer = await receiver.send(row.sent(receiver))
        assert (answer.status, NUMBER in squeezed(answer.raw.decode())) == (400, False)

    await becomes(
        {
            ("evt_declined", "done"),
            ("evt_foreign", "foreign"),
            ("evt_ours", "done"),
            ("evt_unreadable", "parked"),
            ("evt_unheard", "done"),
        },
        lambda: concluded(receiver.stage, [event["id"] for event in events.values()]),
    )
    assert await found(receiver.stage) == []
    assert worker.running.process.poll() is None


async def concluded(stage: Stage, ids: list[str]) -> set[tuple[str, str]]:
    rows = await fetch(stage, "SELECT event_id, state FROM notices")
    return {(event_id, state) for event_id, state in rows if event_id in ids}


async def test_what_is_looked_for_is_found_where_it_is(gateway: Door) -> None:
    """The search itself sees an id in the tables that have it, in bytes, in JSON and in text, and a line in a log."""
    await gateway.accepts(gateway.request(raw("7777 1111".replace(" ", "-"), metadata='{"note": "77771112"}')))
    (gateway.stage.folder / "planted.log").write_text("card 4242 4242-4242 4243\n")
    assert {"attempts", "facts", "payments"} <= set(await found(gateway.stage, "77771111"))
    assert {"attempts", "payments"} <= set(await found(gateway.stage, "77771112"))
    assert await found(gateway.stage, "4242424242424243") == ["planted.log"]
