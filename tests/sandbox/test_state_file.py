import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.sandbox.conftest import NOON, Http

from stripe_sandbox.clock import Clock
from stripe_sandbox.sandbox import Sandbox, Webhook
from stripe_sandbox.state_file import UnusableFileError
from stripe_sandbox.trigger import RECIPES

if TYPE_CHECKING:
    from tests.sandbox.conftest import Receiver

MODULE = [sys.executable, "-m", "stripe_sandbox"]
DAY = 86_400
CARD = {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2034"}


@asynccontextmanager
async def _sandbox(file: Path, webhook: Webhook | None = None) -> AsyncIterator[Http]:
    sandbox = Sandbox(clock=Clock(lambda: NOON), data=file, webhook=webhook)
    async with sandbox.serve() as server, aiohttp.ClientSession() as session:
        yield Http(session, server.url)


@contextmanager
def _process(file: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [*MODULE, "--port", "0", "--json", "--data", str(file), *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


async def _everything(http: Http) -> object:
    names = ("dump", "requests", "deliveries", "clock")
    return [(await http.get(f"/_sandbox/{name}")).body for name in names]


async def test_everything_is_there_after_a_restart(tmp_path: Path, receiver: "Receiver") -> None:
    """Objects in their order, the logs, the moved clock, and the endpoint that the command line set up, once."""
    file, webhook = tmp_path / "state", Webhook(receiver.url, "whsec_x")
    async with _sandbox(file, webhook) as http:
        await http.pay(key="k")
        await http.pay("pm_card_chargeDeclined")
        deleted = await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})
        await http.send("DELETE", f"/v1/webhook_endpoints/{deleted.body['id']}")
        await http.advance(DAY - 1)
        before = await _everything(http)

    async with _sandbox(file, webhook) as http:
        assert before == await _everything(http)
        assert (await http.pay(key="k")).headers.get("Idempotent-Replayed") == "true"
        page = (await http.get("/v1/charges?limit=1")).body
        rest = (await http.get(f"/v1/charges?starting_after={page['data'][0]['id']}")).body
        assert (page["has_more"], len(rest["data"])) == (True, 1)


async def test_what_was_due_is_still_due(tmp_path: Path) -> None:
    """A debit settles, a hold ends, a question is answered and a 500 rolls forward after a restart."""
    file = tmp_path / "state"
    debit = {
        "payment_method_types[]": "us_bank_account",
        "currency": "usd",
        "mandate_data[customer_acceptance][type]": "offline",
    }
    async with _sandbox(file) as http:
        settling = (await http.pay("pm_usBankAccount_success", **debit)).body["id"]
        held = (await http.pay(capture_method="manual")).body["id"]
        asked = (await http.pay("pm_card_threeDSecure2Required", return_url="https://shop.example/back")).body
        fault = {"fault": "error", "effect": "later", "after_seconds": DAY, "path": "/v1/customers"}
        await http.post("/_sandbox/faults", json.dumps(fault))
        await http.post("/v1/customers", {"name": "Zoë"})

    async with _sandbox(file) as http:
        question = "/redirect" + asked["next_action"]["redirect_to_url"]["url"].partition("/redirect")[2]
        await http.post(question, "outcome=approve")
        await http.advance(8 * DAY)
        statuses = [
            (await http.get(f"/v1/payment_intents/{intent}")).body["status"] for intent in (settling, held, asked["id"])
        ]
        customers = (await http.get("/v1/customers")).body["data"]

    assert statuses == ["succeeded", "canceled", "succeeded"]
    assert [customer["name"] for customer in customers] == ["Zoë"]


async def test_refunds_disputes_and_search_go_on_after_a_restart(tmp_path: Path) -> None:
    """A pending refund arrives, a payment is disputed, and what was made before is found."""
    file = tmp_path / "state"
    async with _sandbox(file) as http:
        refunded = (await http.pay("pm_card_pendingRefund")).body["id"]
        refund = (await http.post("/v1/refunds", {"payment_intent": refunded})).body
        disputed = (await http.pay("pm_card_createDispute")).body["id"]

    async with _sandbox(file) as http:
        await http.advance(2 * DAY)
        settled = (await http.get(f"/v1/refunds/{refund['id']}")).body["status"]
        disputes = (await http.get(f"/v1/disputes?payment_intent={disputed}")).body["data"]
        found = (await http.get("/v1/payment_intents/search?query=status:'succeeded'")).body["data"]

    assert (refund["status"], settled, len(disputes)) == ("pending", "succeeded", 1)
    assert {intent["id"] for intent in found} == {refunded, disputed}


async def test_a_bank_transfer_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A payment that got part of its money still waits for the rest; what is too much stays with the customer."""
    file = tmp_path / "state"
    form = {
        "payment_method_types[]": "customer_balance",
        "payment_method_data[type]": "customer_balance",
        "payment_method_options[customer_balance][funding_type]": "bank_transfer",
        "payment_method_options[customer_balance][bank_transfer][type]": "us_bank_transfer",
        "confirm": "true",
    }
    async with _sandbox(file) as http:
        customer = (await http.post("/v1/customers")).body["id"]
        sent = {"amount": "5000", "currency": "usd", "customer": customer, **form}
        intent = (await http.post("/v1/payment_intents", sent)).body["id"]
        fund = f"/v1/test_helpers/customers/{customer}/fund_cash_balance"
        await http.post(fund, {"amount": "2000", "currency": "usd"})

    async with _sandbox(file) as http:
        await http.post(fund, {"amount": "3500", "currency": "usd"})
        status = (await http.get(f"/v1/payment_intents/{intent}")).body["status"]
        left = (await http.get(f"/v1/customers/{customer}/cash_balance")).body["available"]

    assert (status, left) == ("succeeded", {"usd": 500})


async def test_searching_is_as_far_behind_after_a_restart(tmp_path: Path) -> None:
    """The index knows what it knew, and learns the rest when it would have."""
    file = tmp_path / "state"
    search = "/v1/payment_intents/search?query=amount:1999"
    async with _sandbox(file) as http:
        held = (await http.pay(capture_method="manual")).body["id"]
        await http.advance(30)
        await http.post(f"/v1/payment_intents/{held}/capture")
        await http.pay()

    async with _sandbox(file) as http:
        before = [intent["status"] for intent in (await http.get(search)).body["data"]]
        await http.advance(30)
        after = [intent["status"] for intent in (await http.get(search)).body["data"]]

    assert (before, after) == (["requires_capture"], ["succeeded", "succeeded"])


async def test_a_rolled_secret_still_signs_after_a_restart(tmp_path: Path, receiver: "Receiver") -> None:
    """Both secrets sign until the overlap is over, whoever restarts meanwhile."""
    file = tmp_path / "state"
    async with _sandbox(file) as http:
        endpoint = (await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})).body["id"]
        await http.post("/_sandbox/roll", json.dumps({"webhook_endpoint": endpoint, "overlap_seconds": 3600}))

    async with _sandbox(file) as http:
        await http.post("/v1/customers")
        await http.advance(3601)
        await http.post("/v1/customers")
        await http.advance(0)

    signatures = [headers["Stripe-Signature"] for headers, _ in receiver.received]
    assert [signature.count("v1=") for signature in signatures] == [2, 1]


async def test_what_goes_wrong_later_still_does_after_a_restart(tmp_path: Path) -> None:
    """A refund succeeds, another fails, an unanswered dispute is lost, and a hold without a PaymentIntent ends."""
    file = tmp_path / "state"
    async with _sandbox(file) as http:
        paid = [(await http.pay(method)).body["id"] for method in ("pm_card_pendingRefund", "pm_card_refundFail")]
        refunds = [(await http.post("/v1/refunds", {"payment_intent": intent})).body["id"] for intent in paid]
        await http.pay("pm_card_createDispute")
        hold = {"amount": "500", "currency": "usd", "source": "tok_visa", "capture": "false"}
        held = (await http.post("/v1/charges", hold)).body["id"]

    async with _sandbox(file) as http:
        await http.advance(10 * DAY)
        ends = [(await http.get(f"/v1/refunds/{refund}")).body["status"] for refund in refunds]
        disputes = (await http.get("/v1/disputes")).body["data"]
        released = (await http.get(f"/v1/charges/{held}")).body["refunded"]

    assert ends == ["succeeded", "failed"]
    assert [dispute["status"] for dispute in disputes] == ["lost"]
    assert released is True


async def test_what_endpoints_lack_is_known_after_a_restart(tmp_path: Path, receiver: "Receiver") -> None:
    """An event that one of two has taken since still waits for the other."""
    file = tmp_path / "state"
    receiver.statuses = [500, 500, 200, 500]
    async with _sandbox(file) as http:
        for _ in range(2):
            await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})
        await http.post("/v1/customers")
        await http.advance(1)

    async with _sandbox(file) as http:
        await http.advance(300)
        event = (await http.get("/v1/events")).body["data"][0]

    assert (len(receiver.received), event["pending_webhooks"]) == (4, 1)


async def test_an_endpoint_fails_on_after_a_restart(tmp_path: Path, receiver: "Receiver") -> None:
    """The days after which it is disabled are counted from its first failure, not from the restart."""
    file = tmp_path / "state"
    receiver.statuses = [500] * 10
    async with _sandbox(file) as http:
        endpoint = {"url": receiver.url, "enabled_events[]": "*"}
        failing = (await http.post("/v1/webhook_endpoints", endpoint)).body["id"]
        await http.post("/v1/customers")
        await http.advance(1)

    async with _sandbox(file) as http:
        await http.advance(3 * DAY)
        await http.post("/v1/customers")
        await http.advance(1)
        status = (await http.get(f"/v1/webhook_endpoints/{failing}")).body["status"]

    assert status == "disabled"


async def test_deliveries_go_on_after_a_restart(tmp_path: Path, receiver: "Receiver") -> None:
    """A retry comes when it is due, signed with the endpoint's secret; the number of tries goes on."""
    file = tmp_path / "state"
    receiver.statuses = [500]
    async with _sandbox(file) as http:
        await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})
        await http.post("/v1/customers")
        await http.advance(1)

    async with _sandbox(file) as http:
        await http.advance(300)
        deliveries = (await http.get("/_sandbox/deliveries")).body["deliveries"]

    assert [(delivery["number"], delivery["status"]) for delivery in deliveries] == [(1, 500), (2, 200)]
    assert len(receiver.received) == 2


