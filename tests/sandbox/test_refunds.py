from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver

    from stripe_sandbox.sandbox import Server

DAY = 86_400
BOOKED = {"capture_method": "automatic"}


async def _paid(http: "Http", method: str = "pm_card_visa", **more: str) -> Any:
    return (await http.pay(method, **{**BOOKED, **more})).body


async def _charge(http: "Http", intent: Any) -> Any:
    return (await http.get(f"/v1/charges/{intent['latest_charge']}")).body


async def test_a_payment_is_refunded_whole(sdk: stripe.StripeClient, http: "Http") -> None:
    """Without an amount the whole charge goes back, and the balance loses it without the fee's return."""
    intent = await _paid(http)
    refund = await sdk.refunds.create_async(
        {
            "payment_intent": intent["id"],
            "reason": "requested_by_customer",
            "metadata": {"ticket": "7"},
            "expand": ["balance_transaction", "charge"],
        }
    )

    assert (refund.status, refund.amount, refund.reason, refund.metadata) == (
        "succeeded",
        1999,
        "requested_by_customer",
        {"ticket": "7"},
    )
    assert isinstance(refund.charge, stripe.Charge)
    assert isinstance(refund.balance_transaction, stripe.BalanceTransaction)
    assert (refund.charge.id, refund.payment_intent) == (intent["latest_charge"], intent["id"])
    assert (refund.charge.amount_refunded, refund.charge.refunded, refund.charge.amount_captured) == (1999, True, 1999)
    entry = refund.balance_transaction
    assert (entry.amount, entry.fee, entry.net, entry.type, entry.source) == (-1999, 0, -1999, "refund", refund.id)
    assert (await http.event_types())[-2:] == ["charge.refunded", "refund.created"]


async def test_a_payment_is_refunded_in_parts(http: "Http") -> None:
    """Parts add up on the charge until nothing is left; the PaymentIntent stays as it was."""
    intent = await _paid(http)
    parts = [
        (await http.post("/v1/refunds", {"charge": intent["latest_charge"], "amount": amount})).body
        for amount in ("500", "1")
    ]
    between = await _charge(http, intent)
    rest = (await http.post("/v1/refunds", {"charge": intent["latest_charge"]})).body
    after = await _charge(http, intent)

    assert [refund["amount"] for refund in (*parts, rest)] == [500, 1, 1498]
    assert (between["amount_refunded"], between["refunded"]) == (501, False)
    assert (after["amount_refunded"], after["refunded"]) == (1999, True)
    assert (await http.get(f"/v1/payment_intents/{intent['id']}")).body == intent


async def test_refunds_are_listed_and_read(sdk: stripe.StripeClient, http: "Http") -> None:
    """By charge, by PaymentIntent, as part of the charge, and one by one."""
    one, other = await _paid(http), await _paid(http)
    first = await sdk.refunds.create_async({"payment_intent": one["id"], "amount": 5})
    second = await sdk.refunds.create_async({"payment_intent": one["id"]})
    third = await sdk.refunds.create_async({"charge": other["latest_charge"]})

    by_intent = await sdk.refunds.list_async({"payment_intent": one["id"]})
    by_charge = await sdk.refunds.list_async({"charge": other["latest_charge"]})
    everything = await sdk.refunds.list_async({"limit": 2})
    expanded = (await http.get(f"/v1/charges/{one['latest_charge']}?expand[]=refunds.data.balance_transaction")).body
    beneath = (await http.get(f"/v1/charges/{one['latest_charge']}/refunds/{first.id}")).body

    assert [second.id, first.id] == [refund.id for refund in by_intent.data]
    assert [third.id] == [refund.id for refund in by_charge.data]
    assert ([third.id, second.id], True) == ([refund.id for refund in everything.data], everything.has_more)
    assert [second.id, first.id] == [refund["id"] for refund in expanded["refunds"]["data"]]
    assert expanded["refunds"]["data"][1]["balance_transaction"]["amount"] == -5
    assert (await sdk.refunds.retrieve_async(first.id)).amount == beneath["amount"] == 5
    assert (await http.get(f"/v1/charges/{other['latest_charge']}/refunds/{first.id}")).status == 404


