"""The port, spoken to the sandbox over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
import pytest_asyncio
from tests import told
from tests.orders import order

from counterfoil.domain.errors import InvalidRequest, MethodRefused, Unavailable
from counterfoil.domain.order import Mandate
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Settling, Source
from counterfoil.processors.stripe import requests
from counterfoil.processors.stripe.client import StripeProcessor
from stripe_sandbox.sandbox import Sandbox, Server

KEY = "sk_test_client"
PAYMENT = UUID("01900000-0000-7000-8000-000000000001")


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Server]:
    async with Sandbox(keys=[KEY]).serve() as server:
        yield server


def processor_at(url: str, key: str = KEY, return_url: str | None = "https://shop.example/back") -> StripeProcessor:
    return StripeProcessor(key, livemode=False, api_base=url, return_url=return_url)


@pytest_asyncio.fixture
async def stripe(peer: Server) -> AsyncIterator[StripeProcessor]:
    processor = processor_at(peer.url)
    yield processor
    await processor.close()


async def test_a_further_attempt_confirms_the_same_intent(stripe: StripeProcessor, peer: Server) -> None:
    """After a decline: a new key, a new method, a new charge, one PaymentIntent."""
    declined = order(method="pm_card_chargeDeclined")
    first = await stripe.send(await stripe.request_for(PAYMENT, declined), again=False)
    assert first.intent_id is not None

    request = await stripe.request_again(PAYMENT, first.intent_id, 2, replace(declined, payment_method="pm_card_visa"))
    second = await stripe.send(request, again=False)

    assert [first.outcome, second.outcome] == [AttemptHappening.DECLINED, AttemptHappening.CAPTURED]
    assert (request.key, second.intent_id) == ("event-1:2", first.intent_id)
    assert first.charge_id != second.charge_id
    assert len(list(peer.sandbox.account().payment_intents)) == 1


async def test_looking_up_tells_what_sending_told(stripe: StripeProcessor) -> None:
    """The same verdict, but for its cause."""
    sent = await stripe.send(await stripe.request_for(PAYMENT, order()), again=False)
    assert sent.intent_id is not None
    found = await stripe.look_up(sent.intent_id)
    assert Source.LOOK_UP is found.cause.source
    assert sent == replace(found, cause=sent.cause)


async def test_looking_up_what_is_not_there_tells_nothing(stripe: StripeProcessor) -> None:
    """It is silence, never a failure of the payment; that Stripe does not know its own name for it calls a person."""
    verdict = await stripe.look_up("pi_nowhere")
    assert (verdict.outcome, verdict.settling) == (AttemptHappening.UNKNOWN, Settling.RESEND)
    assert verdict.alarm == "Stripe does not know what it gave us this name for: is the key that of another account?"


async def test_a_wrong_key_fails_no_payment(peer: Server) -> None:
    """Stripe refuses us, not the customer: the outcome is open, and a person is called."""
    wrong = processor_at(peer.url, key="sk_test_another")
    verdict = await wrong.send(await wrong.request_for(PAYMENT, order()), again=False)
    await wrong.close()
    assert AttemptHappening.UNKNOWN is verdict.outcome
    assert verdict.alarm is not None


async def test_a_method_is_asked_about_once(stripe: StripeProcessor, peer: Server) -> None:
    """A pm_… does not say what it is; Stripe is asked, and the answer kept."""
    known = await stripe.send(await stripe.request_for(PAYMENT, order()), again=False)
    assert known.intent_id is not None
    (made,) = [method["id"] for method in peer.sandbox.account().payment_methods]
    for _ in range(2):
        request = await stripe.request_for(PAYMENT, order(method=made))
        assert requests.call_of(request).parameters["payment_method_types"] == ["card"]
    assert len([entry for entry in peer.sandbox.log if entry.path.startswith("/v1/payment_methods/")]) == 1


async def test_a_method_stripe_does_not_know_is_refused(stripe: StripeProcessor) -> None:
    """Before anything is kept or sent."""
    with pytest.raises(MethodRefused):
        await stripe.request_for(PAYMENT, order(method="pm_1NoSuchMethod"))


async def test_a_card_can_be_held_and_a_debit_cannot(stripe: StripeProcessor) -> None:
    """A card says so by its name, a debit when Stripe is asked; of what Stripe does not know, nothing is said."""
    methods = ("pm_card_visa", "tok_visa", "pm_usBankAccount_success")
    assert [await stripe.can_hold(method) for method in methods] == [True, True, False]
    with pytest.raises(MethodRefused):
        await stripe.can_hold("pm_1NoSuchMethod")


async def test_not_to_be_told_about_a_method_is_nobodys_refusal() -> None:
    """With Stripe away the caller may come again; the order is not at fault."""
    away = processor_at("http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        await away.request_for(PAYMENT, order(method="pm_1AskStripe"))
    await away.close()


async def test_a_customer_who_is_there_needs_a_way_back(peer: Server) -> None:
    """Without return_url a 3-D Secure redirect could lead nowhere; off session nobody is redirected."""
    nowhere = processor_at(peer.url, return_url=None)
    with pytest.raises(InvalidRequest, match="return_url"):
        await nowhere.request_for(PAYMENT, order())
    alone = await nowhere.request_for(PAYMENT, order(off_session=True))
    back = await nowhere.request_for(PAYMENT, order(return_url="https://shop.example/order-1"))
    await nowhere.close()
    ways = [requests.call_of(request).parameters.get("return_url") for request in (alone, back)]
    assert ways == [None, "https://shop.example/order-1"]


async def test_equal_orders_become_equal_bytes(stripe: StripeProcessor) -> None:
    """Stored and sent again, a request must be the same request to Stripe."""
    placed = order(metadata={"b": "2", "a": "ä"})
    requests_made = [await stripe.request_for(PAYMENT, placed) for _ in range(2)]
    assert requests_made[0] == requests_made[1]
    assert len(requests_made[0].digest) == 32


async def test_a_mandate_goes_as_its_id_or_as_the_consent(stripe: StripeProcessor) -> None:
    """Bank debits need one or the other."""
    by_id = requests.create_and_confirm(PAYMENT, order(mandate=Mandate(id="mandate_1")), "us_bank_account", None)
    given = Mandate(accepted_at=told.START, ip_address="192.0.2.1", user_agent="test")
    by_consent = requests.create_and_confirm(PAYMENT, order(mandate=given), "us_bank_account", None)
    expected = {
        "customer_acceptance": {
            "type": "online",
            "accepted_at": 1772366400,
            "online": {"ip_address": "192.0.2.1", "user_agent": "test"},
        },
    }
    assert requests.call_of(by_id).parameters["mandate"] == "mandate_1"
    assert expected == requests.call_of(by_consent).parameters["mandate_data"]
    assert stripe.livemode is False


async def test_only_stripes_own_customers_are_named(stripe: StripeProcessor) -> None:
    """A customer id of ours means nothing to Stripe."""
    theirs = requests.call_of(await stripe.request_for(PAYMENT, order(customer_id="cus_1")))
    ours = requests.call_of(await stripe.request_for(PAYMENT, order(customer_id="42")))
    assert (theirs.parameters.get("customer"), ours.parameters.get("customer")) == ("cus_1", None)


async def answering(status: bytes, body: bytes) -> tuple[asyncio.Server, str]:
    """A peer that gives one answer, byte for byte, to whatever it is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        writer.write(head % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (b"200 OK", b"[]"),
        (b"200 OK", b"null"),
        (b"200 OK", b'"x"'),
        (b"200 OK", b"not json"),
        (b"200 OK", b'{"data": 1}'),
        (b"200 OK", b'{"id":"pi_1","object":"payment_intent","status":"succeeded"}'),
        (b"200 OK", b'{"id":"pi_1","object":"payment_intent","status":"succeeded","amount_received":"all"}'),
        (b"400 Bad Request", b'{"error":"x"}'),
        (
            b"400 Bad Request",
            b'{"error":{"code":"payment_intent_unexpected_state","payment_intent":{"status":"succeeded"}}}',
        ),
        (b"409 Conflict", b'{"error":{"type":["x"],"code":{}}}'),
        (b"500 Oops", b"<html>"),
    ],
)
async def test_whatever_comes_back_is_a_verdict(status: bytes, body: bytes) -> None:
    """The port raises for nothing that the processor answers: what cannot be read is unknown."""
    server, url = await answering(status, body)
    stripe = processor_at(url)
    request = await stripe.request_for(PAYMENT, order())
    heard = [await stripe.send(request, again=True), await stripe.look_up("pi_1")]
    await stripe.close()
    server.close()
    await server.wait_closed()
    assert [verdict.outcome for verdict in heard] == [AttemptHappening.UNKNOWN] * 2


async def test_a_decline_whose_fields_are_odd_is_still_a_decline() -> None:
    """Explicit is explicit; what is no text is left out."""
    server, url = await answering(b"402 Payment Required", b'{"error":{"type":"card_error","code":7,"message":9}}')
    stripe = processor_at(url)
    verdict = await stripe.send(await stripe.request_for(PAYMENT, order()), again=False)
    await stripe.close()
    server.close()
    await server.wait_closed()
    assert verdict.decline is not None
    assert (verdict.decline.code, verdict.decline.message) == ("unspecified", "")


@pytest.mark.parametrize("again", [False, True])
async def test_a_refused_connection_carried_nothing(again: bool) -> None:  # noqa: FBT001 - both values are the point
    """Nothing of this send was carried out; of an earlier one that says nothing."""
    away = processor_at("http://127.0.0.1:9")
    verdict = await away.send(await away.request_for(PAYMENT, order()), again=again)
    await away.close()
    assert (AttemptHappening.UNKNOWN, again) == (verdict.outcome, verdict.executed)