async def test_what_was_on_its_way_is_delivered_after_a_restart(tmp_path: Path, receiver: "Receiver") -> None:
    """An event whose receiver had not answered when the sandbox ended comes again."""
    file = tmp_path / "state"
    receiver.may_answer.clear()
    async with _sandbox(file) as http:
        await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})
        await http.post("/v1/customers")
        await receiver.arrived.wait()
    receiver.may_answer.set()

    async with _sandbox(file) as http:
        await http.advance(1)
        event = (await http.get("/v1/events")).body["data"][0]

    assert [json.loads(body)["id"] for _, body in receiver.received] == [event["id"]] * 2
    assert event["pending_webhooks"] == 0


async def test_a_killed_sandbox_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Killed while clients are paying, it has every payment that one of them was told of, and the same answers."""
    file = tmp_path / "state"
    answered: dict[str, str] = {}

    async def pay(http: Http, number: int) -> None:
        while True:
            key = f"{number}-{len(answered)}"
            answered[key] = (await http.pay(key=key)).body["id"]

    async with aiohttp.ClientSession() as session:
        with _process(file) as (process, url):
            paying = [asyncio.create_task(pay(Http(session, url), number)) for number in range(4)]
            async with asyncio.timeout(60):
                while len(answered) < 40:  # noqa: ASYNC110 - only the clients know
                    await asyncio.sleep(0.01)
            process.kill()
            ends = await asyncio.gather(*paying, return_exceptions=True)
        with _process(file) as (_, url):
            http = Http(session, url)
            repeats = {key: await http.pay(key=key) for key in answered}

    assert all(isinstance(end, aiohttp.ClientError) for end in ends)
    assert answered == {key: reply.body["id"] for key, reply in repeats.items()}
    assert {reply.headers.get("Idempotent-Replayed") for reply in repeats.values()} == {"true"}


async def test_every_kind_of_object_outlives_a_kill(tmp_path: Path) -> None:
    """Whatever the sandbox can make to happen is there after a SIGKILL, of every kind that it holds."""
    file = tmp_path / "state"
    async with aiohttp.ClientSession() as session:
        with _process(file, "--card-numbers") as (process, url):
            http = Http(session, url)
            for type_ in RECIPES:
                await http.post("/_sandbox/trigger", json.dumps({"event": type_}))
            await http.post("/v1/sources", {"type": "card", "token": "tok_visa"})
            await http.post("/v1/tokens", CARD)
            await http.post("/v1/webhook_endpoints", {"url": url, "enabled_events[]": "account.updated"})
            await http.advance(2)  # beyond what is due at once; the next thing is an hour away
            before = (await http.get("/_sandbox/dump")).body["test"]
            process.kill()
        with _process(file) as (_, url):
            after = (await Http(session, url).get("/_sandbox/dump")).body["test"]

    assert [kind for kind, held in before.items() if not held] == []
    assert before == after


async def test_a_reset_is_kept_too(tmp_path: Path) -> None:
    """What was forgotten does not come back with a restart."""
    file = tmp_path / "state"
    async with _sandbox(file) as http:
        await http.pay(key="k")
        await http.post("/_sandbox/reset")
        await http.post("/v1/customers")

    async with _sandbox(file) as http:
        assert (await http.get("/v1/charges")).body["data"] == []
        assert len((await http.get("/v1/customers")).body["data"]) == 1
        assert (await http.pay(key="k")).headers.get("Idempotent-Replayed") is None


async def test_two_sandboxes_do_not_share_a_file(tmp_path: Path) -> None:
    """The second is refused while the first runs, and welcome afterwards."""
    file = tmp_path / "state"
    async with _sandbox(file):
        with pytest.raises(UnusableFileError, match="in use by another sandbox"):
            Sandbox(data=file)
    async with _sandbox(file):
        pass


def test_nothing_of_an_account_is_left_out() -> None:
    """Whatever an account holds is kept; what is not are its surroundings."""
    account = Sandbox().account()

    assert set(vars(account)) - set(account.containers()) == {
        "livemode",
        "clock",
        "ids",
        "schedule",
        "issuer_says",  # within one request
        "closed",
        "courier",
        "_script",
    }


def _nonsense(file: Path) -> None:
    file.write_text("no database at all, but long enough to be looked at" * 50)


def _foreign(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def _of_the_future(file: Path) -> None:
    Sandbox(data=file)._close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def _with_more(file: Path) -> None:
    Sandbox(data=file)._close()
    connection = sqlite3.connect(file)
    connection.execute("INSERT INTO kept (container, key, value) VALUES ('test.moons', 'a', '1')")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_nonsense, "no file of this sandbox"),
        (_foreign, "a database of something else"),
        (_of_the_future, "written by another version (99)"),
        (_with_more, "holds test.moons"),
        (Path.mkdir, "cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, make: object, told: str) -> None:
    """Exit 74 and one line that names the file; what was in it is left alone."""
    file = tmp_path / "state"
    assert callable(make)
    make(file)

    ended = subprocess.run(
        [*MODULE, "--port", "0", "--data", str(file)], capture_output=True, text=True, timeout=30, check=False
    )

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (74, "", 1)
    assert (str(file) in ended.stderr, told in ended.stderr) == (True, True), ended.stderr