async def test_what_cannot_be_refunded_is_refused(http: "Http") -> None:
    """Twice, too much, nothing, a decline, and what is not there."""
    intent = await _paid(http)
    charge = intent["latest_charge"]
    declined = (await http.pay("pm_card_chargeDeclined")).error["charge"]
    unpaid = (await http.post("/v1/payment_intents", "amount=500&currency=eur&payment_method_types[]=card")).body["id"]
    tried = {
        "too much": await http.post("/v1/refunds", {"charge": charge, "amount": "2000"}),
        "nothing": await http.post("/v1/refunds", {"charge": charge, "amount": "0"}),
        "of nothing": await http.post("/v1/refunds", {"amount": "5"}),
        "unknown charge": await http.post("/v1/refunds", {"charge": "ch_nothing"}),
        "unknown intent": await http.post("/v1/refunds", {"payment_intent": "pi_nothing"}),
        "declined": await http.post("/v1/refunds", {"charge": declined}),
        "unpaid": await http.post("/v1/refunds", {"payment_intent": unpaid}),
        "not its charge": await http.post("/v1/refunds", {"payment_intent": intent["id"], "charge": declined}),
        "odd reason": await http.post("/v1/refunds", {"charge": charge, "reason": "expired_uncaptured_charge"}),
    }
    await http.post("/v1/refunds", {"charge": charge})
    tried["twice"] = await http.post("/v1/refunds", {"charge": charge, "amount": "1"})

    expected = {
        "too much": (400, None, "amount"),
        "nothing": (400, "parameter_invalid_integer", "amount"),
        "of nothing": (400, None, "charge"),
        "unknown charge": (400, "resource_missing", "charge"),
        "unknown intent": (400, "resource_missing", "payment_intent"),
        "declined": (400, "charge_not_refundable", "charge"),
        "unpaid": (400, None, "payment_intent"),
        "not its charge": (400, None, "charge"),
        "odd reason": (400, None, "reason"),
        "twice": (400, "charge_already_refunded", "charge"),
    }
    assert expected == {
        name: (reply.status, reply.error.get("code"), reply.error.get("param")) for name, reply in tried.items()
    }
    assert len((await http.get("/v1/refunds")).body["data"]) == 1


async def test_refunding_a_hold_lets_it_go(http: "Http") -> None:
    """What was never captured is released whole, without a transaction, and its PaymentIntent is over."""
    intent = await _paid(http, capture_method="manual")
    part = await http.post("/v1/refunds", {"charge": intent["latest_charge"], "amount": "5"})
    whole = (await http.post("/v1/refunds", {"payment_intent": intent["id"], "reason": "duplicate"})).body
    after = (await http.get(f"/v1/payment_intents/{intent['id']}")).body
    charge = await _charge(http, intent)

    assert (part.status, part.error["param"]) == (400, "amount")
    assert (whole["status"], whole["amount"], whole["reason"]) == ("succeeded", 1999, "duplicate")
    assert (whole["balance_transaction"], whole["destination_details"]["card"]["type"]) == (None, "reversal")
    assert (after["status"], after["amount_capturable"]) == ("canceled", 0)
    assert (charge["refunded"], charge["amount_refunded"], charge["captured"]) == (True, 1999, False)


async def test_what_is_let_go_shows_as_a_refund_that_took_nothing(http: "Http") -> None:
    """The uncaptured rest, a canceled hold and an expired one: each is a refund without a balance transaction."""
    partly = await _paid(http, capture_method="manual")
    await http.post(f"/v1/payment_intents/{partly['id']}/capture", {"amount_to_capture": "1500"})
    canceled = await _paid(http, capture_method="manual")
    await http.post(f"/v1/payment_intents/{canceled['id']}/cancel")
    expired = await _paid(http, capture_method="manual")
    await http.advance(7 * DAY)
    listed = (await http.get("/v1/refunds")).body["data"]
    rest = (await http.post("/v1/refunds", {"payment_intent": partly["id"]})).body

    assert [
        (expired["latest_charge"], 1999, "expired_uncaptured_charge"),
        (canceled["latest_charge"], 1999, None),
        (partly["latest_charge"], 499, None),
    ] == [(refund["charge"], refund["amount"], refund["reason"]) for refund in listed]
    assert {None} == {refund["balance_transaction"] for refund in listed}
    assert rest["amount"] == 1500


async def test_a_refund_can_fail_later(http: "Http") -> None:
    """It looks done, fails a day later, gives the balance its money back, and the charge can be refunded again."""
    intent = await _paid(http, "pm_card_refundFail")
    refund = (await http.post("/v1/refunds", {"payment_intent": intent["id"]})).body
    await http.advance(DAY)
    failed = (await http.get(f"/v1/refunds/{refund['id']}?expand[]=failure_balance_transaction")).body
    charge = await _charge(http, intent)
    again = await http.post("/v1/refunds", {"payment_intent": intent["id"], "amount": "10"})

    assert [refund["status"], failed["status"]] == ["succeeded", "failed"]
    assert failed["failure_reason"] == "expired_or_canceled_card"
    back = failed["failure_balance_transaction"]
    assert (back["amount"], back["type"], back["source"]) == (1999, "refund_failure", refund["id"])
    assert (charge["amount_refunded"], charge["refunded"], again.status) == (0, False, 200)
    assert (await http.event_types())[-5:-2] == ["charge.refund.updated", "refund.updated", "refund.failed"]


