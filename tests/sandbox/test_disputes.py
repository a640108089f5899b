from typing import TYPE_CHECKING, Any

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver

    from stripe_sandbox.sandbox import Server

DAY = 86_400


async def _disputed(http: "Http", method: str = "pm_card_createDispute") -> Any:
    """The dispute of a fresh payment of 19.99 EUR."""
    intent = (await http.pay(method, capture_method="automatic")).body
    assert intent["status"] == "succeeded"
    await http.advance(1)
    return (await http.get(f"/v1/disputes?payment_intent={intent['id']}")).body["data"][0]


async def _answer(http: "Http", dispute: Any, **evidence: str) -> Any:
    form = {f"evidence[{name}]": value for name, value in evidence.items()}
    return (await http.post(f"/v1/disputes/{dispute['id']}", form)).body


async def test_a_payment_is_disputed(http: "Http") -> None:
    """A moment after success the money and a fee are gone, the charge says so, and the merchant is asked."""
    dispute = await _disputed(http)
    charge = (await http.get(f"/v1/charges/{dispute['charge']}")).body
    entry = dispute["balance_transactions"][0]
    refused = await http.post("/v1/refunds", {"charge": charge["id"]})

    assert (dispute["status"], dispute["reason"], dispute["amount"]) == ("needs_response", "fraudulent", 1999)
    assert (entry["amount"], entry["fee"], entry["net"], entry["type"]) == (-1999, 1500, -3499, "adjustment")
    assert (charge["disputed"], charge["refunded"], charge["status"]) == (True, False, "succeeded")
    assert (refused.status, refused.error["code"]) == (400, "charge_disputed")
    assert (await http.event_types())[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


async def test_winning_evidence_brings_the_money_back(http: "Http") -> None:
    """Stripe's winning text ends the dispute at once, with what was withdrawn and its fee returned."""
    dispute = await _disputed(http, "pm_card_createDisputeProductNotReceived")
    won = await _answer(http, dispute, uncategorized_text="winning_evidence", customer_name="Ada")

    assert (dispute["reason"], won["status"]) == ("product_not_received", "won")
    assert [entry["net"] for entry in won["balance_transactions"]] == [-3499, 3499]
    assert (won["evidence"]["customer_name"], won["evidence_details"]["submission_count"]) == ("Ada", 1)
    assert (await http.event_types())[-3:] == [
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


async def test_losing_evidence_loses(http: "Http") -> None:
    """Stripe's losing text ends the dispute at once, and nothing comes back."""
    lost = await _answer(http, await _disputed(http), uncategorized_text="losing_evidence")

    assert (lost["status"], len(lost["balance_transactions"])) == ("lost", 1)
    assert (await http.event_types())[-2:] == ["charge.dispute.updated", "charge.dispute.closed"]


async def test_other_evidence_stays_under_review(http: "Http") -> None:
    """A draft waits for its submission; what was submitted is with the bank and cannot be changed."""
    dispute = await _disputed(http)
    path = f"/v1/disputes/{dispute['id']}"
    draft = (await http.post(path, {"evidence[product_description]": "A book.", "submit": "false"})).body
    sent = (await http.post(path, {"submit": "true"})).body
    again = await http.post(path, {"evidence[product_description]": "Two books."})
    noted = (await http.post(path, {"metadata[case]": "7"})).body
    closed = await http.post(path + "/close")

    assert (draft["status"], draft["evidence_details"]["submission_count"]) == ("needs_response", 0)
    assert (sent["status"], sent["evidence"]["product_description"]) == ("under_review", "A book.")
    assert (again.status, closed.status) == (400, 400)
    assert (noted["status"], noted["metadata"]) == ("under_review", {"case": "7"})


async def test_an_inquiry_takes_nothing(http: "Http") -> None:
    """An inquiry asks before money moves; the charge can still be refunded."""
    inquiry = await _disputed(http, "pm_card_createDisputeInquiry")
    refunded = await http.post("/v1/refunds", {"charge": inquiry["charge"]})

    assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])
    assert (inquiry["payment_method_details"]["card"]["case_type"], inquiry["is_charge_refundable"]) == (
        "inquiry",
        True,
    )
    assert refunded.status == 200


async def test_an_inquiry_can_escalate(http: "Http") -> None:
    """Stripe's escalating text turns an inquiry into a dispute that takes the money and must be answered."""
    inquiry = await _disputed(http, "pm_card_createDisputeInquiry")
    escalated = await _answer(http, inquiry, uncategorized_text="escalate_inquiry_evidence")
    won = await _answer(http, escalated, uncategorized_text="winning_evidence")

    assert (escalated["status"], escalated["balance_transactions"][0]["amount"]) == ("needs_response", -1999)
    assert (escalated["payment_method_details"]["card"]["case_type"], won["status"]) == ("chargeback", "won")


