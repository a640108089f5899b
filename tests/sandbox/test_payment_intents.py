from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http

PAYMENT: Any = {
    "amount": 1999,
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "payment_method_types": ["card"],
    "capture_method": "automatic",
    "confirm": True,
}


def _payment(more: dict[str, Any]) -> Any:
    """A payment's parameters, too loosely typed for the SDK's TypedDict to object to a few at a time."""
    return {**PAYMENT, **more}


@pytest.mark.parametrize(
    ("method", "brand", "last4", "funding"),
    [
        ("pm_card_visa", "visa", "4242", "credit"),
        ("pm_card_visa_debit", "visa", "5556", "debit"),
        ("pm_card_mastercard", "mastercard", "4444", "credit"),
        ("pm_card_mastercard_prepaid", "mastercard", "5100", "prepaid"),
        ("pm_card_amex", "amex", "8431", "credit"),
        ("pm_card_discover", "discover", "1117", "credit"),
        ("pm_card_diners", "diners", "0004", "credit"),
        ("pm_card_jcb", "jcb", "0505", "credit"),
        ("pm_card_unionpay", "unionpay", "0005", "credit"),
    ],
)
async def test_a_card_of_each_brand_pays(
    sdk: stripe.StripeClient, method: str, brand: str, last4: str, funding: str
) -> None:
    """A documented test method makes a fresh PaymentMethod of its brand and takes the money at once."""
    intent = await sdk.payment_intents.create_async(
        _payment({"payment_method": method, "expand": ["latest_charge.balance_transaction", "payment_method"]})
    )

    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert isinstance(intent.payment_method, stripe.PaymentMethod)
    assert (intent.status, intent.amount_received, charge.amount_captured) == ("succeeded", 1999, 1999)
    card = intent.payment_method.card
    assert card is not None
    assert (brand, last4, funding) == (card.brand, card.last4, card.funding)
    assert intent.payment_method.id.startswith("pm_")
    assert intent.payment_method.id != method
    assert (
        charge.balance_transaction.amount,
        charge.balance_transaction.fee,
        charge.balance_transaction.net,
    ) == (1999, 88, 1911)


async def test_objects_have_every_field_that_the_sdk_knows(sdk: stripe.StripeClient) -> None:
    """PaymentIntent, Charge and BalanceTransaction are whole: only fields that Stripe leaves out are missing."""
    intent = await sdk.payment_intents.create_async(_payment({"expand": ["latest_charge.balance_transaction"]}))

    def missing(record: Any) -> set[str]:
        known = {name for name in type(record).__annotations__ if name[0].islower()}
        return known - set(record.keys())

    charge: Any = intent.latest_charge
    assert set() == missing(intent)
    assert {"authorization_code", "level3", "refunds", "transfer"} == missing(charge)
    assert set() == missing(charge.balance_transaction)


async def test_a_token_pays(sdk: stripe.StripeClient) -> None:
    """`payment_method_data[card][token]` takes the documented tokens, with billing details."""
    sent: Any = {
        **{name: value for name, value in PAYMENT.items() if name != "payment_method"},
        "payment_method_data": {
            "type": "card",
            "card": {"token": "tok_mastercard"},
            "billing_details": {"name": "Ada", "address": {"city": "Turin"}},
        },
        "expand": ["payment_method"],
    }

    intent = await sdk.payment_intents.create_async(sent)

    method = intent.payment_method
    assert isinstance(method, stripe.PaymentMethod)
    assert method.card is not None
    assert method.billing_details.address is not None
    assert (intent.status, method.card.brand) == ("succeeded", "mastercard")
    assert (method.billing_details.name, method.billing_details.address.city) == ("Ada", "Turin")


