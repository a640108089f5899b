"""Payments that take longer than a call: a customer who must identify themselves, a bank that takes days."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from tests.acceptance.merchant import Merchant, answers_challenge, merchant_at
from tests.stage import Stage, becomes, fetch, order

CHALLENGED = "pm_card_threeDSecure2Required"
MANDATE = {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "192.0.2.7", "user_agent": "a browser"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def merchant(shared_stage: Stage) -> Merchant:
    """A merchant whose installation is whole, and known to the sandbox as its webhook endpoint."""
    shared_stage.start_registered_receiver()
    shared_stage.start("worker")
    shared_stage.start("outbox-publisher")
    return await merchant_at(shared_stage)


def debit(name: str, method: str) -> dict[str, Any]:
    """An order paid by the bank account's owner, who has agreed to it; ACH takes dollars, SEPA euros."""
    currency = "USD" if "usBank" in method else "EUR"
    return order(name, payment_method=method, currency=currency, mandate=MANDATE)


async def opened(merchant: Merchant, http: httpx.AsyncClient, body: dict[str, Any], status: str) -> Any:
    """Place an order that must be left open, as what is said."""
    answer = await merchant.charge(http, body)
    assert (202, status) == (answer.status_code, answer.json().get("status")), answer.text
    return answer.json()


async def told(merchant: Merchant, http: httpx.AsyncClient, payment_id: str, *story: str) -> None:
    """Wait until exactly these facts of a payment were published, after its being requested."""
    await becomes(["PaymentRequested", *story], lambda: merchant.story(http, payment_id), seconds=60)


