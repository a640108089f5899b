"""What people and programs ask the gateway to show."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from tests.roles.gateway.conftest import Counter
from tests.stage import becomes, order

NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def five(gateway: Counter) -> list[dict[str, Any]]:
    """Five payments of one customer, newest first; the oldest was declined. A publisher gives their facts positions."""
    gateway.stage.start("outbox-publisher")
    answers = []
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        for number in range(5):
            method = "pm_card_visa" if number else "pm_card_chargeDeclined"
            placed = order(f"five-{number}", payment_method=method, customer_id="ada")
            answers.append((await gateway.charge(http, placed)).json())
        await becomes(0, lambda: gateway.fetch("SELECT count(*) FROM outbox"))
    return answers[::-1]


async def pages(gateway: Counter, http: httpx.AsyncClient, query: str) -> list[list[str]]:
    """Every page of a listing, as payment ids."""
    found, cursor = [], ""
    while True:
        page = (await gateway.ask(http, f"/payments?{query}{cursor}")).json()
        found.append([payment["payment_id"] for payment in page["payments"]])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def test_a_list_goes_on_at_its_cursor(
    gateway: Counter, http: httpx.AsyncClient, five: list[dict[str, Any]]
) -> None:
    """Newest first, each payment once, null as the cursor of the last page even when that page is full."""
    ids = [payment["payment_id"] for payment in five]
    assert await pages(gateway, http, "customer_id=ada&limit=2") == [ids[:2], ids[2:4], ids[4:]]
    assert await pages(gateway, http, "customer_id=ada&limit=5") == [ids]


async def test_a_list_is_filtered(gateway: Counter, http: httpx.AsyncClient, five: list[dict[str, Any]]) -> None:
    """By state, by order, by customer; what nobody has is an empty list."""
    ids = [payment["payment_id"] for payment in five]
    assert await pages(gateway, http, "customer_id=ada&status=failed") == [ids[4:]]
    assert await pages(gateway, http, "order_id=order-five-3") == [[ids[1]]]
    assert await pages(gateway, http, "customer_id=nobody") == [[]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=-1", "limit"),
        ("limit=1000000000", "limit"),
        ("limit=abc", "limit"),
        ("cursor=5", "cursor"),
        ("status=paid", "status"),
        ("order_id=%00", "order_id"),
        ("customer_id=%00", "customer_id"),
        ("customer_id=", "customer_id"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    gateway: Counter, http: httpx.AsyncClient, query: str, field: str
) -> None:
    """400 with the parameter at fault, never a trace or the database's own words."""
    answer = await gateway.ask(http, f"/payments?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    "path", [f"/payments/{NOBODY}", f"/payments/{NOBODY}/timeline", "/payments/7", "/orders/none/payment"]
)
async def test_what_is_not_there_is_404(gateway: Counter, http: httpx.AsyncClient, path: str) -> None:
    """Unknown ids, and texts that are no ids, are not found."""
    answer = await gateway.ask(http, path)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:counterfoil:problem:not-found")


async def test_a_payment_is_shown_alone_and_by_its_order(
    gateway: Counter, http: httpx.AsyncClient, five: list[dict[str, Any]]
) -> None:
    """The same payment by its id and by its order, with its attempts and its failure."""
    failed = five[4]["payment_id"]
    shown = (await gateway.ask(http, f"/payments/{failed}")).json()
    assert (await gateway.ask(http, "/orders/order-five-0/payment")).json() == shown
    assert (shown["status"], shown["amount"], shown["currency"], shown["customer_id"], shown["can_retry"]) == (
        *("failed", 1999, "EUR", "ada"),
        True,
    )
    assert [(attempt["number"], attempt["state"]) for attempt in shown["attempts"]] == [(1, "declined")]
    assert shown["created_at"].endswith("Z")


async def test_an_order_that_was_declined_is_shown_by_its_later_payment(
    gateway: Counter, http: httpx.AsyncClient
) -> None:
    """A new event for an order whose payment failed is a new payment, and is the one that the order shows."""
    await gateway.charge(http, order("tried", payment_method="pm_card_chargeDeclined"))
    second = await gateway.charge(http, order("tried", event_id="event-tried-2"))
    shown = (await gateway.ask(http, "/orders/order-tried/payment")).json()
    assert (second.status_code, second.json()["payment_id"]) == (200, shown["payment_id"])


