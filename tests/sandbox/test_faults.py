import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import stripe

from stripe_sandbox.faults import KINDS
from stripe_sandbox.sandbox import Sandbox, Server

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http

INTENTS = "/v1/payment_intents"
HEADERS = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": "k"}


async def _script(http: "Http", *faults: dict[str, Any]) -> list[dict[str, Any]]:
    reply = await http.post("/_sandbox/faults", json.dumps(faults))
    assert reply.status == 200, reply.body
    made: list[dict[str, Any]] = reply.body["faults"]
    return made


async def _charges(http: "Http") -> int:
    return len((await http.get("/v1/charges?limit=100")).body["data"])


@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_can_be_lost_after_success(http: "Http", reset: bool) -> None:  # noqa: FBT001 - a parameter
    """The client hears nothing, the money has moved, and the same key gives the answer that was lost."""
    await _script(http, {"fault": "lose_answer", "method": "POST", "path": INTENTS, "reset": reset})

    with pytest.raises(aiohttp.ClientOSError if reset else aiohttp.ServerDisconnectedError):
        await http.pay(key="k")
    again = await http.pay(key="k")

    assert (again.status, again.headers.get("Idempotent-Replayed")) == (200, "true")
    assert await _charges(http) == 1


async def test_an_answer_can_break_off(http: "Http") -> None:
    """Headers and half a body arrive; the work is done."""
    await _script(http, {"fault": "cut_body", "path": INTENTS})

    with pytest.raises(aiohttp.ClientPayloadError):
        await http.pay(key="k")

    assert await _charges(http) == 1


async def test_a_connection_can_be_reset_before_anything_is_done(http: "Http") -> None:
    """Nothing was executed and nothing is kept: the same key works afterwards, as if for the first time."""
    await _script(http, {"fault": "reset", "method": "POST"})

    with pytest.raises(aiohttp.ClientOSError):
        await http.pay(key="k")
    before = await _charges(http)
    again = await http.pay(key="k")

    assert (before, again.status, again.headers.get("Idempotent-Replayed")) == (0, 200, None)
    log = (await http.get("/_sandbox/requests?path=/v1/payment_intents")).body["requests"]
    assert [(entry["status"], entry["fault"]) for entry in log] == [(None, "reset"), (200, None)]


@pytest.mark.parametrize(("effect", "charges"), [("none", 0), ("done", 1)])
async def test_a_500_stays_what_it_is(http: "Http", effect: str, charges: int) -> None:
    """With effect or without, it is kept under its key and answers every repeat, for a day."""
    await _script(http, {"fault": "error", "status": 500, "effect": effect, "path": INTENTS})

    first = await http.pay(key="k")
    again = await http.pay(key="k")
    found = await _charges(http)
    await http.advance(86_400)
    forgotten = await http.pay(key="k")

    assert (500, "api_error", first.body) == (first.status, first.error["type"], again.body)
    assert (again.headers.get("Idempotent-Replayed"), found, forgotten.status) == ("true", charges, 200)


async def test_a_500_can_roll_forward(http: "Http") -> None:
    """The work is done later, by the sandbox's clock, with its events; the 500 under the key stays."""
    await _script(http, {"fault": "error", "effect": "later", "after_seconds": 600, "path": INTENTS})

    failed = await http.pay(key="k", **{"metadata[order]": "7"})
    await http.advance(599)
    before = (await http.event_types(), await _charges(http))
    await http.advance(1)

    intent = (await http.get(INTENTS)).body["data"][0]
    made = (await http.get("/v1/events?type=payment_intent.succeeded")).body["data"][0]
    assert before == ([], 0)
    assert (intent["status"], intent["metadata"], await _charges(http)) == ("succeeded", {"order": "7"}, 1)
    assert (failed.headers["Request-Id"], "k") == (made["request"]["id"], made["request"]["idempotency_key"])
    assert (await http.pay(key="k", **{"metadata[order]": "7"})).status == 500


async def test_a_500_is_for_execution_only(http: "Http") -> None:
    """An invalid request is still 400, a repeat is still its first answer; and neither uses the fault up."""
    first = await http.pay(key="k")
    await _script(http, {"fault": "error", "status": 500, "path": INTENTS, "method": "POST"})

    replayed = await http.pay(key="k")
    struck = await http.pay(key="other")

    assert (first.body, 500) == (replayed.body, struck.status)


async def test_an_issuer_can_say_no_once(http: "Http") -> None:
    """A good card is declined as a bad one is; the repeat is the same answer, and another try succeeds."""
    await _script(http, {"fault": "decline", "code": "insufficient_funds", "path": INTENTS})

    first = await http.pay(key="k")
    replayed = await http.pay(key="k")
    second = await http.pay(key="other")

    error = first.body["error"]
    assert (first.status, error["code"], error["decline_code"]) == (402, "card_declined", "insufficient_funds")
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert (replayed.status, replayed.body["error"]["decline_code"]) == (402, "insufficient_funds")
    assert (second.status, second.body["status"]) == (200, "succeeded")


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize(("effect", "before", "replayed"), [("none", 0, None), ("done", 1, "true")])
async def test_errors_in_front_of_the_api_hide_its_answer(
    http: "Http", status: int, effect: str, before: int, replayed: str | None
) -> None:
    """Nothing is kept of them: a repeat is executed, or gives the answer that they hid."""
    await _script(http, {"fault": "error", "status": status, "effect": effect, "path": INTENTS})

    hidden = await http.pay(key="k")
    charges = await _charges(http)
    again = await http.pay(key="k")

    assert (hidden.status, charges) == (status, before)
    assert (again.status, again.headers.get("Idempotent-Replayed"), await _charges(http)) == (200, replayed, 1)