async def test_a_customer_who_identifies_themselves_has_paid(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """The answer is a link; the customer approves there and is sent back; the webhook makes it one PaymentSucceeded."""
    asked = await opened(merchant, http, order("passed", payment_method=CHALLENGED), "requires_action")

    back = await answers_challenge(http, asked["action"]["url"], "approve")

    await told(merchant, http, asked["payment_id"], "PaymentActionRequired", "PaymentSucceeded")
    payment = await merchant.payment(http, asked["payment_id"])
    assert (back.status_code, back.headers["Location"].partition("?")[0]) == (303, "https://shop.example/back")
    assert (payment["status"], payment["amount_captured"], payment["action"]) == ("succeeded", 1999, None)
    assert await merchant.learned_by(asked["payment_id"]) == "notice"


async def test_a_customer_who_cannot_identify_themselves_has_not(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """The payment fails for want of authentication, says so once, and may be tried with another method."""
    asked = await opened(merchant, http, order("refused", payment_method=CHALLENGED), "requires_action")

    await answers_challenge(http, asked["action"]["url"], "refuse")

    await told(merchant, http, asked["payment_id"], "PaymentActionRequired", "PaymentFailed")
    payment = await merchant.payment(http, asked["payment_id"])
    assert (payment["status"], payment["failure_reason"]) == ("failed", "authentication_required")
    assert payment["can_retry"] is True
    assert await merchant.learned_by(asked["payment_id"]) == "notice"


async def test_pitfall_22_a_challenge_is_open_once(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """Until the customer answers, the same event has the same link, and the order can be paid by no other event."""
    body = order("open", payment_method=CHALLENGED)
    asked = await opened(merchant, http, body, "requires_action")

    again = await merchant.charge(http, body)
    rival = await merchant.charge(http, {**body, "event_id": "event-rival"})

    assert (202, "true", asked) == (again.status_code, again.headers["Idempotent-Replayed"], again.json())
    assert (rival.status_code, rival.json()["type"]) == (422, "urn:counterfoil:problem:order-has-payment")
    await answers_challenge(http, asked["action"]["url"], "approve")
    await told(merchant, http, asked["payment_id"], "PaymentActionRequired", "PaymentSucceeded")
    late = await merchant.charge(http, body)
    assert (late.status_code, late.json()["status"]) == (200, "succeeded")


async def test_a_customer_who_never_comes_is_let_go(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """Their time is over: canceled at Stripe, told once as expired, and the order is paid anew under another event."""
    body = order("left", payment_method=CHALLENGED)
    asked = await opened(merchant, http, body, "requires_action")
    payment_id = asked["payment_id"]

    await their_time_is_over(merchant, payment_id)

    await told(merchant, http, payment_id, "PaymentActionRequired", "PaymentCanceled")
    intent = await merchant.at_stripe(http, "GET", f"/v1/payment_intents/{asked['payment_intent_id']}")
    assert (intent["status"], intent["cancellation_reason"]) == ("canceled", "abandoned")
    (canceled,) = [
        fact
        for fact in await merchant.published(http)
        if (fact["payment_id"], fact["type"]) == (payment_id, "PaymentCanceled")
    ]
    assert canceled["data"]["reason"] == "EXPIRED"
    late = await answers_challenge(http, asked["action"]["url"], "approve")
    anew = await merchant.charge(http, order("left", event_id="event-anew"))
    assert (late.status_code, anew.status_code, anew.json()["status"]) == (404, 200, "succeeded")
    await told(merchant, http, payment_id, "PaymentActionRequired", "PaymentCanceled")
    assert await merchant.status(http, payment_id) == "canceled"


async def test_a_failed_payment_is_paid_by_a_challenge_later(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """Declined, then with another card whose owner must come: they do, and the webhook makes it one success."""
    declined = await merchant.charge(http, order("second", payment_method="pm_card_chargeDeclined"))
    payment_id = declined.json()["payment_id"]
    anew = await http.post(
        f"{merchant.gateway.url}/payments/{payment_id}/payment-method",
        json={"payment_method": CHALLENGED},
        headers=merchant.headers,
    )
    assert (declined.status_code, anew.status_code) == (402, 202)

    await answers_challenge(http, anew.json()["action"]["url"], "approve")

    story = ("PaymentFailed", "PaymentRequested", "PaymentActionRequired", "PaymentSucceeded")
    await told(merchant, http, payment_id, *story)
    payment = await merchant.payment(http, payment_id)
    assert [attempt["state"] for attempt in payment["attempts"]] == ["declined", "captured"]
    assert payment["amount_captured"] == 1999


async def their_time_is_over(merchant: Merchant, payment_id: str) -> None:
    """Let a customer's day have passed, as the record has it; nobody else works on the payment meanwhile."""
    connection = await asyncpg.connect(merchant.stage.database_url)
    async with connection.transaction():
        await connection.execute("SELECT FROM payments WHERE id = $1::uuid FOR UPDATE", payment_id)
        await connection.execute(
            "UPDATE attempts SET action_expires_at = now() WHERE payment_id = $1::uuid", payment_id
        )
        await connection.execute(
            "UPDATE payments SET next_check_at = now(), let_go_at = now() WHERE id = $1::uuid", payment_id
        )
    await connection.close()


@pytest.mark.parametrize("method", ["pm_usBankAccount_success", "pm_sepaDebit_success_de"])
async def test_pitfall_21_a_debit_settles_days_later(merchant: Merchant, http: httpx.AsyncClient, method: str) -> None:
    """Two days on the bank still works on it; on the third it is money, by webhook, and said once."""
    begun = await opened(merchant, http, debit(method, method), "processing")
    await told(merchant, http, begun["payment_id"], "PaymentProcessing")

    await merchant.days_pass(http, 2)
    waiting = await merchant.status(http, begun["payment_id"])
    await merchant.days_pass(http, 1)

    await told(merchant, http, begun["payment_id"], "PaymentProcessing", "PaymentSucceeded")
    payment = await merchant.payment(http, begun["payment_id"])
    assert (waiting, payment["status"], payment["amount_captured"]) == ("processing", "succeeded", 1999)
    assert await merchant.learned_by(begun["payment_id"]) == "notice"


@pytest.mark.parametrize(
    ("method", "days", "why"),
    [
        ("pm_usBankAccount_insufficientFunds", 3, ("insufficient_funds", "insufficient_funds")),
        ("pm_sepaDebit_failedDelayed_de", 6, ("other", "debit_not_authorized")),
    ],
)
async def test_a_debit_bounces_days_later(
    merchant: Merchant, http: httpx.AsyncClient, method: str, days: int, why: tuple[str, str]
) -> None:
    """The bank returns it when everybody thought of it as paid: one PaymentFailed, with the bank's reason."""
    begun = await opened(merchant, http, debit(method, method), "processing")
    await told(merchant, http, begun["payment_id"], "PaymentProcessing")

    await merchant.days_pass(http, days - 1)
    waiting = await merchant.status(http, begun["payment_id"])
    await merchant.days_pass(http, 1)

    await told(merchant, http, begun["payment_id"], "PaymentProcessing", "PaymentFailed")
    again = await merchant.charge(http, debit(method, method))
    assert (waiting, again.status_code) == ("processing", 402)
    assert why == (again.json()["failure_reason"], again.json()["decline_code"])
    assert await merchant.learned_by(begun["payment_id"]) == "notice"


async def test_pitfall_21_a_debit_that_bounces_after_its_success_is_disputed(
    merchant: Merchant, http: httpx.AsyncClient
) -> None:
    """It was paid, and the bank takes it back for good: still succeeded, disputed, and nothing is left of it."""
    begun = await opened(merchant, http, debit("disputed", "pm_sepaDebit_disputed_de"), "processing")

    await merchant.days_pass(http, 10)

    story = ("PaymentProcessing", "PaymentSucceeded", "PaymentDisputed")
    await told(merchant, http, begun["payment_id"], *story)
    payment = await merchant.payment(http, begun["payment_id"])
    assert (payment["status"], payment["disputed"], payment["dispute_status"]) == ("succeeded", True, "lost")
    assert (payment["amount_captured"], payment["amount_disputed"]) == (1999, 1999)
    assert [dispute["status"] for dispute in payment["disputes"]] == ["lost"]


@pytest.mark.parametrize("fault", ["event_undelivered", "event_never_made"])
async def test_pitfall_12_a_debit_whose_webhook_is_lost_is_asked_about(
    merchant: Merchant, http: httpx.AsyncClient, fault: str
) -> None:
    """No word comes of the one that settles, nor of the one that bounces: look-ups find both, and each is said once."""
    methods = ("pm_sepaDebit_success_de", "pm_usBankAccount_noAccount")
    settles, bounces = await asyncio.gather(
        *(opened(merchant, http, debit(f"{fault}-{method}", method), "processing") for method in methods)
    )
    async with merchant.fault(http, fault=fault):
        await merchant.days_pass(http, 4)
    paid, failed = settles["payment_id"], bounces["payment_id"]
    unheard = [await merchant.status(http, payment_id) for payment_id in (paid, failed)]

    await fetch(merchant.stage, "UPDATE payments SET next_check_at = now() WHERE state = 'processing' RETURNING id")

    await told(merchant, http, paid, "PaymentProcessing", "PaymentSucceeded")
    await told(merchant, http, failed, "PaymentProcessing", "PaymentFailed")
    assert unheard == ["processing", "processing"]
    assert [await merchant.learned_by(one) for one in (paid, failed)] == ["look-up", "look-up"]


async def held(merchant: Merchant, http: httpx.AsyncClient, name: str) -> Any:
    """Have the money of an order held, and wait until that was published."""
    answer = await merchant.charge(http, order(name, capture_method="manual"))
    assert (answer.status_code, answer.json()["status"]) == (200, "authorized"), answer.text
    await told(merchant, http, answer.json()["payment_id"], "PaymentAuthorized")
    return answer.json()


async def test_a_hold_that_nobody_takes_is_let_go_in_its_time(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """Its time has come: the worker cancels it at Stripe, says so once, and the order may be paid anew."""
    payment_id = (await held(merchant, http, "untaken"))["payment_id"]
    due = "hold_ends_at = now(), let_go_at = now(), next_check_at = now()"
    await fetch(merchant.stage, f"UPDATE payments SET {due} WHERE id = '{payment_id}' RETURNING id")  # noqa: S608 - a uuid that the gateway gave

    await told(merchant, http, payment_id, "PaymentAuthorized", "PaymentCanceled")
    payment = await merchant.payment(http, payment_id)
    at_stripe = await merchant.at_stripe(http, "GET", f"/v1/payment_intents/{payment['payment_intent_id']}")
    anew = await merchant.charge(http, {**order("untaken"), "event_id": "event-untaken-anew"})
    assert (payment["status"], payment["amount_captured"], at_stripe["status"]) == ("canceled", 0, "canceled")
    assert (anew.status_code, anew.json()["status"]) == (200, "succeeded")


async def test_a_hold_that_stripe_ends_is_over_with_us(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """Eight days pass there and none here: its webhooks say that the hold has expired, and that is said once."""
    payment_id = (await held(merchant, http, "expired"))["payment_id"]

    await merchant.days_pass(http, 8)

    await told(merchant, http, payment_id, "PaymentAuthorized", "PaymentCanceled")
    assert await merchant.learned_by(payment_id) == "notice"
    reasons = [one["data"].get("reason") for one in await merchant.published(http) if one["payment_id"] == payment_id]
    assert reasons[-1] == "EXPIRED"


async def test_a_capture_whose_answer_is_lost_is_taken_once(merchant: Merchant, http: httpx.AsyncClient) -> None:
    """The gateway is told nothing; a webhook or the worker settles it, and Stripe has taken it once."""
    payment = await held(merchant, http, "lost")
    await merchant.script(http, "faults", {"fault": "lose_answer", "path": "/v1/payment_intents/*/capture"})
    path = f"{merchant.gateway.url}/payments/{payment['payment_id']}/capture"
    answer = await http.post(path, headers=merchant.headers, json={"amount": 500})

    await told(merchant, http, payment["payment_id"], "PaymentAuthorized", "PaymentSucceeded")
    shown = await merchant.payment(http, payment["payment_id"])
    charge = await merchant.at_stripe(http, "GET", f"/v1/charges/{shown['attempts'][0]['charge_id']}")
    assert answer.status_code in (200, 202), "a webhook may be faster than the answer"
    assert (shown["amount_captured"], charge["amount_captured"]) == (500, 500)