async def test_by_default_the_balance_transaction_comes_later(sdk: stripe.StripeClient, http: "Http") -> None:
    """With `automatic_async`, this version's default, `charge.updated` tells the balance transaction a moment later."""
    sent: Any = {name: value for name, value in PAYMENT.items() if name != "capture_method"}
    intent = await sdk.payment_intents.create_async(sent)
    charge = str(intent.latest_charge)

    before = (await sdk.charges.retrieve_async(charge)).balance_transaction
    await http.advance(2)
    after = (await sdk.charges.retrieve_async(charge)).balance_transaction

    assert intent.capture_method == "automatic_async"
    assert before is None
    assert str(after).startswith("txn_")
    event = (await sdk.events.list_async({"type": "charge.updated"})).data[0]
    assert dict(event.data.previous_attributes or {}) == {"balance_transaction": None}
    assert after == event.data.object["balance_transaction"]


async def test_a_payment_can_be_built_step_by_step(sdk: stripe.StripeClient, http: "Http") -> None:
    """Created without a method, then updated, then confirmed: the states are Stripe's."""
    intent = await sdk.payment_intents.create_async(
        {"amount": 500, "currency": "usd", "payment_method_types": ["card"]}
    )
    first = intent.status
    intent = await sdk.payment_intents.update_async(
        intent.id, {"amount": 700, "payment_method": "pm_card_visa", "metadata": {"order": "1"}}
    )
    second = intent.status
    intent = await sdk.payment_intents.confirm_async(intent.id)

    assert (first, second, intent.status) == ("requires_payment_method", "requires_confirmation", "succeeded")
    assert (intent.amount_received, dict(intent.metadata)) == (700, {"order": "1"})
    assert await http.event_types() == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


async def test_a_hold_is_captured_in_part(sdk: stripe.StripeClient, http: "Http") -> None:
    """Manual capture holds the money; capturing part of it lets the rest go."""
    held = await sdk.payment_intents.create_async(_payment({"capture_method": "manual"}))
    hold = await sdk.charges.retrieve_async(str(held.latest_charge))

    taken = await sdk.payment_intents.capture_async(held.id, {"amount_to_capture": 1500})
    charge = await sdk.charges.retrieve_async(str(taken.latest_charge))

    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 1999, 0)
    assert (hold.captured, hold.amount_captured, hold.paid) == (False, 0, True)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 1500)
    assert (
        charge.captured,
        charge.amount_captured,
        charge.amount_refunded,
        charge.refunded,
    ) == (True, 1500, 499, False)
    assert await http.event_types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


async def test_more_than_the_hold_cannot_be_captured(sdk: stripe.StripeClient) -> None:
    """Capturing above the hold is refused, and the hold stays."""
    held = await sdk.payment_intents.create_async(_payment({"capture_method": "manual"}))

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.payment_intents.capture_async(held.id, {"amount_to_capture": 2000})

    assert (refused.value.http_status, refused.value.code) == (400, "amount_too_large")
    assert (await sdk.payment_intents.retrieve_async(held.id)).status == "requires_capture"


async def test_canceling_a_hold_releases_it(sdk: stripe.StripeClient, http: "Http") -> None:
    """A canceled hold shows as refunded on its charge, and both changes are told."""
    held = await sdk.payment_intents.create_async(_payment({"capture_method": "manual"}))

    canceled = await sdk.payment_intents.cancel_async(held.id, {"cancellation_reason": "requested_by_customer"})

    charge = await sdk.charges.retrieve_async(str(held.latest_charge))
    assert (
        canceled.status,
        canceled.cancellation_reason,
        canceled.amount_capturable,
    ) == ("canceled", "requested_by_customer", 0)
    assert (charge.refunded, charge.amount_refunded, charge.captured) == (True, 1999, False)
    assert (await http.event_types())[-2:] == ["charge.refunded", "payment_intent.canceled"]


async def test_a_hold_expires_after_a_week(sdk: stripe.StripeClient, http: "Http") -> None:
    """Seven days on the sandbox's clock end an uncaptured hold by themselves."""
    held = await sdk.payment_intents.create_async(_payment({"capture_method": "manual"}))

    await http.advance(7 * 86_400 - 1)
    before = await sdk.payment_intents.retrieve_async(held.id)
    await http.advance(1)
    after = await sdk.payment_intents.retrieve_async(held.id)

    assert before.status == "requires_capture"
    assert (after.status, after.cancellation_reason) == ("canceled", "automatic")
    assert (await http.event_types())[-2:] == ["charge.expired", "payment_intent.canceled"]


