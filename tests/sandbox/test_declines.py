from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
    ],
)
async def test_each_decline_is_told_whole(
    sdk: stripe.StripeClient, http: "Http", method: str, code: str, decline_code: str | None
) -> None:
    """A decline is a 402 card error with its codes, a failed charge, and a PaymentIntent that wants a new method."""
    sent: Any = {
        "amount": 1999,
        "currency": "eur",
        "payment_method": method,
        "payment_method_types": ["card"],
        "confirm": True,
    }

    with pytest.raises(stripe.CardError) as declined:
        await sdk.payment_intents.create_async(sent)

    error: Any = declined.value.error
    intent = await sdk.payment_intents.retrieve_async(error.payment_intent.id)
    charge = await sdk.charges.retrieve_async(error.charge)
    assert (402, code, "card_error") == (declined.value.http_status, declined.value.code, error.type)
    assert decline_code == error.get("decline_code")
    assert f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}" == error.doc_url
    assert error.payment_intent == intent
    assert ("requires_payment_method", None, charge.id) == (intent.status, intent.payment_method, intent.latest_charge)
    last: Any = intent.last_payment_error
    assert (code, decline_code, charge.id) == (last.code, last.get("decline_code"), last.charge)
    assert ("failed", code, False, 0) == (charge.status, charge.failure_code, charge.paid, charge.amount_captured)
    assert await http.event_types() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


async def test_a_blocked_payment_never_reached_the_network(http: "Http") -> None:
    """Radar's block shows in the charge's outcome."""
    declined = await http.pay("pm_card_radarBlock")

    charge = (await http.get(f"/v1/charges/{declined.error['charge']}")).body
    assert (
        charge["outcome"]["type"],
        charge["outcome"]["network_status"],
        charge["outcome"]["risk_level"],
    ) == ("blocked", "not_sent_to_network", "highest")


async def test_a_declined_payment_takes_another_card(sdk: stripe.StripeClient, http: "Http") -> None:
    """The same PaymentIntent succeeds with the next method, by a new charge, and forgets the old error."""
    declined = await http.pay("pm_card_chargeDeclined")
    intent_id = declined.error["payment_intent"]["id"]

    intent = await sdk.payment_intents.confirm_async(intent_id, {"payment_method": "pm_card_visa"})

    assert (intent.status, intent.last_payment_error) == ("succeeded", None)
    assert intent.latest_charge != declined.error["charge"]


async def test_without_a_method_nothing_is_confirmed(sdk: stripe.StripeClient, http: "Http") -> None:
    """After a decline the method is gone, so confirming without a new one is refused."""
    declined = await http.pay("pm_card_chargeDeclined")

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.payment_intents.confirm_async(declined.error["payment_intent"]["id"])

    assert (refused.value.http_status, refused.value.code) == (400, "payment_intent_unexpected_state")
