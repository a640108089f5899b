import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import stripe

from stripe_sandbox.sandbox import Sandbox, Server, Webhook

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver

HOUR = 3600
NOON = 1_750_000_000
SECRET = "whsec_known_to_both"


async def _endpoint(sdk: stripe.StripeClient, receiver: "Receiver", *events: str) -> stripe.WebhookEndpoint:
    sent: Any = {"url": receiver.url, "enabled_events": list(events) or ["*"]}
    return await sdk.webhook_endpoints.create_async(sent)


def _types(receiver: "Receiver") -> list[str]:
    return [json.loads(body)["type"] for _, body in receiver.received]


async def test_a_delivery_passes_stripes_own_verifier(receiver: "Receiver") -> None:
    """The SDK's `construct_event` accepts what arrives, with the secret that both sides knew before they started."""
    async with Sandbox(webhook=Webhook(receiver.url, SECRET)).serve() as server:
        async with aiohttp.ClientSession() as session:
            await session.post(
                f"{server.url}/v1/payment_intents",
                data={"amount": "500", "currency": "usd", "metadata[city]": "Zürich"},
                headers={"Authorization": "Bearer sk_test_x", "Idempotency-Key": "k-7"},
            )
        await server.sandbox.settle()

    headers, body = receiver.received[0]
    construct_event: Any = stripe.Webhook.construct_event  # which the SDK leaves untyped
    event = construct_event(body, headers["Stripe-Signature"], SECRET)
    assert (event.type, event.api_version) == ("payment_intent.created", "2024-06-20")
    assert event.data.object["metadata"]["city"] == "Zürich"
    assert (event["request"]["idempotency_key"], event.pending_webhooks) == ("k-7", 1)
    with pytest.raises(stripe.SignatureVerificationError):
        construct_event(body, headers["Stripe-Signature"], "whsec_other")


async def test_the_signature_is_an_hmac_over_time_and_bytes(
    sdk: stripe.StripeClient, server: Server, receiver: "Receiver"
) -> None:
    """`v1` is HMAC-SHA256 over `t.body`, keyed with the whole secret; `t` is the machine's time, not the moved one."""
    endpoint = await _endpoint(sdk, receiver)
    await server.sandbox.advance(5 * 86_400)
    await sdk.customers.create_async({})
    await server.sandbox.settle()

    headers, body = receiver.received[0]
    fields = dict(part.split("=") for part in headers["Stripe-Signature"].split(","))
    expected = hmac.new(str(endpoint.secret).encode(), f"{NOON}.".encode() + body, hashlib.sha256).hexdigest()
    assert (str(NOON), expected) == (fields["t"], fields["v1"])
    assert fields["v0"] != fields["v1"]
    assert headers["User-Agent"] == "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
    assert headers["Content-Type"] == "application/json; charset=utf-8"


async def test_the_body_is_indented_as_stripes_is(
    sdk: stripe.StripeClient, server: Server, receiver: "Receiver"
) -> None:
    """Bytes, not objects, are signed: a receiver that encodes again must be found out."""
    await _endpoint(sdk, receiver)
    await sdk.customers.create_async({"name": "Zoë"})
    await server.sandbox.settle()

    body = receiver.received[0][1]
    assert json.dumps(json.loads(body), indent=2).encode() == body


