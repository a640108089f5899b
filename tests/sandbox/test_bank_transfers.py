from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver, Reply

    from stripe_sandbox.sandbox import Server

OPTIONS = "payment_method_options[customer_balance]"
FORM = {
    "amount": "5000",
    "currency": "eur",
    "payment_method_types[]": "customer_balance",
    "payment_method_data[type]": "customer_balance",
    f"{OPTIONS}[funding_type]": "bank_transfer",
    f"{OPTIONS}[bank_transfer][type]": "eu_bank_transfer",
    f"{OPTIONS}[bank_transfer][eu_bank_transfer][country]": "DE",
    "confirm": "true",
}


async def _customer(http: "Http") -> str:
    return str((await http.post("/v1/customers")).body["id"])


async def _pay(http: "Http", customer: str, **more: str) -> Any:
    form = {**FORM, "customer": customer, **more}
    if "payment_method_types[0]" in more:
        del form["payment_method_types[]"]
    return (await http.post("/v1/payment_intents", form)).body


async def _fund(http: "Http", customer: str, amount: int, currency: str = "eur", **more: str) -> "Reply":
    path = f"/v1/test_helpers/customers/{customer}/fund_cash_balance"
    return await http.post(path, {"amount": str(amount), "currency": currency, **more})


async def _available(http: "Http", customer: str) -> Any:
    return (await http.get(f"/v1/customers/{customer}/cash_balance")).body["available"]


def _instructions(intent: Any) -> Any:
    return intent["next_action"]["display_bank_transfer_instructions"]


async def test_a_transfer_pays_in_parts(http: "Http") -> None:
    """The payment says where to send how much, tells when part of it came, and succeeds with the rest."""
    customer = await _customer(http)
    asked = await _pay(http, customer)
    await _fund(http, customer, 2000)
    partly = (await http.get(f"/v1/payment_intents/{asked['id']}")).body
    await _fund(http, customer, 3500)
    paid = (await http.get(f"/v1/payment_intents/{asked['id']}?expand[]=latest_charge.balance_transaction")).body

    assert [asked["status"], partly["status"], paid["status"]] == ["requires_action", "requires_action", "succeeded"]
    assert [_instructions(intent)["amount_remaining"] for intent in (asked, partly)] == [5000, 3000]
    assert _instructions(asked)["financial_addresses"][0]["type"] == "iban"
    assert (paid["next_action"], paid["amount_received"], await _available(http, customer)) == (
        None,
        5000,
        {"eur": 500},
    )
    assert paid["latest_charge"]["payment_method_details"]["type"] == "customer_balance"
    entry = paid["latest_charge"]["balance_transaction"]
    assert (entry["type"], entry["fee"], entry["net"]) == ("payment", 25, 4975)
    assert [type_ for type_ in await http.event_types() if not type_.startswith("customer")] == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.partially_funded",
        "charge.succeeded",
        "payment_intent.succeeded",
        "cash_balance.funds_available",
    ]


async def test_money_that_is_there_pays_at_once(http: "Http") -> None:
    """Enough of it succeeds, too little starts as partially funded; every booking is on the customer's list."""
    customer = await _customer(http)
    await _fund(http, customer, 6000)
    paid = await _pay(http, customer)
    partly = await _pay(http, customer)
    path = f"/v1/customers/{customer}/cash_balance_transactions"
    booked = (await http.get(path)).body["data"]
    one = (await http.get(f"{path}/{booked[0]['id']}")).body
    elsewhere = await http.get(f"/v1/customers/{await _customer(http)}/cash_balance_transactions/{one['id']}")

    assert [paid["status"], partly["status"]] == ["succeeded", "requires_action"]
    assert (_instructions(partly)["amount_remaining"], await _available(http, customer)) == (4000, None)
    assert [(entry["type"], entry["net_amount"]) for entry in booked] == [
        ("applied_to_payment", -1000),
        ("applied_to_payment", -5000),
        ("funded", 6000),
    ]
    assert (one["ending_balance"], one["applied_to_payment"]["payment_intent"]) == (0, partly["id"])
    assert elsewhere.status == 404


