"""Card numbers behave as the test methods of the same cards, and are kept nowhere."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import stripe
from tests.sandbox.conftest import KEY, NOON, CheckedTransport, Http

from stripe_sandbox.card_numbers import NUMBERS
from stripe_sandbox.catalogue import CARDS
from stripe_sandbox.clock import Clock
from stripe_sandbox.ids import Ids
from stripe_sandbox.sandbox import Sandbox

VISA = "4242424242424242"
UNKNOWN = "4111111111111111"
CVC = "739"
METHODS = "/v1/payment_methods"


@asynccontextmanager
async def _accepting(file: Path | None = None) -> AsyncIterator[Http]:
    sandbox = Sandbox(clock=Clock(lambda: NOON), ids=Ids(seed=1), card_numbers=True, data=file)
    async with sandbox.serve() as server, aiohttp.ClientSession() as session:
        yield Http(session, server.url)


@pytest.fixture
async def accepting() -> AsyncIterator[Http]:
    async with _accepting() as http:
        yield http


def _card(number: str = VISA, where: str = "card", **other: str) -> dict[str, str]:
    fields = {"number": number, "exp_month": "12", "exp_year": "2034", "cvc": CVC, **other}
    return {f"{where}[{name}]": value for name, value in fields.items()}


def _payment(number: str) -> dict[str, str]:
    where = "payment_method_data"
    return {
        "amount": "1999",
        "currency": "eur",
        "payment_method_types[]": "card",
        "confirm": "true",
        f"{where}[type]": "card",
        **_card(number, f"{where}[card]"),
    }


def _outcome(body: Any) -> tuple[object, ...]:
    """What a payment's answer says of the card's behaviour."""
    error = body.get("error", {})
    intent = error.get("payment_intent", body)
    return (intent["status"], error.get("code"), error.get("decline_code"), error.get("message"))


async def _everything(http: Http) -> str:
    return "".join([str((await http.get(f"/_sandbox/{name}")).body) for name in ("dump", "requests", "deliveries")])


@pytest.mark.parametrize(("number", "name"), NUMBERS.items())
async def test_a_number_behaves_as_the_method_of_the_same_card(accepting: Http, number: str, name: str) -> None:
    """The payment ends as the twin's does, and the card shows the number's last digits and the date that was given."""
    twin = await accepting.pay(f"pm_card_{name}")
    paid = await accepting.post("/v1/payment_intents", _payment(number))
    method = (await accepting.post(METHODS, {"type": "card", **_card(number)})).body["card"]

    assert (twin.status, _outcome(twin.body)) == (paid.status, _outcome(paid.body))
    assert (CARDS[name].brand, number[-4:], 12, 2034) == (
        method["brand"],
        method["last4"],
        method["exp_month"],
        method["exp_year"],
    )


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"number": UNKNOWN}, ("card_declined", "test_mode_live_card", "number")),
        ({"number": "4242424242424241"}, ("incorrect_number", None, "number")),
        ({"number": "4242"}, ("incorrect_number", None, "number")),
        ({"number": "refused"}, ("incorrect_number", None, "number")),
        ({"number": "visa/4242/"}, ("incorrect_number", None, "number")),
        ({"exp_month": "13"}, ("invalid_expiry_month", None, "exp_month")),
        ({"exp_month": "5", "exp_year": "2025"}, ("invalid_expiry_month", None, "exp_month")),
        ({"exp_year": "95"}, ("invalid_expiry_year", None, "exp_year")),
        ({"exp_year": "2024"}, ("invalid_expiry_year", None, "exp_year")),
        ({"exp_year": "2099"}, ("invalid_expiry_year", None, "exp_year")),
        ({"cvc": "99"}, ("invalid_cvc", None, "cvc")),
        ({"cvc": "abc"}, ("invalid_cvc", None, "cvc")),
    ],
)
@pytest.mark.parametrize("path", [METHODS, "/v1/tokens"])
async def test_what_is_wrong_with_a_card_is_said(
    accepting: Http, path: str, sent: dict[str, str], said: tuple[str, str | None, str]
) -> None:
    """A wrong number, date or security code is a card error with Stripe's code, and nothing is made."""
    form = {**_card(**sent), **({"type": "card"} if path == METHODS else {})}
    refused = await accepting.post(path, form)

    error = refused.error
    assert (refused.status, error["type"]) == (402, "card_error")
    assert said == (error["code"], error.get("decline_code"), error["param"])
    dump = (await accepting.get("/_sandbox/dump")).body["test"]
    assert (dump["payment_methods"], dump["tokens"]) == ([], [])


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"card[number]": VISA}, "card[exp_month]"),
        ({"card[exp_month]": "12"}, "card[number]"),
        ({**_card(), "card[token]": "tok_visa"}, "card[token]"),
        ({"card[number][]": VISA, "card[exp_month]": "12", "card[exp_year]": "34"}, "card[number]"),
    ],
)
async def test_half_a_card_is_refused(accepting: Http, form: dict[str, str], param: str) -> None:
    """What is missing, doubled or in the wrong shape is named."""
    refused = await accepting.post(METHODS, {"type": "card", **form})

    assert (400, param) == (refused.status, refused.error["param"])


async def test_a_payment_with_a_wrong_number_is_not_made(accepting: Http) -> None:
    """A PaymentIntent whose card's number is none is refused as the card is, and leaves nothing behind."""
    refused = await accepting.post("/v1/payment_intents", _payment("4242424242424241"))

    assert (refused.status, refused.error["code"]) == (402, "incorrect_number")
    assert (await accepting.get("/_sandbox/dump")).body["test"]["payment_intents"] == []