@pytest.mark.parametrize(
    ("method", "ending"),
    [("pm_card_createDispute", "lost"), ("pm_card_createDisputeInquiry", "warning_closed")],
)
async def test_a_dispute_ends_by_giving_up_or_by_silence(http: "Http", method: str, ending: str) -> None:
    """Closing it gives in at once, saying nothing gives in when the time to answer is over."""
    closed = (await http.post(f"/v1/disputes/{(await _disputed(http, method))['id']}/close")).body
    silent = await _disputed(http, method)
    await http.advance(9 * DAY)
    past = (await http.get(f"/v1/disputes/{silent['id']}")).body

    assert [closed["status"], past["status"]] == [ending, ending]
    assert [closed["evidence_details"]["past_due"], past["evidence_details"]["past_due"]] == [False, True]


@pytest.mark.parametrize(
    ("method", "type_", "currency"),
    [
        ("pm_usBankAccount_dispute", "us_bank_account", "usd"),
        ("pm_sepaDebit_disputed_de", "sepa_debit", "eur"),
    ],
)
async def test_a_debit_that_bounces_after_success_is_a_lost_dispute(
    http: "Http", method: str, type_: str, currency: str
) -> None:
    """The payment succeeds, and then the bank takes it back: nothing can be answered."""
    form = {
        "amount": "5000",
        "currency": currency,
        "payment_method": method,
        "payment_method_types[]": type_,
        "confirm": "true",
        "mandate_data[customer_acceptance][type]": "offline",
    }
    intent = (await http.post("/v1/payment_intents", form)).body
    await http.advance(3 * DAY + 1)
    paid = (await http.get(f"/v1/payment_intents/{intent['id']}")).body
    dispute = (await http.get(f"/v1/disputes?charge={intent['latest_charge']}&expand[]=data.charge")).body["data"][0]
    refused = await http.post(f"/v1/disputes/{dispute['id']}", {"submit": "true"})

    assert (paid["status"], dispute["status"], dispute["charge"]["disputed"]) == ("succeeded", "lost", True)
    assert (dispute["evidence_details"]["due_by"], refused.status) == (None, 400)
    assert (await http.event_types())[-3:] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


async def test_what_was_refunded_in_time_is_not_disputed(http: "Http") -> None:
    """A payment that went back already leaves nothing to dispute; of one that went back in part, the rest."""
    whole = (await http.pay("pm_card_createDispute")).body
    part = (await http.pay("pm_card_createDispute")).body
    await http.post("/v1/refunds", {"payment_intent": whole["id"]})
    await http.post("/v1/refunds", {"payment_intent": part["id"], "amount": "999"})
    await http.advance(1)

    disputes = (await http.get("/v1/disputes")).body["data"]
    assert [(part["id"], 1000)] == [(dispute["payment_intent"], dispute["amount"]) for dispute in disputes]


async def test_a_dispute_is_told_and_read_with_the_sdk(
    sdk: stripe.StripeClient, http: "Http", server: "Server", receiver: "Receiver"
) -> None:
    """Its events reach the endpoint; the SDK reads, lists and answers it."""
    await sdk.webhook_endpoints.create_async({"url": receiver.url, "enabled_events": ["*"]})
    dispute_id = (await _disputed(http))["id"]
    read = await sdk.disputes.retrieve_async(dispute_id)
    won = await sdk.disputes.update_async(dispute_id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    listed = await sdk.disputes.list_async({"charge": str(read.charge)})
    await server.sandbox.settle()

    assert [read.status, won.status, listed.data[0].status] == ["needs_response", "won", "won"]
    assert len(receiver.received) == len(await http.event_types()) == 8


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"evidence[receipt]": "file_1"}, "evidence[receipt]"),
        ({"evidence[colour]": "red"}, "evidence[colour]"),
        ({"submit": "perhaps"}, "submit"),
    ],
)
async def test_odd_evidence_is_refused(http: "Http", form: dict[str, str], param: str) -> None:
    """Files, which the sandbox does not keep, and what Stripe does not know."""
    dispute = await _disputed(http)

    refused = await http.post(f"/v1/disputes/{dispute['id']}", form)

    assert (refused.status, refused.error["param"]) == (400, param)