async def test_rate_limits_come_before_the_idempotency_layer(http: "Http") -> None:
    """A 429 says nothing about the key: neither on the first request nor on a repeat is it kept."""
    await _script(
        http,
        {"fault": "rate_limit", "path": INTENTS, "reason": "endpoint-rate"},
        {"fault": "lock_timeout", "path": INTENTS, "nth": 3, "should_retry": True},
    )

    limited, paid, locked, again = [await http.pay(key="k") for _ in range(4)]

    assert [limited.status, paid.status, locked.status, again.status] == [429, 200, 429, 200]
    assert (limited.error["code"], limited.headers["Stripe-Rate-Limited-Reason"]) == ("rate_limit", "endpoint-rate")
    assert (locked.error["code"], "Stripe-Rate-Limited-Reason" in locked.headers) == ("lock_timeout", False)
    assert ("Stripe-Should-Retry" in limited.headers, locked.headers["Stripe-Should-Retry"]) == (False, "true")
    assert (paid.body["id"], await _charges(http)) == (again.body["id"], 1)


async def test_a_key_can_be_said_to_be_in_use(http: "Http") -> None:
    """409 to the request with that key, and to no other."""
    await _script(http, {"fault": "key_in_use", "idempotency_key": "order-*"})

    other = await http.pay(key="cart-1")
    refused = await http.pay(key="order-1")
    again = await http.pay(key="order-1")

    assert [other.status, refused.status, again.status] == [200, 409, 200]
    assert (refused.error["code"], refused.headers["Stripe-Should-Retry"]) == ("idempotency_key_in_use", "true")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_can_be_revoked_in_the_middle(http: "Http", status: int) -> None:
    """Every call is refused until the fault is taken out, and nothing is executed."""
    (fault,) = await _script(http, {"fault": "error", "status": status, "times": None})

    refused = [(await http.pay(key="k")).status, (await http.get(INTENTS)).status]
    await http.send("DELETE", f"/_sandbox/faults/{fault['id']}")

    assert refused == [status, status]
    assert (await http.pay(key="k")).status == 200


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_slowness_is_before_or_after_the_work(when: str, executed: int) -> None:
    """While a slow request is under way, its work is either still to come or already done."""
    async with Sandbox().serve() as server, aiohttp.ClientSession() as session:
        await session.post(f"{server.url}/_sandbox/faults", json={"fault": "slow", "seconds": 60, "when": when})
        form = {"amount": "500", "currency": "usd"}

        with pytest.raises(TimeoutError):
            await session.post(
                f"{server.url}{INTENTS}", data=form, headers=HEADERS, timeout=aiohttp.ClientTimeout(total=0.5)
            )

        assert len(server.sandbox.account().payment_intents) == executed


async def test_slowness_adds_to_whatever_else_happens(http: "Http", server: Server) -> None:
    """A slow answer can be lost too; each line counts what it struck."""
    made = await _script(
        http, {"fault": "slow", "seconds": 0.01}, {"fault": "slow", "seconds": 0.02}, {"fault": "lose_answer"}
    )
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await http.pay()

    assert [(line["id"], line["struck"]) for line in server.sandbox.script.shown()] == [
        (line["id"], 1) for line in made
    ]


async def test_a_script_is_played_line_by_line(http: "Http") -> None:
    """Of several faults that fit, the first strikes and is used up; then the next has its turn."""
    await _script(
        http,
        {"fault": "error", "status": 503, "times": 2, "path": "/v1/payment_*"},
        {"fault": "rate_limit", "path": "/v1/**"},
        {"fault": "error", "status": 504, "path": "/v1/customers"},
    )

    statuses = [(await http.pay(key="k")).status for _ in range(4)]

    assert statuses == [503, 503, 429, 200]
    assert (await http.post("/v1/customers")).status == 504


async def test_a_fault_means_what_it_names(http: "Http") -> None:
    """Method, path with its stars and key must all fit; `*` ends at a slash, `**` does not."""
    await _script(
        http,
        {"fault": "rate_limit", "method": "GET", "path": f"{INTENTS}/*", "times": None},
        {"fault": "error", "status": 503, "path": f"{INTENTS}/**/cancel", "times": None},
    )
    intent = (await http.post(INTENTS, "amount=500&currency=usd")).body["id"]

    assert [
        (await http.get(INTENTS)).status,
        (await http.get(f"{INTENTS}/{intent}")).status,
        (await http.post(f"{INTENTS}/{intent}")).status,
        (await http.post(f"{INTENTS}/{intent}/cancel")).status,
    ] == [200, 429, 200, 503]