async def test_the_command_takes_numbers_when_told_to() -> None:
    """`--card-numbers` is what `Sandbox(card_numbers=True)` is."""
    command = [sys.executable, "-m", "stripe_sandbox", "--port", "0", "--json", "--card-numbers"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    url = json.loads(await process.stdout.readline())["url"]
    async with aiohttp.ClientSession() as session:
        paid = await Http(session, url).post("/v1/payment_intents", _payment(VISA))
    process.terminate()

    assert (await process.wait(), paid.status, paid.body["status"]) == (0, 200, "succeeded")


async def test_a_token_of_a_number_is_good_once(accepting: Http) -> None:
    """A token pays a charge with the card that was given, and never again."""
    token = (await accepting.post("/v1/tokens", _card("4000056655665556"))).body
    charge = {"amount": "500", "currency": "eur", "source": token["id"]}
    paid = await accepting.post("/v1/charges", charge)
    again = await accepting.post("/v1/charges", charge)

    assert (paid.status, paid.body["source"]["last4"], paid.body["source"]["funding"]) == (200, "5556", "debit")
    assert (again.status, again.error["code"]) == (400, "token_already_used")
    assert (await accepting.get(f"/v1/tokens/{token['id']}")).body["used"]


async def test_numbers_are_refused_unless_asked_for(http: Http, accepting: Http) -> None:
    """By default, and always in live mode, a number is refused by name."""
    live = {"Authorization": "Bearer sk_live_x"}
    for answer in (
        await http.post("/v1/tokens", _card()),
        await http.post(METHODS, {"type": "card", **_card("refused")}),
        await accepting.send("POST", "/v1/tokens", _card(), live),
    ):
        assert (answer.status, answer.error["param"]) == (400, "card[number]")


async def test_a_key_knows_another_number_by_its_digest(tmp_path: Path) -> None:
    """The same card repeats the answer, after a restart too; another number or security code is other parameters."""
    async with _accepting(tmp_path / "state") as http:
        first = await http.post("/v1/tokens", _card(), key="k")
    async with _accepting(tmp_path / "state") as http:
        again = await http.post("/v1/tokens", _card(), key="k")
        others = [
            await http.post("/v1/tokens", card, key="k")
            for card in (_card("5555555555554444"), _card(cvc="111"), _card(UNKNOWN))
        ]

    assert (first.body, "true") == (again.body, again.headers["Idempotent-Replayed"])
    assert [(other.status, other.error["type"]) for other in others] == [(400, "idempotency_error")] * 3


async def test_no_number_is_kept(tmp_path: Path) -> None:
    """Neither log, dump, deliveries nor file holds a number or a security code, however it was sent."""
    later = '{"fault": "error", "effect": "later", "after_seconds": 600, "path": "/v1/payment_intents"}'
    async with _accepting(tmp_path / "state") as http:
        for number in (VISA, UNKNOWN, "4242 4242 4242 4242"):
            await http.post("/v1/payment_intents", _payment(number), key=f"pay {number[:3]}{len(number)}")
            await http.post("/v1/tokens", _card(number), key=f"token {number[:3]}{len(number)}")
        await http.post(f"/v1/tokens?card[number]={VISA}&card[cvc]={CVC}", _card())
        await http.post("/v1/tokens", f"card%5Bn%75mber%5D={VISA}&card[cvc]={CVC}&card[exp_month]=x")
        await http.post("/v1/tokens", f"card[number][]={VISA}")
        await http.send(
            "POST", "/v1/tokens", f'{{"card": {{"number": "{VISA}"}}}}', {"Content-Type": "application/json"}
        )
        await http.send("POST", "/_sandbox/faults", later)
        failed = await http.post("/v1/payment_intents", _payment(VISA), key="later")
        told = await _everything(http)

        kept = told + "".join(file.read_bytes().decode("latin-1") for file in tmp_path.iterdir())
        await http.advance(601)
        paid = (await http.event_types()).count("payment_intent.succeeded")

    kept += "".join(file.read_bytes().decode("latin-1") for file in tmp_path.iterdir())
    found = [secret for secret in (VISA, UNKNOWN, "4242 4242", "4242+4242") if secret in kept]
    assert (found, re.search(rf"(?<!\w){CVC}(?!\w)", kept)) == ([], None)
    assert (failed.status, paid) == (500, 3), "what was asked for was done, the request that rolled forward too"


def _charged(method: str) -> stripe.PaymentIntentService.CreateParams:
    return {
        "amount": 1999,
        "currency": "eur",
        "payment_method": method,
        "payment_method_types": ["card"],
        "confirm": True,
    }


async def test_the_official_sdk_pays_by_number() -> None:
    """A token and a PaymentMethod by number, as Stripe's library sends them; a decline is its error."""
    sandbox = Sandbox(clock=Clock(lambda: NOON), ids=Ids(seed=1), card_numbers=True)
    async with sandbox.serve() as server:
        transport = CheckedTransport()
        sdk = stripe.StripeClient(KEY, base_addresses={"api": server.url}, http_client=transport)
        token = await sdk.tokens.create_async(
            {"card": {"number": VISA, "exp_month": "12", "exp_year": "2034", "cvc": CVC}}
        )
        method = await sdk.payment_methods.create_async({"type": "card", "card": {"token": token.id}})
        poor = await sdk.payment_methods.create_async(
            {"type": "card", "card": {"number": "4000000000009995", "exp_month": 12, "exp_year": 2034, "cvc": CVC}}
        )
        paid = await sdk.payment_intents.create_async(_charged(method.id))
        with pytest.raises(stripe.CardError) as declined:
            await sdk.payment_intents.create_async(_charged(poor.id))
        await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves this one untyped

    assert paid.status == "succeeded"
    assert declined.value.error is not None
    assert (declined.value.code, declined.value.error.decline_code) == ("card_declined", "insufficient_funds")
