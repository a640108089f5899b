from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Reply

BACK = "https://shop.example/back?order=7"


async def _asked(http: "Http", method: str = "pm_card_threeDSecure2Required", **more: str) -> "Reply":
    return await http.pay(method, return_url=BACK, capture_method="automatic", **more)


def _page(reply: "Reply") -> str:
    parts = urlsplit(reply.body["next_action"]["redirect_to_url"]["url"])
    return f"{parts.path}?{parts.query}"


async def _answered(http: "Http", reply: "Reply", outcome: str) -> tuple["Reply", Any]:
    sent = await http.post(_page(reply), {"outcome": outcome})
    intent = (await http.get(f"/v1/payment_intents/{reply.body['id']}")).body
    return sent, intent


async def test_a_card_that_wants_authentication_asks(http: "Http") -> None:
    """The PaymentIntent waits with the address of a page that shows the amount; no charge exists yet."""
    reply = await _asked(http)

    page = await http.get(_page(reply))

    action = reply.body["next_action"]
    assert (reply.status, reply.body["status"], reply.body["latest_charge"]) == (200, "requires_action", None)
    assert (action["type"], action["redirect_to_url"]["return_url"]) == ("redirect_to_url", BACK)
    assert "19.99 EUR" in page.body
    assert await http.event_types() == ["payment_intent.created", "payment_intent.requires_action"]


async def test_an_approved_payment_succeeds_and_goes_back(http: "Http") -> None:
    """Approval charges the card and sends the browser to the return address with Stripe's parameters."""
    reply = await _asked(http)

    sent, intent = await _answered(http, reply, "approve")

    charge = (await http.get(f"/v1/charges/{intent['latest_charge']}")).body
    query = parse_qs(urlsplit(sent.headers["Location"]).query)
    assert (sent.status, intent["status"], intent["next_action"]) == (303, "succeeded", None)
    assert charge["payment_method_details"]["card"]["three_d_secure"]["result"] == "authenticated"
    assert {
        "order": ["7"],
        "payment_intent": [intent["id"]],
        "payment_intent_client_secret": [intent["client_secret"]],
        "redirect_status": ["succeeded"],
    } == query


async def test_a_refused_authentication_fails_the_payment(http: "Http") -> None:
    """Refusal leaves no charge, an authentication failure on the PaymentIntent, and a browser on its way back."""
    reply = await _asked(http)

    sent, intent = await _answered(http, reply, "refuse")

    query = parse_qs(urlsplit(sent.headers["Location"]).query)
    assert query["redirect_status"] == ["failed"]
    assert (
        intent["status"],
        intent["payment_method"],
        intent["latest_charge"],
    ) == ("requires_payment_method", None, None)
    assert intent["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert (await http.event_types())[-1] == "payment_intent.payment_failed"


async def test_a_question_is_answered_once(http: "Http") -> None:
    """The page of an answered question is gone, and a wrong secret never opened it."""
    reply = await _asked(http)
    forged = await http.post(_page(reply) + "x", {"outcome": "approve"})

    await _answered(http, reply, "refuse")
    again, intent = await _answered(http, reply, "approve")

    assert (forged.status, again.status, intent["status"]) == (404, 404, "requires_payment_method")


async def test_the_issuer_may_decline_after_authentication(http: "Http") -> None:
    """The card that authenticates and is declined all the same leaves a failed charge."""
    reply = await _asked(http, "pm_card_threeDSecureRequiredChargeDeclined")

    sent, intent = await _answered(http, reply, "approve")

    assert "redirect_status=failed" in sent.headers["Location"]
    assert (intent["status"], intent["last_payment_error"]["code"]) == ("requires_payment_method", "card_declined")
    assert intent["latest_charge"] is not None


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("pm_card_authenticationRequired", 402),
        ("pm_card_threeDSecure2Required", 402),
        ("pm_card_authenticationRequiredSetupForOffSession", 200),
        ("pm_card_threeDSecureOptional", 200),
        ("pm_card_visa", 200),
    ],
)
async def test_nobody_can_be_asked_off_session(http: "Http", method: str, status: int) -> None:
    """Without the customer, a card that wants authentication is declined with `authentication_required`."""
    reply = await _asked(http, method, off_session="true")

    assert status == reply.status
    if status == 402:
        assert (
            reply.error["code"],
            reply.error["decline_code"],
        ) == ("authentication_required", "authentication_required")
        assert reply.error["payment_intent"]["status"] == "requires_payment_method"


async def test_a_card_set_up_for_later_asks_while_the_customer_is_there(http: "Http") -> None:
    """Set up for off-session use, it still asks on session."""
    reply = await _asked(http, "pm_card_authenticationRequiredSetupForOffSession")

    assert reply.body["status"] == "requires_action"


async def test_optional_authentication_runs_when_demanded(http: "Http") -> None:
    """`request_three_d_secure=any` makes the optional card ask."""
    more = {"payment_method_options[card][request_three_d_secure]": "any"}

    reply = await _asked(http, "pm_card_threeDSecureOptional", **more)

    assert reply.body["status"] == "requires_action"


async def test_failing_rather_than_asking(http: "Http") -> None:
    """`error_on_requires_action` turns the question into a decline without a charge."""
    reply = await _asked(http, error_on_requires_action="true")

    assert (reply.status, reply.error["code"]) == (402, "authentication_required")
    assert "charge" not in reply.error


async def test_without_return_url_stripe_js_is_asked(http: "Http") -> None:
    """A card payment without a return address is authenticated by Stripe.js, and ends on the page itself."""
    reply = await http.pay("pm_card_threeDSecure2Required")
    url = urlsplit(reply.body["next_action"]["use_stripe_sdk"]["stripe_js"])

    done = await http.post(f"{url.path}?{url.query}", {"outcome": "approve"})

    assert (reply.body["next_action"]["type"], done.status) == ("use_stripe_sdk", 200)
    assert (await http.get(f"/v1/payment_intents/{reply.body['id']}")).body["status"] == "succeeded"


async def test_manual_confirmation_comes_back_to_the_merchant(http: "Http") -> None:
    """With `confirmation_method=manual` approval waits for one more confirmation, which asks no more."""
    reply = await _asked(http, confirmation_method="manual")
    _, waiting = await _answered(http, reply, "approve")

    paid = await http.post(f"/v1/payment_intents/{reply.body['id']}/confirm", {"return_url": BACK})

    assert (waiting["status"], paid.body["status"]) == ("requires_confirmation", "succeeded")


async def test_canceling_withdraws_the_question(http: "Http") -> None:
    """A canceled payment cannot be approved any more."""
    reply = await _asked(http)
    await http.post(f"/v1/payment_intents/{reply.body['id']}/cancel")

    sent, intent = await _answered(http, reply, "approve")

    assert (sent.status, intent["status"]) == (404, "canceled")