async def test_endpoints_get_what_they_asked_for(
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """`enabled_events` filters; everything is still in the list of events."""
    await _endpoint(sdk, receiver, "payment_intent.succeeded", "charge.failed")

    await http.pay()
    await http.pay("pm_card_chargeDeclined")
    await server.sandbox.settle()

    assert sorted(_types(receiver)) == ["charge.failed", "payment_intent.succeeded"]


async def test_a_snapshot_is_of_its_moment(
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """Each event shows the object as it was when it happened, however late it is delivered."""
    await _endpoint(sdk, receiver, "payment_intent.created", "payment_intent.succeeded")
    receiver.statuses = [500]

    await http.pay()
    await server.sandbox.advance(HOUR)

    seen = {json.loads(body)["type"]: json.loads(body)["data"]["object"]["status"] for _, body in receiver.received}
    assert seen == {"payment_intent.created": "requires_confirmation", "payment_intent.succeeded": "succeeded"}


async def test_a_failed_delivery_comes_again(
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """Anything but a 2xx is tried again, the same bytes but for the signature's time, until it is accepted."""
    await _endpoint(sdk, receiver)
    receiver.statuses = [500, 302, 400, 204]
    await sdk.customers.create_async({})
    await server.sandbox.settle()
    pending = (await sdk.events.list_async()).data[0].pending_webhooks

    await server.sandbox.advance(6 * HOUR)

    event = (await sdk.events.list_async()).data[0]
    deliveries = (await http.get("/_sandbox/deliveries")).body["deliveries"]
    assert (pending, event.pending_webhooks) == (1, 0)
    assert len({body for _, body in receiver.received}) == 1
    assert [(delivery["number"], delivery["status"], delivery["at"] - NOON) for delivery in deliveries] == [
        (1, 500, 0),
        (2, 302, 300),
        (3, 400, 2100),
        (4, 204, 9300),
    ]


async def test_after_three_retries_a_test_event_stays_undelivered(
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """A receiver that stays broken misses the event, and the list of events knows which."""
    await _endpoint(sdk, receiver)
    receiver.statuses = [500] * 4
    lost = await sdk.customers.create_async({})
    await server.sandbox.advance(7 * 86_400)
    await sdk.customers.create_async({})
    await server.sandbox.settle()

    missed = (await http.get("/v1/events?delivery_success=false")).body["data"]
    assert len(receiver.received) == 5
    assert [lost.id] == [event["data"]["object"]["id"] for event in missed]


async def test_a_receiver_that_is_not_there_is_tried_again(
    sdk: stripe.StripeClient, http: "Http", server: Server
) -> None:
    """A refused connection is a failed try like any other."""
    await sdk.webhook_endpoints.create_async({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    await sdk.customers.create_async({})
    await server.sandbox.advance(301)

    deliveries = (await http.get("/_sandbox/deliveries")).body["deliveries"]
    assert [(delivery["number"], delivery["status"]) for delivery in deliveries] == [(1, None), (2, None)]
    assert deliveries[0]["error"] == "ClientConnectorError"


async def test_endpoints_can_be_changed_disabled_and_deleted(
    sdk: stripe.StripeClient, server: Server, receiver: "Receiver"
) -> None:
    """The secret is told once; a disabled endpoint is left alone, an enabled one served again, a deleted one gone."""
    endpoint = await _endpoint(sdk, receiver, "customer.created")
    disabled = await sdk.webhook_endpoints.update_async(endpoint.id, {"disabled": True, "description": "quiet"})
    await sdk.customers.create_async({})
    await server.sandbox.settle()
    quiet = len(receiver.received)
    await sdk.webhook_endpoints.update_async(endpoint.id, {"disabled": False})
    await sdk.customers.create_async({})
    await server.sandbox.settle()
    listed = await sdk.webhook_endpoints.list_async()
    deleted = await sdk.webhook_endpoints.delete_async(endpoint.id)
    await sdk.customers.create_async({})
    await server.sandbox.settle()

    assert str(endpoint.secret).startswith("whsec_")
    assert (disabled.status, disabled.description, quiet) == ("disabled", "quiet", 0)
    assert [(endpoint.id, None)] == [(one.id, one.get("secret")) for one in listed.data]
    assert (deleted.deleted, len(receiver.received)) == (True, 1)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"url": "nowhere", "enabled_events[]": "*"}, "url"),
        ({"url": "ftp://a.example/", "enabled_events[]": "*"}, "url"),
        ({"url": "http://a.example/"}, "enabled_events"),
        ({"url": "http://a.example/", "enabled_events[]": "nonsense"}, "enabled_events[0]"),
        ({"url": "http://a.example/", "enabled_events[]": "*", "api_version": "2011-01-01"}, "api_version"),
    ],
)
async def test_an_endpoint_needs_an_address_and_events(http: "Http", form: dict[str, str], param: str) -> None:
    """What could never be delivered to is refused."""
    refused = await http.post("/v1/webhook_endpoints", form)

    assert (400, param) == (refused.status, refused.error["param"])


async def test_a_burst_is_delivered_whole(
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """Every event of many payments arrives exactly once when the receiver is well."""
    await _endpoint(sdk, receiver)
    for _ in range(40):
        await http.pay()
    await server.sandbox.settle()

    ids = [json.loads(body)["id"] for _, body in receiver.received]
    assert (len(ids), len(set(ids))) == (120, 120)


def _accepts(delivered: tuple[Any, bytes], secret: str) -> bool:
    construct_event: Any = stripe.Webhook.construct_event  # which the SDK leaves untyped
    try:
        construct_event(delivered[1], delivered[0]["Stripe-Signature"], secret, tolerance=None)
    except stripe.SignatureVerificationError:
        return False
    return True


async def test_while_a_secret_is_rolled_both_sign(
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """For the overlap asked for, Stripe's verifier accepts either secret; then only the new one."""
    endpoint = await _endpoint(sdk, receiver)
    old = str(endpoint.secret)
    rolling = {"webhook_endpoint": endpoint.id, "overlap_seconds": HOUR}
    async with http.session.post(http.url + "/_sandbox/roll", json=rolling) as answer:
        new = (await answer.json())["secret"]
    await sdk.customers.create_async()
    await server.sandbox.advance(HOUR)
    await sdk.customers.create_async()
    await server.sandbox.settle()

    during, after = receiver.received
    assert during[0]["Stripe-Signature"].count("v1=") == 2
    assert [_accepts(during, old), _accepts(during, new)] == [True, True]
    assert [_accepts(after, old), _accepts(after, new)] == [False, True]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"webhook_endpoint": "we_nothing"}, 404),
        ({"overlap_seconds": 5}, 400),
        ([], 400),
        ({"webhook_endpoint": "we_nothing", "overlap_seconds": 86_401}, 400),
        ({"webhook_endpoint": "we_nothing", "overlap_seconds": "long"}, 400),
    ],
)
async def test_what_cannot_be_rolled_is_refused(http: "Http", sent: Any, status: int) -> None:
    """An endpoint that is not there, and an overlap that Stripe would not give."""
    async with http.session.post(http.url + "/_sandbox/roll", json=sent) as answer:
        assert answer.status == status


