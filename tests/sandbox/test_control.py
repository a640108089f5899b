from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import aiohttp
import pytest

from stripe_sandbox.ids import Ids
from stripe_sandbox.sandbox import Sandbox, Server, Webhook

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver

NOON = 1_750_000_000


async def test_time_moves_at_will(http: "Http") -> None:
    """Advancing takes no time of ours and shows in everything made afterwards."""
    before = (await http.get("/_sandbox/clock")).body
    await http.advance(86_400)
    after = (await http.get("/_sandbox/clock")).body
    made = (await http.post("/v1/customers")).body

    assert [before["now"], after["now"]] == [NOON, NOON + 86_400]
    assert (after["offset_seconds"], made["created"]) == (86_400, NOON + 86_400)


async def test_every_answer_says_what_time_it_is_there(http: "Http") -> None:
    """The header Date is of the sandbox's clock, so that a client with another time can be tried out."""
    await http.advance(86_400)
    refused = await http.get("/v1/nothing")

    assert parsedate_to_datetime(refused.headers["Date"]).timestamp() == NOON + 86_400


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"advance_seconds": "1"}', '{"advance_seconds": -1}', '{"advance_seconds": 1e300}',
             '{"advance_seconds": NaN}', '{"advance_seconds": true}']
)  # fmt: skip
async def test_time_does_not_move_by_mistake(http: "Http", body: str) -> None:
    """What is no sensible number of seconds is refused, and the clock stays."""
    refused = await http.post("/_sandbox/clock", body)

    assert refused.status == 400
    assert (await http.get("/_sandbox/clock")).body["now"] == NOON


async def test_the_log_shows_what_was_asked(http: "Http") -> None:
    """Method, path, key, body as sent and answer of every call, and nothing of the sandbox's own pages."""
    await http.pay(key="k-1", amount="700")
    await http.pay(key="k-1", amount="700")
    await http.get("/v1/charges?limit=3")

    log = (await http.get("/_sandbox/requests")).body["requests"]
    keyed = (await http.get("/_sandbox/requests?idempotency_key=k-1&path=/v1/payment_intents")).body["requests"]
    last = (await http.get("/_sandbox/requests?limit=1")).body["requests"]

    assert [(entry["method"], entry["idempotency_key"], entry["replayed"]) for entry in log] == [
        ("POST", "k-1", False),
        ("POST", "k-1", True),
        ("GET", None, False),
    ]
    assert log[:2] == keyed
    assert [entry["query"] for entry in last] == ["limit=3"]
    assert log[0]["body"].startswith("amount=700&currency=eur&payment_method=pm_card_visa")
    assert (log[0]["status"], log[0]["livemode"], log[0]["received_at"]) == (200, False, NOON)


async def test_a_reset_forgets_everything(http: "Http") -> None:
    """Objects, keys, due things, the log and the moved clock are gone; the old key is free."""
    first = await http.pay(key="k")
    await http.advance(1000)
    await http.post("/_sandbox/reset")

    assert (
        (await http.get("/_sandbox/clock")).body["now"],
        (await http.get("/_sandbox/requests")).body["requests"],
        (await http.get("/v1/events")).body["data"],
    ) == (NOON, [], [])
    assert (await http.get(f"/v1/payment_intents/{first.body['id']}")).status == 404
    assert first.body["id"] != (await http.pay(key="k")).body["id"]


async def test_a_reset_ends_what_was_on_its_way(http: "Http", receiver: "Receiver") -> None:
    """A delivery that a receiver was thinking about is neither logged nor tried again after a reset."""
    receiver.may_answer.clear()
    receiver.statuses = [500]
    await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})
    await http.post("/v1/customers")
    await receiver.arrived.wait()

    await http.post("/_sandbox/reset")
    receiver.may_answer.set()
    await http.advance(86_400)

    assert len(receiver.received) == 1
    assert (await http.get("/_sandbox/deliveries")).body["deliveries"] == []


async def test_the_given_endpoint_outlives_a_reset(receiver: "Receiver") -> None:
    """What the command line set up is there again, with the same secret."""
    async with (
        Sandbox(webhook=Webhook(receiver.url, "whsec_x"), ids=Ids(seed=3)).serve() as server,
        aiohttp.ClientSession() as session,
    ):
        await session.post(f"{server.url}/_sandbox/reset")
        await session.post(f"{server.url}/v1/customers", headers={"Authorization": "Bearer sk_test_x"})
        await server.sandbox.settle()

    assert len(receiver.received) == 1


async def test_only_the_given_keys_open_it() -> None:
    """A sandbox that was told its keys takes no other."""
    async with Sandbox(keys=["sk_test_ours"]).serve() as server, aiohttp.ClientSession() as session:

        async def status(key: str) -> int:
            async with session.get(f"{server.url}/v1/charges", headers={"Authorization": f"Bearer {key}"}) as answer:
                return answer.status

        assert [await status("sk_test_ours"), await status("sk_test_theirs")] == [200, 401]


async def test_the_same_seed_gives_the_same_ids() -> None:
    """With a seed, a test can name the ids it will get."""

    async def intent_id() -> str:
        async with Sandbox(ids=Ids(seed=7)).serve() as server, aiohttp.ClientSession() as session:
            form = {"amount": "500", "currency": "usd"}
            headers = {"Authorization": "Bearer sk_test_x"}
            async with session.post(f"{server.url}/v1/payment_intents", data=form, headers=headers) as answer:
                return str((await answer.json())["id"])

    assert await intent_id() == await intent_id()


async def test_a_receipt_can_be_opened(http: "Http", server: Server) -> None:
    """`receipt_url` leads to a page of the sandbox's own; a failed charge has none."""
    paid = (await http.pay(**{"expand[]": "latest_charge"})).body["latest_charge"]
    path = paid["receipt_url"].removeprefix(server.url)

    page = await http.get(path)

    assert (page.status, "19.99 EUR" in page.body) == (200, True)
    assert (await http.get("/receipts/ch_nothing")).status == 404


@pytest.mark.parametrize("path", ["/_sandbox/nothing", "/_sandbox/requests/req_nothing"])
async def test_unknown_pages_are_404(http: "Http", path: str) -> None:
    """The sandbox's own pages answer in JSON too."""
    missing = await http.get(path)

    assert (missing.status, list(missing.body)) == (404, ["error"])


async def test_it_says_that_it_lives(http: "Http") -> None:
    """The page that a supervisor asks, without a key."""
    health = await http.send("GET", "/_sandbox/health", headers={"Authorization": ""})

    assert (health.status, health.body["status"]) == (200, "ok")