async def test_chance_repeats_itself() -> None:
    """With a probability, the same seed strikes the same requests, another seed others."""

    async def struck(seed: int) -> list[int]:
        async with Sandbox().serve() as server, aiohttp.ClientSession() as session:
            fault = {"fault": "rate_limit", "probability": 0.5, "seed": seed}
            await session.post(f"{server.url}/_sandbox/faults", json=fault)
            statuses = []
            for _ in range(20):
                async with session.get(f"{server.url}{INTENTS}", headers=HEADERS) as answer:
                    statuses.append(answer.status)
            return statuses

    first, same, other = [await struck(seed) for seed in (1, 1, 2)]

    assert first == same
    assert first != other
    assert {200, 429} == set(first)


async def test_the_sdks_own_retries_get_through(server: Server, http: "Http") -> None:
    """A plain SDK, allowed two retries, survives a lost answer and a 503 and is charged once."""
    await _script(http, {"fault": "lose_answer"}, {"fault": "error", "status": 503})
    transport = stripe.AIOHTTPClient()
    client = stripe.StripeClient(
        "sk_test_x", base_addresses={"api": server.url}, http_client=transport, max_network_retries=2
    )

    paid = await client.payment_intents.create_async(
        {
            "amount": 500,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
        }
    )
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves this one untyped

    assert (paid.status, await _charges(http)) == ("succeeded", 1)
    assert len((await http.get(f"/_sandbox/requests?path={INTENTS}")).body["requests"]) == 3


async def test_faults_are_listed_counted_and_cleared(http: "Http") -> None:
    """Each line tells what it means, how many it met and how many it struck; a reset ends the script too."""
    (made,) = await _script(http, {"fault": "rate_limit", "nth": 2, "path": INTENTS})
    await http.get(INTENTS)
    await http.get(INTENTS)
    listed = (await http.get("/_sandbox/faults")).body["faults"]
    cleared = (await http.send("DELETE", "/_sandbox/faults")).body["faults"]
    await _script(http, {"fault": "reset"})
    await http.post("/_sandbox/reset")

    assert [{**made, "met": 2, "struck": 1}] == listed
    assert (cleared, (await http.get("/_sandbox/faults")).body["faults"]) == ([], [])
    assert (await http.send("DELETE", f"/_sandbox/faults/{made['id']}")).status == 404


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("nonsense", "Send JSON"),
        ("[1]", "one of lose_answer"),
        ('{"fault": "moon"}', "one of lose_answer"),
        ('{"fault": "reset", "path": 7}', "path is a text"),
        ('{"fault": "reset", "path": ""}', "path is a text"),
        ('{"fault": "reset", "status": 500}', "no field 'status' here"),
        ('{"fault": "error", "status": 418}', "status is one of 401, 403, 500, 502, 503, 504"),
        ('{"fault": "decline", "code": "moon"}', "code is one of generic_decline, insufficient_funds"),
        ('{"fault": "error", "status": 503, "effect": "later"}', "Only a 500"),
        ('{"fault": "error", "status": 401, "effect": "done"}', "no effect"),
        ('{"fault": "slow", "seconds": -1}', "seconds must be between 0"),
        ('{"fault": "slow", "seconds": true}', "seconds must be between 0"),
        ('{"fault": "reset", "times": 0}', "times is a whole number"),
        ('{"fault": "reset", "method": "PUT"}', "method is one of GET"),
        ('{"fault": "lose_answer", "reset": "yes"}', "reset is true or false"),
        ('{"fault": "event_delayed", "path": "/v1"}', "no field 'path' here"),
        ('[{"fault": "reset"}, {"fault": "slow", "when": "never"}]', "Fault 2 of 2: when is one of before, after"),
    ],
)
async def test_a_fault_that_cannot_be_is_refused_whole(http: "Http", sent: str, told: str) -> None:
    """The sentence says which field, and nothing of the list is taken."""
    refused = await http.post("/_sandbox/faults", sent)

    assert (refused.status, told in refused.body["error"]) == (400, True), refused.body
    assert (await http.get("/_sandbox/faults")).body["faults"] == []


async def test_every_kind_can_be_asked_for(http: "Http") -> None:
    """Each kind is taken with its name alone, and shows the fields it takes with what they are then."""
    made = await _script(http, *({"fault": name} for name in KINDS))

    assert [line["fault"] for line in made] == list(KINDS)
    assert all(set(KINDS[line["fault"]].fields) <= set(line) for line in made)


async def test_held_and_slow_requests_do_not_keep_the_sandbox_from_ending() -> None:
    """A server that is told to stop ends though a request is held."""
    async with aiohttp.ClientSession() as session:
        async with Sandbox().serve() as server:
            server.sandbox.holds.add({})
            waiting = asyncio.create_task(session.get(f"{server.url}{INTENTS}", headers=HEADERS))
            await server.sandbox.holds.until_held(1, 20)
        answer = await waiting

    assert answer.status == 200