async def test_an_endpoint_that_fails_for_days_is_disabled(
    sdk: stripe.StripeClient, server: Server, receiver: "Receiver"
) -> None:
    """Three days without one success end deliveries, until somebody enables it again; one success starts anew."""
    endpoint = await _endpoint(sdk, receiver, "customer.created")
    receiver.statuses = [*[500] * 4, 200, *[500] * 13]
    statuses = []
    for _ in range(6):
        await sdk.customers.create_async()
        await server.sandbox.advance(86_400)
        statuses.append((await sdk.webhook_endpoints.retrieve_async(endpoint.id)).status)
    heard = len(receiver.received)
    await sdk.customers.create_async()
    await server.sandbox.settle()
    silent = len(receiver.received) - heard
    await sdk.webhook_endpoints.update_async(endpoint.id, {"disabled": False})
    await sdk.customers.create_async()
    await server.sandbox.settle()

    assert (statuses, silent) == ([*["enabled"] * 5, "disabled"], 0)
    assert len(receiver.received) == heard + 1


@pytest.mark.parametrize(("version", "lists"), [("2020-08-27", True), ("2023-10-16", False)])
async def test_an_endpoint_has_its_api_version(  # noqa: PLR0913 - the fixtures are the stage
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver", version: str, *, lists: bool
) -> None:
    """Deliveries are rendered for the endpoint's version; the list of events stays in the account's own."""
    sent: Any = {"url": receiver.url, "enabled_events": ["*"], "api_version": version}
    endpoint = await sdk.webhook_endpoints.create_async(sent)
    intent = (await http.pay()).body
    await http.post("/v1/refunds", {"payment_intent": intent["id"], "amount": "5"})
    await server.sandbox.settle()

    events = [json.loads(body) for _, body in receiver.received]
    paid, refunded = (
        next(event["data"]["object"] for event in events if event["type"] == type_)
        for type_ in ("payment_intent.succeeded", "charge.refunded")
    )
    assert (endpoint.api_version, {version}) == (version, {event["api_version"] for event in events})
    assert [lists, lists] == ["charges" in paid, "refunds" in refunded]
    if lists:
        assert [intent["latest_charge"]] == [charge["id"] for charge in paid["charges"]["data"]]
        assert [refund["amount"] for refund in refunded["refunds"]["data"]] == [5]
    listed = (await http.get("/v1/events")).body["data"]
    assert {event["api_version"] for event in listed} == {"2024-06-20"}


async def test_pending_webhooks_counts_what_is_undelivered(
    sdk: stripe.StripeClient, http: "Http", server: Server, receiver: "Receiver"
) -> None:
    """One for each endpoint that has not accepted; deleting an endpoint ends its claim."""
    await _endpoint(sdk, receiver)
    gone = await sdk.webhook_endpoints.create_async({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    await sdk.customers.create_async()
    made = (await http.get("/v1/events")).body["data"][0]["pending_webhooks"]
    await server.sandbox.settle()
    tried = (await http.get("/v1/events?delivery_success=false")).body["data"][0]["pending_webhooks"]
    await sdk.webhook_endpoints.delete_async(gone.id)

    assert [made, tried] == [2, 1]
    assert (await http.get("/v1/events?delivery_success=false")).body["data"] == []