async def test_a_refund_can_take_its_time(http: "Http") -> None:
    """A refund that pends counts on the charge at once, and tells when it has arrived."""
    intent = await _paid(http, "pm_card_pendingRefund")
    refund = (await http.post("/v1/refunds", {"payment_intent": intent["id"], "amount": "700"})).body
    counted = (await _charge(http, intent))["amount_refunded"]
    await http.advance(DAY)
    done = (await http.get(f"/v1/refunds/{refund['id']}")).body

    assert [refund["status"], counted, done["status"]] == ["pending", 700, "succeeded"]
    assert (await http.event_types())[-2:] == ["charge.refund.updated", "refund.updated"]


async def test_a_refund_of_a_debit_takes_days(http: "Http") -> None:
    """Money that came from a bank account goes back as slowly, under an id and types of its own."""
    form = {
        "amount": "5000",
        "currency": "usd",
        "payment_method": "pm_usBankAccount_success",
        "payment_method_types[]": "us_bank_account",
        "confirm": "true",
        "mandate_data[customer_acceptance][type]": "offline",
    }
    intent = (await http.post("/v1/payment_intents", form)).body
    early = await http.post("/v1/refunds", {"payment_intent": intent["id"]})
    await http.advance(3 * DAY)
    refund = (await http.post("/v1/refunds", {"payment_intent": intent["id"]})).body
    entry = (await http.get(f"/v1/balance_transactions/{refund['balance_transaction']}?expand[]=source")).body
    await http.advance(4 * DAY)
    done = (await http.get(f"/v1/refunds/{refund['id']}")).body

    assert (early.status, early.error["param"]) == (400, "payment_intent")
    assert [refund["id"][:4], refund["status"], done["status"]] == ["pyr_", "pending", "succeeded"]
    assert (entry["type"], entry["source"]["object"]) == ("payment_refund", "refund")


async def test_a_card_refund_gets_its_reference(http: "Http") -> None:
    """The network's reference number arrives later and is told, as are changes of metadata; no change is not."""
    intent = await _paid(http)
    refund = (await http.post("/v1/refunds", {"payment_intent": intent["id"], "metadata[a]": "1"})).body
    await http.advance(3600)
    referred = (await http.get(f"/v1/refunds/{refund['id']}")).body["destination_details"]["card"]
    events = len(await http.event_types())
    changed = (await http.post(f"/v1/refunds/{refund['id']}", {"metadata[b]": "2"})).body
    await http.post(f"/v1/refunds/{refund['id']}", {"metadata[b]": "2"})

    assert refund["destination_details"]["card"]["reference_status"] == "pending"
    assert (referred["reference_status"], len(referred["reference"])) == ("available", 23)
    assert changed["metadata"] == {"a": "1", "b": "2"}
    assert (await http.event_types())[events:] == ["charge.refund.updated", "refund.updated"]


async def test_a_done_refund_cannot_be_canceled(http: "Http") -> None:
    """Only one that waits for the customer can; cards never do."""
    intent = await _paid(http, "pm_card_pendingRefund")
    refund = (await http.post("/v1/refunds", {"payment_intent": intent["id"]})).body

    refused = await http.post(f"/v1/refunds/{refund['id']}/cancel")

    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("path", ["/v1/refunds/re_1", "/v1/refunds?charge=ch_1", "/v1/refunds?payment_intent=pi_1"])
async def test_an_unknown_refund_is_not_found(http: "Http", path: str) -> None:
    """Neither by its own id nor by that of a charge or PaymentIntent that is not there."""
    assert (await http.get(path)).error["code"] == "resource_missing"


async def test_refunds_are_told_to_endpoints(
    sdk: stripe.StripeClient, http: "Http", server: "Server", receiver: "Receiver"
) -> None:
    """Each event of a refund arrives in the shape that Stripe's file gives it."""
    await sdk.webhook_endpoints.create_async({"url": receiver.url, "enabled_events": ["*"]})
    intent = await _paid(http, "pm_card_refundFail")
    await http.post("/v1/refunds", {"payment_intent": intent["id"]})
    await server.sandbox.advance(DAY)

    assert len(receiver.received) == len(await http.event_types()) == 8