@pytest.mark.parametrize("name", ["2026/17", "a/payment", "100%25", "#1?x=y&z", "~;:@[]"])
async def test_an_order_is_found_by_whatever_id_it_has(gateway: Counter, http: httpx.AsyncClient, name: str) -> None:
    """Any printable ASCII, percent-encoded in the address; a slash may also stand as it is."""
    placed = await gateway.charge(http, order(f"id-{name}", order_id=name))
    shown = await gateway.ask(http, f"/orders/{quote(name, safe='')}/payment")
    assert (200, placed.json()["payment_id"]) == (shown.status_code, shown.json().get("payment_id"))
    as_it_is = await gateway.ask(http, f"/orders/{quote(name, safe='/')}/payment")
    assert shown.json() == as_it_is.json()


async def test_a_timeline_tells_what_happened_in_order(
    gateway: Counter, http: httpx.AsyncClient, five: list[dict[str, Any]]
) -> None:
    """The request with its key, and the facts with their causes, oldest first."""
    payment_id = five[0]["payment_id"]
    said = (await gateway.ask(http, f"/payments/{payment_id}/timeline")).json()
    assert said["payment_id"] == payment_id
    assert [(line["kind"], line["name"], line["sequence"]) for line in said["entries"]] == [
        ("request", "attempt 1", 1),
        ("fact", "PaymentRequested", 1),
        ("fact", "PaymentSucceeded", 2),
    ]
    assert said["entries"][0]["details"] == {"idempotency_key": "event-five-4"}
    times = [line["at"] for line in said["entries"]]
    assert sorted(times) == times


async def test_events_are_read_page_by_page(
    gateway: Counter, http: httpx.AsyncClient, five: list[dict[str, Any]]
) -> None:
    """Following `next` from 0 gives every published fact once, in the order of position; at the end it stays."""
    found: list[dict[str, Any]] = []
    after = 0
    while page := (await gateway.ask(http, f"/events?after={after}&limit=3")).json():
        if not page["events"]:
            break
        found += page["events"]
        after = page["next"]
    assert page == {"events": [], "next": after}
    positions = [one["position"] for one in found]
    assert sorted(set(positions)) == positions
    assert len(found) == await gateway.fetch("SELECT count(*) FROM facts")
    facts = [(one["type"], one["sequence"]) for one in found if one["payment_id"] == five[0]["payment_id"]]
    assert facts == [("PaymentRequested", 1), ("PaymentSucceeded", 2)]
    assert {"payment_id", "order_id", "amount", "currency", "succeeded_at"} <= found[-1]["data"].keys()


@asynccontextmanager
async def stream(
    gateway: Counter, http: httpx.AsyncClient, query: str = "", last: str | None = None
) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """Follow /events; yields each event's fields."""
    headers = {**gateway.authority(), "Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    async with http.stream("GET", f"{gateway.running.url}/events{query}", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


async def test_a_stream_gives_what_is_new_and_resumes(
    gateway: Counter, http: httpx.AsyncClient, five: list[dict[str, Any]]
) -> None:
    """A follower hears facts as they are published, and after Last-Event-ID exactly what comes next."""
    assert five
    last = await gateway.fetch("SELECT max(position) FROM positions")
    async with stream(gateway, http, f"?after={last}") as events:
        payment_id = (await gateway.charge(http, order("streamed"))).json()["payment_id"]
        heard = [await anext(events), await anext(events)]
    async with stream(gateway, http, "?after=0", last=heard[0]["id"]) as events:
        resumed = await anext(events)

    assert [one["event"] for one in heard] == ["PaymentRequested", "PaymentSucceeded"]
    assert [json.loads(one["data"])["payment_id"] for one in heard] == [payment_id] * 2
    assert [int(one["id"]) for one in heard] == [json.loads(one["data"])["position"] for one in heard]
    assert int(heard[0]["id"]) < int(heard[1]["id"])
    assert resumed == heard[1]


async def test_the_api_describes_itself(gateway: Counter, http: httpx.AsyncClient) -> None:
    """/openapi.json names the routes, and what /charge takes with its required fields."""
    document = (await http.get(f"{gateway.running.url}/openapi.json")).json()
    schema = document["paths"]["/charge"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["event_id", "order_id", "amount_cents", "currency"]
    assert {"/payments", "/payments/{payment_id}", "/payments/{payment_id}/timeline", "/events"} <= set(
        document["paths"]
    )
