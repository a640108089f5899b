"""Claim │ call │ record: whoever comes after a crash sends the same bytes, and a stale claim records nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from tests.orders import Shop, claimant, order

from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.schedule import CLAIM, KEY_LIFE, NEVER_SENT_FOR, wait_before
from counterfoil.domain.states import AttemptState, PaymentState
from counterfoil.domain.verdict import Settling
from counterfoil.journey import authorize, reconcile
from counterfoil.journey.authorize import Sending
from counterfoil.processors.stripe.client import StripeProcessor
from stripe_sandbox.sandbox import Server


async def logged(peer: Server) -> list[dict[str, Any]]:
    """Every POST the sandbox saw, with its key and body."""
    async with aiohttp.ClientSession() as session, session.get(f"{peer.url}/_sandbox/requests") as answer:
        log = await answer.json()
    return [request for request in log["requests"] if request["method"] == "POST"]


async def test_a_good_card_is_captured(shop: Shop) -> None:
    """The answer moves the payment, with the answer as its cause."""
    payment = await shop.charge(order())
    assert (payment.state, payment.amount_captured) == (PaymentState.SUCCEEDED, 1999)
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "answer")]


async def test_a_declined_card_fails_with_stripes_own_code(shop: Shop) -> None:
    """The reason is ours, the code is Stripe's."""
    payment = await shop.charge(order(method="pm_card_visa_chargeDeclinedInsufficientFunds"))
    decline = payment.attempts[0].decline
    assert decline is not None
    assert (payment.state, decline.code) == (PaymentState.FAILED, "insufficient_funds")
    assert payment.attempts[0].charge_id is not None


async def test_a_card_that_asks_for_its_owner_keeps_the_link(shop: Shop) -> None:
    """3-D Secure: the payment waits, with the address the customer must visit."""
    payment = await shop.charge(order(method="pm_card_threeDSecure2Required"))
    action = payment.attempts[0].action
    assert action is not None
    assert (payment.state, action.url.startswith("http")) == (PaymentState.REQUIRES_ACTION, True)


async def test_a_held_amount_is_authorized(shop: Shop) -> None:
    """capture_method manual: nothing is taken yet."""
    payment = await shop.charge(order(capture_method=CaptureMethod.MANUAL))
    assert (payment.state, payment.amount_captured) == (PaymentState.AUTHORIZED, 0)


async def test_a_peer_that_is_not_there_leaves_the_outcome_open(shop: Shop) -> None:
    """Refused connections, like everything that is no explicit answer, are unknown, and looked at again."""
    sending = await shop.sending(order())
    nowhere = StripeProcessor("sk_test_journey", livemode=False, api_base="http://127.0.0.1:9", return_url=None)
    heard = await authorize.call(nowhere, sending, shop.clock)
    await nowhere.close()
    (payment,) = await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    assert (payment.state, payment.attempts[0].state) == (PaymentState.PROCESSING, AttemptState.SENT)
    expected = shop.clock.now() + wait_before(Settling.RETRY, 0, payment.id)
    assert expected == payment.next_check_at


async def test_pitfall_08_whoever_takes_over_sends_the_very_same_request(shop: Shop, peer: Server) -> None:
    """Lost between the answer and its record: the worker sends key and bytes again, and there is one charge."""
    lost = await shop.sending(order())
    await authorize.call(shop.stripe, lost, shop.clock)
    shop.clock.advance(CLAIM)

    (sending,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    payment = await shop.send(sending)

    first, second = await logged(peer)
    assert (first["idempotency_key"], first["body"]) == (second["idempotency_key"], second["body"])
    assert sending.again
    assert (payment.state, len(await charges(peer))) == (PaymentState.SUCCEEDED, 1)


async def test_a_claim_that_was_taken_over_records_nothing(shop: Shop) -> None:
    """The frozen process comes back late: its fence is stale, whatever it heard."""
    frozen = await shop.sending(order())
    heard = await authorize.call(shop.stripe, frozen, shop.clock)
    shop.clock.advance(CLAIM)
    await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())

    (payment,) = await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())

    assert PaymentState.PROCESSING is payment.state
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order")]