@pytest.mark.parametrize(
    ("step", "form"),
    [
        ("/confirm", "payment_method=pm_card_visa"),
        ("/capture", ""),
        ("/cancel", ""),
        ("", "amount=1"),
        ("", "customer=cus_1"),
    ],
)
async def test_what_has_succeeded_stays_as_it_is(http: "Http", step: str, form: str) -> None:
    """A finished PaymentIntent refuses every further step, with itself inside the error."""
    paid = await http.pay()

    refused = await http.post(f"/v1/payment_intents/{paid.body['id']}{step}", form)

    assert (refused.status, refused.error["code"]) == (400, "payment_intent_unexpected_state")
    assert refused.error["payment_intent"] == paid.body


async def test_metadata_merges_and_unsets(sdk: stripe.StripeClient) -> None:
    """An update keeps other keys, an empty value removes one, an empty hash removes all."""
    intent = await sdk.payment_intents.create_async(
        {"amount": 500, "currency": "usd", "metadata": {"a": "1", "b": "2"}, "payment_method_types": ["card"]}
    )

    some = await sdk.payment_intents.update_async(intent.id, {"metadata": {"a": "", "c": "3"}})
    none = await sdk.payment_intents.update_async(intent.id, {"metadata": ""})

    assert dict(some.metadata) == {"b": "2", "c": "3"}
    assert dict(none.metadata) == {}


async def test_a_charge_carries_the_metadata_of_its_payment(sdk: stripe.StripeClient) -> None:
    """Whoever hears of the charge first can still tell whose it is."""
    intent = await sdk.payment_intents.create_async(_payment({"metadata": {"payment_id": "p-1"}}))

    charge = await sdk.charges.retrieve_async(str(intent.latest_charge))

    assert dict(charge.metadata) == {"payment_id": "p-1"}
    assert intent.id == charge.payment_intent


async def test_lists_are_paged_newest_first(sdk: stripe.StripeClient) -> None:
    """`limit`, `starting_after`, `ending_before` and the SDK's own paging all walk the same order."""
    made = [
        (await sdk.payment_intents.create_async({"amount": 100 + number, "currency": "usd"})).id for number in range(5)
    ]
    newest_first = made[::-1]

    first = await sdk.payment_intents.list_async({"limit": 2})
    second = await sdk.payment_intents.list_async({"limit": 2, "starting_after": first.data[-1].id})
    back = await sdk.payment_intents.list_async({"limit": 2, "ending_before": second.data[0].id})
    everything = [intent.id async for intent in first.auto_paging_iter()]

    assert (newest_first[:2], True) == ([intent.id for intent in first.data], first.has_more)
    assert newest_first[2:4] == [intent.id for intent in second.data]
    assert (newest_first[:2], False) == ([intent.id for intent in back.data], back.has_more)
    assert newest_first == everything


async def test_lists_filter_by_time_and_customer(sdk: stripe.StripeClient, http: "Http") -> None:
    """`created[gte]`, `created[lt]` and `customer` narrow a list, in any combination."""
    customer = await sdk.customers.create_async({"email": "ada@example.com"})
    early = await sdk.payment_intents.create_async({"amount": 100, "currency": "usd", "customer": customer.id})
    await http.advance(100)
    late = await sdk.payment_intents.create_async({"amount": 100, "currency": "usd"})

    old = await sdk.payment_intents.list_async({"created": {"lt": late.created}})
    new = await sdk.payment_intents.list_async({"created": {"gte": late.created}})
    hers = await sdk.payment_intents.list_async({"customer": customer.id, "created": {"lte": late.created}})

    assert [[early.id], [late.id], [early.id]] == [[intent.id for intent in page.data] for page in (old, new, hers)]


