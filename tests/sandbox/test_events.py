from typing import TYPE_CHECKING

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http


async def test_an_event_names_the_request_behind_it(http: "Http") -> None:
    """`request` holds the request's id and idempotency key; what time did has neither."""
    paid = await http.pay(key="k-9")
    await http.advance(2)

    events = (await http.get("/v1/events")).body["data"]
    assert (events[0]["type"], events[0]["request"]) == ("charge.updated", {"id": None, "idempotency_key": None})
    assert ("payment_intent.succeeded", {"id": paid.headers["Request-Id"], "idempotency_key": "k-9"}) == (
        events[1]["type"],
        events[1]["request"],
    )
    assert paid.body == events[1]["data"]["object"]


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("type=charge.succeeded", ["charge.succeeded"]),
        ("type=payment_intent.*", ["payment_intent.succeeded", "payment_intent.created"]),
        ("types[]=charge.succeeded&types[]=payment_intent.created", ["charge.succeeded", "payment_intent.created"]),
        ("limit=1", ["payment_intent.succeeded"]),
        ("type=charge.failed", []),
        ("created[gt]=1750000000", []),
        ("created[gte]=1750000000&limit=2", ["payment_intent.succeeded", "charge.succeeded"]),
    ],
)
async def test_events_are_listed_by_type_and_time(http: "Http", query: str, types: list[str]) -> None:
    """The filters of the list of events, newest first."""
    await http.pay(capture_method="automatic")

    listed = (await http.get(f"/v1/events?{query}")).body

    assert types == [event["type"] for event in listed["data"]]


async def test_events_are_listed_for_thirty_days(sdk: stripe.StripeClient, http: "Http") -> None:
    """An older event is no longer listed, as at Stripe."""
    await sdk.customers.create_async({})
    await http.advance(30 * 86_400)
    before = len((await sdk.events.list_async()).data)
    await http.advance(1)
    after = len((await sdk.events.list_async()).data)

    assert (before, after) == (1, 0)


async def test_an_event_is_retrieved_by_its_id(sdk: stripe.StripeClient) -> None:
    """What the list shows can be fetched alone."""
    customer = await sdk.customers.create_async({"email": "ada@example.com"})
    await sdk.customers.update_async(customer.id, {"email": "ada@example.org"})
    listed = (await sdk.events.list_async({"type": "customer.updated"})).data[0]

    event = await sdk.events.retrieve_async(listed.id)

    assert listed == event
    assert dict(event.data.previous_attributes or {}) == {"email": "ada@example.com"}


@pytest.mark.parametrize(("count", "status"), [(20, 200), (21, 400)])
async def test_twenty_types_may_be_asked_for_at_once(http: "Http", count: int, status: int) -> None:
    """More than that Stripe refuses."""
    query = "&".join(f"types[]=made.up.{number}" for number in range(count))
    assert (await http.get(f"/v1/events?{query}")).status == status


async def test_a_page_goes_on_where_the_last_ended_in_both_directions(http: "Http") -> None:
    """`starting_after` is older, `ending_before` newer; the event named need not fit the filters itself."""
    await http.pay(capture_method="automatic")
    every = [event["id"] for event in (await http.get("/v1/events")).body["data"]]

    older = (await http.get(f"/v1/events?limit=1&starting_after={every[0]}")).body
    newer = (await http.get(f"/v1/events?limit=1&ending_before={every[2]}")).body
    filtered = (await http.get(f"/v1/events?type=payment_intent.created&starting_after={every[0]}")).body

    assert ([one["id"] for one in older["data"]], older["has_more"]) == ([every[1]], True)
    assert ([one["id"] for one in newer["data"]], newer["has_more"]) == ([every[1]], True)
    assert [one["type"] for one in filtered["data"]] == ["payment_intent.created"]