async def test_pitfall_27_a_claim_keeps_other_workers_away(shop: Shop) -> None:
    """Claimed until a time: nobody else gets it before, somebody does after."""
    await shop.accepted(order(), owner=None)
    claimed = [
        len(await authorize.claim_due(shop.pool, shop.ids, claimant(name), shop.clock.now())) for name in ("a", "b")
    ]
    shop.clock.advance(CLAIM)
    claimed.append(len(await authorize.claim_due(shop.pool, shop.ids, claimant("c"), shop.clock.now())))
    assert claimed == [1, 0, 1]


async def test_a_queued_attempt_has_never_been_sent_before(shop: Shop) -> None:
    """Its first refusal is therefore proof; after a takeover it no longer is."""
    await shop.accepted(order(), owner=None)
    (first,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    shop.clock.advance(CLAIM)
    (second,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    assert [first.again, second.again] == [False, True]


async def test_a_key_of_23_hours_is_never_sent_again(shop: Shop, peer: Server) -> None:
    """Stripe may have forgotten it by then, and would charge anew: the payment is looked for, not sent."""
    payment = await shop.accepted(order())
    shop.clock.advance(KEY_LIFE)
    assert await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now()) == []
    assert [payment.id] == [
        trace.payment_id for trace in await reconcile.claim_due(shop.pool, claimant(), shop.clock.now())
    ]
    assert await logged(peer) == []


async def test_a_moment_before_that_it_still_is(shop: Shop) -> None:
    """The boundary is exact."""
    await shop.accepted(order())
    shop.clock.advance(KEY_LIFE - timedelta(seconds=1))
    assert len(await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())) == 1


async def test_what_is_recorded_is_released(shop: Shop) -> None:
    """After the record nobody holds the attempt any more."""
    await shop.charge(order())
    assert await shop.pool.fetchval("SELECT claimed_by FROM attempts") is None


async def test_one_batch_records_many(shop: Shop) -> None:
    """Verdicts of several payments are one transaction, and each keeps its own."""
    methods = ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_visa"]
    sendings = [await shop.sending(order(number, method)) for number, method in enumerate(methods)]
    heard = [await authorize.call(shop.stripe, sending, shop.clock) for sending in sendings]
    payments = await authorize.record(shop.pool, shop.ids, heard, shop.clock.now())
    assert [payment.state.value for payment in payments] == ["succeeded", "failed", "succeeded"]
    assert await shop.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM payments") == 1


async def test_the_request_is_what_the_contract_says(shop: Shop, peer: Server) -> None:
    """Key, explicit method types, capture method, confirm, metadata, return_url; a customer only if Stripe's own."""
    placed = order(metadata={"colour": "red"}, customer_id="ours-1")
    payment = await shop.charge(placed)
    (request,) = await logged(peer)
    expected = {
        "amount": "1999",
        "currency": "eur",
        "capture_method": "automatic",
        "confirm": "True",  # the SDK's spelling; Stripe takes either
        "payment_method": "pm_card_visa",
        "payment_method_types[0]": "card",
        "return_url": "https://shop.example/back",
        "metadata[payment_id]": str(payment.id),
        "metadata[order_id]": "order-1",
        "metadata[event_id]": "event-1",
        "metadata[colour]": "red",
    }
    assert expected == form_of(request)
    assert request["idempotency_key"] == "event-1"


async def test_an_off_session_payment_names_no_return_url(shop: Shop, peer: Server) -> None:
    """There is no customer to come back, and Stripe is told so."""
    await shop.charge(order(off_session=True))
    (request,) = await logged(peer)
    form = form_of(request)
    assert (form.get("off_session"), form.get("return_url")) == ("True", None)


async def test_a_token_goes_as_method_data(shop: Shop, peer: Server) -> None:
    """tok_… is no payment method yet; Stripe makes one of it."""
    payment = await shop.charge(order(method="tok_visa"))
    (request,) = await logged(peer)
    form = form_of(request)
    expected = ("card", "tok_visa", None)
    found = (form["payment_method_data[type]"], form["payment_method_data[card][token]"], form.get("payment_method"))
    assert expected == found
    assert PaymentState.SUCCEEDED is payment.state