async def test_charges_are_listed_by_payment(sdk: stripe.StripeClient) -> None:
    """Every try of a payment is one charge, the failed ones included."""
    sent: Any = {"amount": 700, "currency": "usd", "payment_method_types": ["card"]}
    intent = await sdk.payment_intents.create_async(sent)
    with pytest.raises(stripe.CardError):
        await sdk.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    await sdk.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    await sdk.payment_intents.create_async(PAYMENT)

    charges = await sdk.charges.list_async({"payment_intent": intent.id})

    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


async def test_a_method_without_customer_pays_once(sdk: stripe.StripeClient) -> None:
    """A PaymentMethod that paid while belonging to nobody is refused a second time; an attached one is not."""
    customer = await sdk.customers.create_async({})
    attached = await sdk.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    loose = await sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})

    for _ in range(2):
        await sdk.payment_intents.create_async(_payment({"customer": customer.id, "payment_method": attached.id}))
    await sdk.payment_intents.create_async(_payment({"payment_method": loose.id}))
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await sdk.payment_intents.create_async(_payment({"payment_method": loose.id}))

    methods = await sdk.customers.payment_methods.list_async(customer.id)
    assert [attached.id] == [method.id for method in methods.data]


async def test_a_customers_method_pays_only_for_that_customer(sdk: stripe.StripeClient) -> None:
    """An attached method needs its customer on the PaymentIntent."""
    customer = await sdk.customers.create_async({})
    method = await sdk.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})

    with pytest.raises(stripe.InvalidRequestError, match="belongs to the Customer") as refused:
        await sdk.payment_intents.create_async(_payment({"payment_method": method.id}))

    assert refused.value.param == "payment_method"


async def test_saving_for_later_attaches_the_method(sdk: stripe.StripeClient) -> None:
    """`setup_future_usage` with a customer keeps the method for the next payment."""
    customer = await sdk.customers.create_async({})

    intent = await sdk.payment_intents.create_async(
        _payment({"customer": customer.id, "setup_future_usage": "off_session"})
    )

    method = await sdk.payment_methods.retrieve_async(str(intent.payment_method))
    assert customer.id == method.customer


async def test_test_and_live_objects_are_apart(sdk: stripe.StripeClient, http: "Http") -> None:
    """A live key sees nothing of test mode, and test methods do not exist for it."""
    intent = await sdk.payment_intents.create_async(PAYMENT)

    live = {"Authorization": "Bearer sk_live_counterfoil"}
    seen = await http.get(f"/v1/payment_intents/{intent.id}", **live)
    form = {"amount": "500", "currency": "usd", "payment_method": "pm_card_visa"}
    paid = await http.send("POST", "/v1/payment_intents", form, live)

    assert (seen.status, seen.error["code"]) == (404, "resource_missing")
    assert (paid.status, paid.error["code"], paid.error["param"]) == (400, "resource_missing", "payment_method")


async def test_lists_expand_their_entries(sdk: stripe.StripeClient) -> None:
    """`expand[]=data.…` fills in every entry of a page, several levels deep."""
    await sdk.payment_intents.create_async(PAYMENT)

    listed = await sdk.payment_intents.list_async({"expand": ["data.latest_charge.balance_transaction"]})

    charge = listed.data[0].latest_charge
    assert isinstance(charge, stripe.Charge)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert charge.balance_transaction.source == charge.id


async def test_what_was_sent_is_kept(sdk: stripe.StripeClient) -> None:
    """Description, receipt address, shipping and descriptor come back, and go on to the charge."""
    intent = await sdk.payment_intents.create_async(
        _payment(
            {
                "description": "two lamps",
                "receipt_email": "ada@example.com",
                "shipping": {"name": "Ada", "address": {"city": "Turin", "line1": "Via Po 1"}},
                "statement_descriptor_suffix": "LAMPS",
                "expand": ["latest_charge"],
            }
        )
    )

    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    for kept in (intent, charge):
        assert (kept.description, kept.receipt_email) == ("two lamps", "ada@example.com")
        assert kept.shipping is not None
        assert (kept.shipping.name, kept.shipping.phone) == ("Ada", None)
    assert charge.calculated_statement_descriptor == "SANDBOX* LAMPS"
