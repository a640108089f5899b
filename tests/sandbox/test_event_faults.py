import json
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from stripe_sandbox.sandbox import Server

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver


async def _scripted(http: "Http", receiver: "Receiver", *faults: dict[str, Any]) -> str:
    """Makes an endpoint and a script; gives the endpoint's secret."""
    await http.post("/_sandbox/faults", json.dumps(faults))
    endpoint = await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})
    return str(endpoint.body["secret"])


def _events(receiver: "Receiver") -> list[Any]:
    return [json.loads(body) for _, body in receiver.received]


async def test_an_event_can_be_delivered_again(http: "Http", server: Server, receiver: "Receiver") -> None:
    """The same event arrives three times; it is one event, and is delivered when the one that counts is."""
    await _scripted(http, receiver, {"fault": "event_repeated", "event": "payment_intent.created", "copies": 2})
    receiver.statuses = [200, 500, 200]

    await http.post("/v1/payment_intents", "amount=500&currency=usd")
    await server.sandbox.advance(86_400)

    listed = (await http.get("/v1/events")).body["data"]
    assert [event["id"] for event in _events(receiver)] == [listed[0]["id"]] * len(receiver.received)
    assert (len(listed), len(receiver.received) >= 3, listed[0]["pending_webhooks"]) == (1, True, 0)


async def test_one_change_can_make_two_events(http: "Http", server: Server, receiver: "Receiver") -> None:
    """Two Event objects with ids of their own tell the same; de-duplication by event id does not catch it."""
    await _scripted(http, receiver, {"fault": "event_twice", "event": "charge.*"})

    await http.pay()
    await server.sandbox.settle()

    told = [event for event in _events(receiver) if event["type"] == "charge.succeeded"]
    assert (len(told), len({event["id"] for event in told})) == (2, 2)
    assert told[0]["data"] == told[1]["data"]


async def test_events_can_be_reordered(http: "Http", server: Server, receiver: "Receiver") -> None:
    """What is to be overtaken arrives after the others, each exactly once."""
    await _scripted(http, receiver, {"fault": "event_reordered", "event": "payment_intent.created", "behind": 2})

    await http.pay()
    await server.sandbox.settle()
    await server.sandbox.advance(3600)

    types = [event["type"] for event in _events(receiver)]
    assert sorted(types[:2]) == ["charge.succeeded", "payment_intent.succeeded"]
    assert types[2:].count("payment_intent.created") == 1
    assert len(types) == len(set(types))


async def test_an_event_that_nothing_overtakes_comes_after_a_minute(
    http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """A reordered event is late, not lost."""
    await _scripted(http, receiver, {"fault": "event_reordered", "event": "customer.created"})

    await http.post("/v1/customers")
    await server.sandbox.advance(59)
    before = len(receiver.received)
    await server.sandbox.advance(1)

    assert (before, len(receiver.received)) == (0, 1)


async def test_an_event_can_be_delayed(http: "Http", server: Server, receiver: "Receiver") -> None:
    """It is in the list at once and delivered days later, by the sandbox's clock."""
    await _scripted(http, receiver, {"fault": "event_delayed", "event": "customer.created", "seconds": 259_200})

    await http.post("/v1/customers")
    listed = await http.event_types()
    await server.sandbox.advance(259_199)
    before = len(receiver.received)
    await server.sandbox.advance(1)

    assert (listed, before, len(receiver.received)) == (["customer.created"], 0, 1)


async def test_an_event_can_stay_undelivered(http: "Http", server: Server, receiver: "Receiver") -> None:
    """It is made and never arrives; who lists what was not delivered finds it."""
    await _scripted(http, receiver, {"fault": "event_undelivered"})

    lost = await http.post("/v1/customers")
    await http.post("/v1/customers")
    await server.sandbox.advance(7 * 86_400)

    missed = (await http.get("/v1/events?delivery_success=false")).body["data"]
    assert (len(receiver.received), [event["data"]["object"]["id"] for event in missed]) == (1, [lost.body["id"]])


async def test_an_event_can_be_missing_altogether(http: "Http", server: Server, receiver: "Receiver") -> None:
    """The change is made, and no event tells of it, neither delivered nor listed."""
    await _scripted(http, receiver, {"fault": "event_never_made", "event": "payment_intent.succeeded"})

    paid = await http.pay()
    await server.sandbox.settle()

    assert paid.body["status"] == "succeeded"
    assert "payment_intent.succeeded" not in await http.event_types()
    assert {event["type"] for event in _events(receiver)} == {"payment_intent.created", "charge.succeeded"}


@pytest.mark.parametrize("flaw", ["altered", "missing"])
async def test_a_signature_can_be_wrong(http: "Http", server: Server, receiver: "Receiver", flaw: str) -> None:
    """Stripe's own verifier refuses the first try; the next try, after a refusal, carries the right signature."""
    secret = await _scripted(http, receiver, {"fault": "event_forged", "signature": flaw})
    receiver.statuses = [401]

    await http.post("/v1/customers")
    await server.sandbox.advance(300)

    verifier: Any = stripe.WebhookSignature  # which the SDK leaves untyped
    first, second = [(body.decode(), headers.get("Stripe-Signature", "")) for headers, body in receiver.received]
    with pytest.raises(stripe.SignatureVerificationError):
        verifier.verify_header(*first, secret)
    assert verifier.verify_header(*second, secret)


async def test_a_signature_can_be_stale(http: "Http", server: Server, receiver: "Receiver") -> None:
    """It is right but for its time, an hour ago; only a verifier with a tolerance notices."""
    secret = await _scripted(http, receiver, {"fault": "event_forged", "signature": "stale"})

    await http.post("/v1/customers")
    await server.sandbox.settle()

    verifier: Any = stripe.WebhookSignature  # which the SDK leaves untyped
    headers, body = receiver.received[0]
    assert f"t={1_750_000_000 - 3600}," in headers["Stripe-Signature"]
    assert verifier.verify_header(body.decode(), headers["Stripe-Signature"], secret)
    with pytest.raises(stripe.SignatureVerificationError):
        verifier.verify_header(body.decode(), headers["Stripe-Signature"], secret, tolerance=300)
