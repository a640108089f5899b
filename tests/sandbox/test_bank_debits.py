from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Reply

DAY = 86_400
ACCEPTED = {
    "mandate_data[customer_acceptance][type]": "online",
    "mandate_data[customer_acceptance][online][ip_address]": "192.0.2.7",
    "mandate_data[customer_acceptance][online][user_agent]": "a browser",
}


async def _debit(http: "Http", method: str, *, accepted: bool = True, **more: str) -> "Reply":
    type_, currency = ("us_bank_account", "usd") if "usBank" in method else ("sepa_debit", "eur")
    form = {
        "amount": "5000",
        "currency": currency,
        "payment_method": method,
        "payment_method_types[]": type_,
        "confirm": "true",
        **(ACCEPTED if accepted else {}),
        **more,
    }
    return await http.post("/v1/payment_intents", form)


@pytest.mark.parametrize("method", ["pm_usBankAccount_success", "pm_sepaDebit_success_de"])
async def test_a_debit_settles_after_days(http: "Http", method: str) -> None:
    """A bank debit is processing for days of the sandbox's clock, and then money."""
    started = await _debit(http, method)
    await http.advance(3 * DAY - 1)
    before = (await http.get(f"/v1/payment_intents/{started.body['id']}")).body["status"]
    await http.advance(1)
    after = (await http.get(f"/v1/payment_intents/{started.body['id']}")).body

    assert [started.body["status"], before, after["status"]] == ["processing", "processing", "succeeded"]
    assert (5000, started.body["latest_charge"]) == (after["amount_received"], after["latest_charge"])
    assert after["latest_charge"].startswith("py_")
    assert await http.event_types() == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


@pytest.mark.parametrize(
    ("method", "code", "days"),
    [
        ("pm_usBankAccount_insufficientFunds", "insufficient_funds", 3),
        ("pm_usBankAccount_accountClosed", "account_closed", 3),
        ("pm_usBankAccount_noAccount", "no_account", 3),
        ("pm_usBankAccount_debitNotAuthorized", "debit_not_authorized", 3),
        ("pm_sepaDebit_failed_de", "debit_not_authorized", 3),
        ("pm_sepaDebit_failedDelayed_at", "debit_not_authorized", 6),
    ],
)
async def test_a_debit_bounces_after_days(http: "Http", method: str, code: str, days: int) -> None:
    """A debit that the bank returns fails late, on the charge that was pending."""
    started = await _debit(http, method)
    await http.advance(days * DAY)

    intent = (await http.get(f"/v1/payment_intents/{started.body['id']}")).body
    charge = (await http.get(f"/v1/charges/{started.body['latest_charge']}")).body
    assert ("requires_payment_method", code) == (intent["status"], intent["last_payment_error"]["code"])
    assert ("failed", code) == (charge["status"], charge["failure_code"])
    assert (await http.event_types())[-2:] == ["charge.failed", "payment_intent.payment_failed"]


async def test_a_debit_that_never_settles_can_be_canceled(http: "Http") -> None:
    """The account that stays in processing for ever is there to test cancellation; others refuse it."""
    stuck = await _debit(http, "pm_usBankAccount_processing")
    other = await _debit(http, "pm_usBankAccount_success")
    await http.advance(3 * DAY)

    canceled = await http.post(f"/v1/payment_intents/{stuck.body['id']}/cancel")
    refused = await http.post(f"/v1/payment_intents/{other.body['id']}/cancel")

    assert (canceled.status, canceled.body["status"]) == (200, "canceled")
    assert (refused.status, refused.error["code"]) == (400, "payment_intent_unexpected_state")


async def test_a_debit_needs_a_mandate(http: "Http") -> None:
    """Without the customer's acceptance nothing is debited; with it, a mandate can be retrieved and used again."""
    refused = await _debit(http, "pm_usBankAccount_success", accepted=False)
    started = await _debit(http, "pm_usBankAccount_success")
    charge = (await http.get(f"/v1/charges/{started.body['latest_charge']}")).body
    mandate_id = charge["payment_method_details"]["us_bank_account"]["mandate"]

    mandate = (await http.get(f"/v1/mandates/{mandate_id}")).body
    again = await _debit(http, "pm_usBankAccount_success", accepted=False, mandate=mandate_id)

    assert (refused.status, refused.error["param"]) == (400, "mandate_data")
    assert (mandate["status"], mandate["customer_acceptance"]["online"]["ip_address"]) == ("active", "192.0.2.7")
    assert again.body["status"] == "processing"


async def test_a_debit_has_its_currency(http: "Http") -> None:
    """ACH takes dollars, SEPA euros, and neither can hold money."""
    wrong = await _debit(http, "pm_usBankAccount_success", currency="eur")
    manual = await _debit(http, "pm_sepaDebit_success_fr", capture_method="manual")

    assert (wrong.status, wrong.error["param"]) == (400, "currency")
    assert (manual.status, manual.error["param"]) == (400, "capture_method")


async def test_what_a_debit_costs(http: "Http") -> None:
    """0.8 % up to 5.00, and the rest is available two days later."""
    started = await _debit(http, "pm_usBankAccount_success", amount="10000")
    await http.advance(3 * DAY)
    charge = (await http.get(f"/v1/charges/{started.body['latest_charge']}")).body
    path = f"/v1/balance_transactions/{charge['balance_transaction']}"
    pending = (await http.get(path)).body
    await http.advance(2 * DAY)
    available = (await http.get(path)).body

    assert (pending["fee"], pending["net"], pending["type"]) == (80, 9920, "payment")
    assert [pending["status"], available["status"]] == ["pending", "available"]