async def test_a_reference_says_which_payment_is_meant(http: "Http") -> None:
    """A transfer pays what its reference names before what is older, and only in its own currency."""
    customer = await _customer(http)
    older, newer = await _pay(http, customer), await _pay(http, customer)
    await _fund(http, customer, 9000, "usd")
    await _fund(http, customer, 5000, reference=_instructions(newer)["reference"])
    statuses = [(await http.get(f"/v1/payment_intents/{intent['id']}")).body["status"] for intent in (older, newer)]
    await _fund(http, customer, 5000, reference="thanks")
    last = (await http.get(f"/v1/payment_intents/{older['id']}")).body["status"]

    assert (statuses, last) == (["requires_action", "succeeded"], "succeeded")
    assert await _available(http, customer) == {"usd": 9000}


async def test_what_came_goes_back_to_the_balance(http: "Http") -> None:
    """Canceling a partly funded payment frees its money; refunding a paid one returns it to the customer's balance."""
    customer = await _customer(http)
    await _fund(http, customer, 6000)
    paid, partly = await _pay(http, customer), await _pay(http, customer)
    canceled = (await http.post(f"/v1/payment_intents/{partly['id']}/cancel")).body["status"]
    freed = await _available(http, customer)
    refund = (await http.post("/v1/refunds", {"payment_intent": paid["id"], "amount": "700"})).body

    assert (canceled, freed, refund["status"]) == ("canceled", {"eur": 1000}, "succeeded")
    assert await _available(http, customer) == {"eur": 1700}


async def test_another_method_ends_the_wait(http: "Http") -> None:
    """Paid by card after all, the payment wants no transfer any more, and what came is the customer's again."""
    customer = await _customer(http)
    asked = await _pay(
        http, customer, **{"payment_method_types[1]": "card", "payment_method_types[0]": "customer_balance"}
    )
    await _fund(http, customer, 2000)
    changed = await http.post(f"/v1/payment_intents/{asked['id']}", {"amount": "1000"})
    paid = (await http.post(f"/v1/payment_intents/{asked['id']}/confirm", {"payment_method": "pm_card_visa"})).body
    freed = await _available(http, customer)
    await _fund(http, customer, 5000)

    assert (changed.status, changed.error["code"]) == (400, "payment_intent_unexpected_state")
    assert (paid["status"], paid["amount_received"], freed) == ("succeeded", 5000, {"eur": 2000})
    assert await _available(http, customer) == {"eur": 7000}


async def test_confirming_again_keeps_what_came(http: "Http") -> None:
    """A second confirmation asks for the rest only, under the same reference."""
    customer = await _customer(http)
    asked = await _pay(http, customer)
    await _fund(http, customer, 2000)
    again = (await http.post(f"/v1/payment_intents/{asked['id']}/confirm")).body

    assert _instructions(again)["amount_remaining"] == 3000
    assert _instructions(again)["reference"] == _instructions(asked)["reference"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"customer": ""}, "customer"),
        ({f"{OPTIONS}[funding_type]": ""}, f"{OPTIONS}[funding_type]"),
        ({f"{OPTIONS}[bank_transfer][type]": "us_bank_transfer"}, f"{OPTIONS}[bank_transfer][type]"),
        ({f"{OPTIONS}[bank_transfer][type]": "jp_bank_transfer"}, f"{OPTIONS}[bank_transfer][type]"),
        ({"currency": "chf"}, f"{OPTIONS}[bank_transfer][type]"),
        ({"capture_method": "manual"}, "capture_method"),
    ],
)
async def test_what_no_transfer_can_pay_is_refused(http: "Http", change: dict[str, str], param: str) -> None:
    """Without a customer, a kind of transfer and its currency there is nothing to wait for."""
    form = {**FORM, "customer": await _customer(http), **change}

    refused = await http.post("/v1/payment_intents", {name: value for name, value in form.items() if value})

    assert (refused.status, refused.error["param"]) == (400, param)


