from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Reply

DAY = 86_400


async def _charge(http: "Http", source: str = "tok_visa", **more: str) -> "Reply":
    return await http.post("/v1/charges", {"amount": "1999", "currency": "eur", "source": source, **more})


async def test_a_token_is_charged(sdk: stripe.StripeClient, http: "Http") -> None:
    """The older API takes the money at once, and tells of a charge that has no PaymentIntent."""
    charge = await sdk.charges.create_async(
        {
            "amount": 1999,
            "currency": "EUR",
            "source": "tok_mastercard",
            "description": "An order",
            "metadata": {"paymentId": "7"},
            "shipping": {"name": "Ada", "address": {"city": "London"}},
            "expand": ["balance_transaction"],
        }
    )

    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert isinstance(charge.source, stripe.Card)
    assert (charge.status, charge.paid, charge.captured, charge.amount_captured) == ("succeeded", True, True, 1999)
    assert (charge.currency, charge.payment_intent, charge.balance_transaction.net) == ("eur", None, 1911)
    assert (charge.source.brand, charge.source.last4, charge.payment_method) == (
        "MasterCard",
        "4444",
        charge.source.id,
    )
    assert (charge.metadata, charge.description) == ({"paymentId": "7"}, "An order")
    assert charge.shipping is not None
    assert (charge.shipping.name, charge.shipping.carrier) == ("Ada", None)
    assert await http.event_types() == ["charge.succeeded"]


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("tok_chargeDeclined", "card_declined", "generic_decline"),
        ("tok_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("tok_chargeDeclinedExpiredCard", "expired_card", None),
        ("tok_radarBlock", "card_declined", "fraudulent"),
        ("tok_threeDSecureRequired", "authentication_required", "authentication_required"),
        ("tok_authenticationRequiredSetupForOffSession", "authentication_required", "authentication_required"),
    ],
)
async def test_a_declined_token_is_a_failed_charge(
    http: "Http", token: str, code: str, decline_code: str | None
) -> None:
    """A decline is a 402 that names the charge; one that needs the cardholder cannot be made here."""
    declined = await _charge(http, token)
    charge = (await http.get(f"/v1/charges/{declined.error['charge']}")).body

    assert (declined.status, declined.error["type"], declined.error["code"]) == (402, "card_error", code)
    assert declined.error.get("decline_code") == decline_code
    assert (charge["status"], charge["failure_code"], charge["paid"]) == ("failed", code, False)
    assert await http.event_types() == ["charge.failed"]


async def test_a_hold_is_captured(http: "Http") -> None:
    """Whole or in part, and once; the rest shows as refunded."""
    whole, part = (await _charge(http, capture="false")).body, (await _charge(http, capture="false")).body
    taken = (await http.post(f"/v1/charges/{whole['id']}/capture")).body
    partly = (
        await http.post(f"/v1/charges/{part['id']}/capture", {"amount": "1500", "statement_descriptor_suffix": "BOOKS"})
    ).body
    again = await http.post(f"/v1/charges/{whole['id']}/capture")

    assert (whole["captured"], whole["status"], whole["balance_transaction"]) == (False, "succeeded", None)
    assert (taken["captured"], taken["amount_captured"], taken["amount_refunded"]) == (True, 1999, 0)
    assert (partly["amount_captured"], partly["amount_refunded"], partly["statement_descriptor_suffix"]) == (
        1500,
        499,
        "BOOKS",
    )
    assert (again.status, again.error["code"]) == (400, "charge_already_captured")
    assert await http.event_types() == ["charge.succeeded", "charge.succeeded", "charge.captured", "charge.captured"]


async def test_a_hold_ends(http: "Http") -> None:
    """Refunding lets it go, seven days do too, and then there is nothing to capture."""
    released, expired = (await _charge(http, capture="false")).body, (await _charge(http, capture="false")).body
    await http.post("/v1/refunds", {"charge": released["id"]})
    await http.advance(7 * DAY)
    refused = [await http.post(f"/v1/charges/{charge['id']}/capture") for charge in (released, expired)]
    reasons = [refund["reason"] for refund in (await http.get("/v1/refunds")).body["data"]]

    assert [reply.error["code"] for reply in refused] == ["charge_expired_for_capture"] * 2
    assert reasons == ["expired_uncaptured_charge", None]
    assert (await http.event_types())[-2:] == ["charge.refunded", "charge.expired"]


async def test_a_customers_card_is_charged(sdk: stripe.StripeClient, http: "Http") -> None:
    """A customer keeps cards made of tokens; the default one is charged unless another is named."""
    customer = await sdk.customers.create_async({"source": "tok_visa", "expand": ["default_source"]})
    assert isinstance(customer.default_source, stripe.Card)
    second = (await http.post(f"/v1/customers/{customer.id}/sources", {"source": "tok_amex"})).body
    listed = (await http.get(f"/v1/customers/{customer.id}/sources?object=card")).body["data"]
    default = await sdk.charges.create_async({"amount": 500, "currency": "usd", "customer": customer.id})
    named = await sdk.charges.create_async(
        {"amount": 500, "currency": "usd", "customer": customer.id, "source": second["id"]}
    )

    assert [second["id"], customer.default_source.id] == [card["id"] for card in listed]
    assert [customer.default_source.id, second["id"]] == [default.payment_method, named.payment_method]
    assert (second["brand"], second["customer"]) == ("American Express", customer.id)
    assert (await http.get(f"/v1/customers/{customer.id}/sources/{second['id']}")).body == second
    assert (await http.get(f"/v1/payment_methods/{second['id']}")).body["card"]["brand"] == "amex"