async def test_a_long_event_id_is_hashed_into_its_key(shop: Shop, peer: Server) -> None:
    """Stripe takes 255 characters, and we append to them."""
    await shop.charge(replace(order(), event_id="e" * 201))
    (request,) = await logged(peer)
    assert (len(request["idempotency_key"]), request["idempotency_key"][:7]) == (71, "sha256:")


async def charges(peer: Server) -> list[dict[str, Any]]:
    """The sandbox's own list of charges."""
    headers = {"Authorization": "Bearer sk_test_journey"}
    async with aiohttp.ClientSession() as session, session.get(f"{peer.url}/v1/charges", headers=headers) as answer:
        listed: list[dict[str, Any]] = (await answer.json())["data"]
    return listed


def form_of(request: dict[str, Any]) -> dict[str, str]:
    """The parameters of a logged request."""
    return dict(parse_qsl(request["body"]))


async def test_a_send_that_never_left_keeps_the_next_refusal_a_proof(shop: Shop) -> None:
    """Refused connection, then a 400: nothing was carried out, so the payment fails and does not hang in doubt."""
    sending = await shop.sending(order(customer_id="cus_nobody"))
    nowhere = StripeProcessor("sk_test_journey", livemode=False, api_base="http://127.0.0.1:9")
    heard = await authorize.call(nowhere, sending, shop.clock)
    await nowhere.close()
    await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    shop.clock.advance(CLAIM)
    (again,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    assert again.again is False
    assert PaymentState.FAILED is (await shop.send(again)).state


async def unreachable(shop: Shop, sending: Sending) -> None:
    """Try to send where nobody listens, and record that."""
    nowhere = StripeProcessor("sk_test_journey", livemode=False, api_base="http://127.0.0.1:9")
    heard = await authorize.call(nowhere, sending, shop.clock)
    await nowhere.close()
    await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())


async def test_a_key_that_never_reached_stripe_does_not_age(shop: Shop, peer: Server) -> None:
    """A day and a half without a connection: nothing was ever carried out, so the order may still be sent."""
    await unreachable(shop, await shop.sending(order()))
    shop.clock.advance(KEY_LIFE * 1.5)
    (late,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
    assert PaymentState.SUCCEEDED is (await shop.send(late)).state
    assert len(await charges(peer)) == 1


async def test_what_could_not_be_sent_for_three_days_is_given_up(shop: Shop, peer: Server) -> None:
    """Nobody waits for that order any more: it fails, with the network as the reason, and is never sent."""
    sending = await shop.sending(order())
    await unreachable(shop, sending)
    shop.clock.advance(NEVER_SENT_FOR)
    assert await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now()) == []
    row = await shop.pool.fetchrow(
        "SELECT p.state, a.decline_reason FROM payments p JOIN attempts a ON a.payment_id = p.id"
    )
    assert row is not None
    assert tuple(row.values()) == ("failed", "network_error")
    assert await logged(peer) == []


async def test_pitfall_10_a_lock_timeout_is_no_decline_and_is_sent_again(shop: Shop, peer: Server) -> None:
    """429 because another call holds the object says nothing of the card: the same request goes again, later."""
    fault = {"fault": "lock_timeout", "path": "/v1/payment_intents", "times": 2}
    async with aiohttp.ClientSession() as session, session.post(f"{peer.url}/_sandbox/faults", json=fault) as added:
        assert added.status == 200
    payment = await shop.charge(order())
    states, waits = [payment.state], []
    for _ in range(2):
        assert payment.next_check_at is not None
        waits.append(payment.next_check_at - shop.clock.now())
        shop.clock.advance(waits[-1])
        (sending,) = await authorize.claim_due(shop.pool, shop.ids, claimant(), shop.clock.now())
        payment = await shop.send(sending)
        states.append(payment.state)

    assert states == [PaymentState.PROCESSING, PaymentState.PROCESSING, PaymentState.SUCCEEDED]
    assert timedelta(seconds=1) <= waits[0] < waits[1]
    sent = await logged(peer)
    assert (len(sent), len({(one["idempotency_key"], one["body"]) for one in sent})) == (3, 1)
    assert [name for _, name, _ in await shop.facts(payment)] == ["PaymentRequested", "PaymentSucceeded"]