@pytest.mark.parametrize(("currency", "type_"), [("gbp", "gb_bank_transfer"), ("usd", "us_bank_transfer")])
async def test_pounds_and_dollars_are_transferred_too(http: "Http", currency: str, type_: str) -> None:
    """Each currency has its kind of transfer and of address."""
    customer = await _customer(http)
    form = {name: value for name, value in FORM.items() if "eu_bank" not in name and "eu_bank" not in value}
    form |= {"currency": currency, "customer": customer, f"{OPTIONS}[bank_transfer][type]": type_}
    asked = (await http.post("/v1/payment_intents", form)).body
    funded = (await _fund(http, customer, 5000, currency)).body

    assert (_instructions(asked)["type"], funded["funded"]["bank_transfer"]["type"]) == (type_, type_)
    assert (await http.get(f"/v1/payment_intents/{asked['id']}")).body["status"] == "succeeded"


@pytest.mark.parametrize(
    ("amount", "currency", "param"), [(0, "eur", "amount"), (5, "chf", "currency"), (5, "xxx", "currency")]
)
async def test_what_is_no_transfer_is_refused(http: "Http", amount: int, currency: str, param: str) -> None:
    """Nothing, and money that does not arrive by bank transfer."""
    refused = await _fund(http, await _customer(http), amount, currency)

    assert (refused.status, refused.error["param"]) == (400, param)


async def test_transfers_are_told_to_endpoints(
    sdk: stripe.StripeClient, http: "Http", server: "Server", receiver: "Receiver"
) -> None:
    """Each event of a transfer arrives in the shape that Stripe's file gives it, and the SDK reads the balance."""
    await sdk.webhook_endpoints.create_async({"url": receiver.url, "enabled_events": ["*"]})
    customer = await _customer(http)
    asked = await _pay(http, customer)
    await _fund(http, customer, 5001)
    balance = await sdk.customers.cash_balance.retrieve_async(customer)
    await server.sandbox.settle()

    assert balance.available == {"eur": 1}
    assert len(receiver.received) == len(await http.event_types()) == 8
    assert (await sdk.payment_intents.retrieve_async(asked["id"])).status == "succeeded"


async def _returned(http: "Http", owner: str, **more: str) -> "Reply":
    form = {
        "origin": "customer_balance",
        "customer": owner,
        "amount": "600",
        "currency": "eur",
        "instructions_email": "ada@shop.example",
        **more,
    }
    return await http.post("/v1/refunds", {name: value for name, value in form.items() if value})


async def test_a_cash_balance_goes_back_once_the_customer_says_where(http: "Http") -> None:
    """Such a refund waits for the customer: it can be canceled, it can expire, and then the money is there again."""
    customer = await _customer(http)
    await _fund(http, customer, 2000)
    waiting, other, third = [(await _returned(http, customer)).body for _ in range(3)]
    held = await _available(http, customer)
    canceled = (await http.post(f"/v1/refunds/{waiting['id']}/cancel")).body
    expired = (await http.post(f"/v1/test_helpers/refunds/{other['id']}/expire")).body
    await http.advance(45 * 86_400)
    forgotten = (await http.get(f"/v1/refunds/{third['id']}")).body
    again = [
        (await http.post(path)).status
        for path in (f"/v1/refunds/{waiting['id']}/cancel", f"/v1/test_helpers/refunds/{other['id']}/expire")
    ]

    assert (waiting["status"], waiting["next_action"]["type"], waiting["charge"]) == (
        "requires_action",
        "display_details",
        None,
    )
    assert [canceled["status"], expired["status"], forgotten["status"]] == ["canceled", "failed", "failed"]
    assert (held, await _available(http, customer), again) == ({"eur": 200}, {"eur": 2000}, [400, 400])
    assert (await http.event_types())[-2:] == ["refund.updated", "refund.failed"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"amount": "5000"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"currency": "usd"}, "amount"),
        ({"instructions_email": ""}, "instructions_email"),
        ({"customer": "cus_nobody"}, "customer"),
        ({"charge": "ch_1"}, "charge"),
        ({"origin": ""}, "currency"),
    ],
)
async def test_what_no_cash_balance_can_return_is_refused(http: "Http", change: dict[str, str], param: str) -> None:
    """More than is there, without an address to ask, and what belongs to the other kind of refund."""
    customer = await _customer(http)
    await _fund(http, customer, 700)

    refused = await _returned(http, customer, **change)

    assert (refused.status, refused.error["param"]) == (400, param)
    assert await _available(http, customer) == {"eur": 700}