async def test_a_new_source_becomes_the_default(http: "Http") -> None:
    """Updating a customer with a token replaces the default, where adding a card does not."""
    customer = (await http.post("/v1/customers")).body["id"]
    await http.post(f"/v1/customers/{customer}/sources", {"source": "tok_visa", "metadata[a]": "1"})
    first = (await http.get(f"/v1/customers/{customer}")).body["default_source"]
    updated = (await http.post(f"/v1/customers/{customer}", {"source": "tok_jcb"})).body["default_source"]

    assert (await http.get(f"/v1/customers/{customer}/sources/{first}")).body["metadata"] == {"a": "1"}
    assert updated not in (None, first)
    assert "customer.source.created" in await http.event_types()


async def test_a_source_is_charged(http: "Http") -> None:
    """A `src_…` of nobody's is charged once, one of a customer as often as needed."""
    loose = (await http.post("/v1/sources", {"type": "card", "token": "tok_visa"})).body
    kept = (await http.post("/v1/sources", {"type": "card", "token": "tok_discover"})).body
    customer = (await http.post("/v1/customers", {"source": kept["id"]})).body["id"]
    charges = [
        await _charge(http, loose["id"]),
        await _charge(http, kept["id"], customer=customer),
        await _charge(http, kept["id"], customer=customer),
    ]

    assert [charge.body["source"]["id"] for charge in charges] == [loose["id"], kept["id"], kept["id"]]
    assert (await http.get(f"/v1/sources/{loose['id']}")).body == loose
    assert (loose["status"], loose["card"]["brand"]) == ("chargeable", "Visa")


async def test_what_cannot_be_charged_is_refused(http: "Http") -> None:
    """No source, an unknown one, somebody else's, a customer's token, and a customer without a card."""
    customer = (await http.post("/v1/customers")).body["id"]
    other = (await http.post("/v1/customers", {"source": "tok_visa"})).body
    form = {"amount": "500", "currency": "usd"}
    tried = {
        "nothing": await http.post("/v1/charges", form),
        "unknown": await _charge(http, "tok_nothing"),
        "method": await _charge(http, "pm_card_visa"),
        "without its customer": await _charge(http, other["default_source"]),
        "another's": await _charge(http, other["default_source"], customer=customer),
        "token of a customer": await _charge(http, "tok_visa", customer=customer),
        "unknown customer": await _charge(http, customer="cus_nobody"),
        "no card": await http.post("/v1/charges", {**form, "customer": customer}),
        "too little": await http.post("/v1/charges", {**form, "source": "tok_visa", "amount": "1"}),
        "capture too much": await http.post(
            f"/v1/charges/{(await _charge(http, capture='false')).body['id']}/capture", {"amount": "2000"}
        ),
        "capture of an intent": await http.post(
            f"/v1/charges/{(await http.pay(capture_method='manual')).body['latest_charge']}/capture"
        ),
    }
    expected = {
        "nothing": (400, "parameter_missing", "source"),
        "unknown": (400, "resource_missing", "source"),
        "method": (400, "resource_missing", "source"),
        "without its customer": (400, "missing", "source"),
        "another's": (400, "missing", "source"),
        "token of a customer": (400, "missing", "source"),
        "unknown customer": (400, "resource_missing", "customer"),
        "no card": (402, "missing", "card"),
        "too little": (400, "amount_too_small", "amount"),
        "capture too much": (400, "amount_too_large", "amount"),
        "capture of an intent": (400, None, None),
    }

    assert expected == {
        name: (reply.status, reply.error.get("code"), reply.error.get("param")) for name, reply in tried.items()
    }


async def test_a_declined_card_is_not_kept(http: "Http") -> None:
    """The issuer is asked before a card is kept for a customer, save for the card that fails only when charged."""
    customer = (await http.post("/v1/customers")).body["id"]
    refused = await http.post(f"/v1/customers/{customer}/sources", {"source": "tok_chargeDeclinedInsufficientFunds"})
    attached = await http.post("/v1/payment_methods/pm_card_chargeDeclined/attach", {"customer": customer})
    kept = await http.post(f"/v1/customers/{customer}/sources", {"source": "tok_chargeCustomerFail"})
    charged = await http.post("/v1/charges", {"amount": "500", "currency": "usd", "customer": customer})

    assert (refused.status, refused.error["decline_code"]) == (402, "insufficient_funds")
    assert (attached.status, attached.error["decline_code"]) == (402, "generic_decline")
    assert (kept.status, charged.status) == (200, 402)


async def test_a_charge_is_disputed_and_updated(sdk: stripe.StripeClient, http: "Http") -> None:
    """A charge by itself can be disputed, refunded and described like any other."""
    disputed = await sdk.charges.create_async({"amount": 700, "currency": "usd", "source": "tok_createDispute"})
    customer: Any = await sdk.customers.create_async()
    await http.advance(1)
    updated = await sdk.charges.update_async(
        disputed.id,
        {"customer": customer.id, "fraud_details": {"user_report": "fraudulent"}, "transfer_group": "g"},
    )
    other = (await http.post("/v1/customers")).body["id"]
    refused = await http.post(f"/v1/charges/{disputed.id}", {"customer": other})

    assert (updated.disputed, updated.customer, updated.transfer_group) == (True, customer.id, "g")
    assert updated.fraud_details == {"user_report": "fraudulent"}
    assert (refused.status, refused.error["param"]) == (400, "customer")
