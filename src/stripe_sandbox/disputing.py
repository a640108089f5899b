"""Disputes: the customer's bank takes the money back, and the merchant answers or does not.

Source: https://docs.stripe.com/disputes/how-disputes-work, /disputes/api and /testing#disputes. Debits:
/payments/ach-direct-debit and /payments/sepa-debit, whose disputes are final.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from stripe_sandbox.account import TIME, Account, Cause
from stripe_sandbox.catalogue import DAY_SECONDS, Complaint
from stripe_sandbox.records import Object
from stripe_sandbox.resources import balance_transactions, payment_methods
from stripe_sandbox.schedule import due

COMPLAINS_SECONDS: Final = 1.0
"""How long after a payment its test method disputes it; Stripe says "immediately", and the answer does not know yet."""

ANSWER_SECONDS: Final = 9 * DAY_SECONDS
"""How long the merchant may answer; networks give between seven and twenty-one days."""

EVIDENCE: Final = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip

OPEN: Final = ("needs_response", "warning_needs_response")
"""What can still be answered."""


class Evidence(Enum):
    """What decides a test dispute, as its `uncategorized_text`; any other evidence stays under review."""

    WINNING = "winning_evidence"
    LOSING = "losing_evidence"
    ESCALATING = "escalate_inquiry_evidence"


def expect(account: Account, charge: Object) -> None:
    """Has a payment disputed a moment later, if its test method says so."""
    if payment_methods.behaviour(account, charge["payment_method"]).complaint is not None:
        account.schedule.after(COMPLAINS_SECONDS, complain, account, charge["id"])


@due
def complain(account: Account, charge_id: str) -> None:
    """Opens the dispute that a payment's test method asks for, unless it was refunded or is disputed already."""
    charge = account.charges[charge_id]
    complaint = payment_methods.behaviour(account, charge["payment_method"]).complaint
    if charge["refunded"] or charge["disputed"] or complaint is None:
        return
    dispute = _blank(account, charge, complaint)
    charge = account.charges.put({**charge, "dispute": dispute["id"], "disputed": True})
    if not complaint.inquiry:
        dispute["balance_transactions"] = [balance_transactions.record_dispute(account, dispute, charge)]
    account.emit("charge.dispute.created", account.disputes.put(dispute), TIME)
    if not complaint.inquiry:
        account.emit("charge.dispute.funds_withdrawn", dispute, TIME)
    if complaint.final:
        account.emit("charge.dispute.closed", dispute, TIME)
    else:
        account.schedule.after(ANSWER_SECONDS, _pass, account, dispute["id"])


def answer(account: Account, before: Object, changed: Mapping[str, Any], cause: Cause, *, submitted: bool) -> Object:
    """Puts evidence or metadata; submitted evidence goes to the bank, and the test texts decide at once."""
    wanted = {**before, **changed}
    if submitted:
        details = before["evidence_details"]
        wanted["evidence_details"] = {
            **details,
            "has_evidence": True,
            "submission_count": details["submission_count"] + 1,
        }
        wanted["status"] = "warning_under_review" if before["status"].startswith("warning") else "under_review"
    after = _put(account, before, wanted, cause)
    text = after["evidence"]["uncategorized_text"]
    if not submitted or text not in [member.value for member in Evidence]:
        return after
    match Evidence(text):
        case Evidence.WINNING:
            return win(account, after, cause)
        case Evidence.LOSING:
            return close(account, after, cause)
        case Evidence.ESCALATING:
            return _escalate(account, after, cause) if after["status"].startswith("warning") else after


def win(account: Account, dispute: Object, cause: Cause) -> Object:
    """Ends a dispute for the merchant: what was withdrawn comes back; an inquiry never took anything."""
    if dispute["status"].startswith("warning"):
        return close(account, dispute, cause)
    charge = account.charges[dispute["charge"]]
    back = balance_transactions.record_dispute(account, dispute, charge, won=True)
    won = account.disputes.put(
        {**dispute, "balance_transactions": [*dispute["balance_transactions"], back], "status": "won"}
    )
    account.emit("charge.dispute.closed", won, cause)
    account.emit("charge.dispute.funds_reinstated", won, cause)
    return won


def close(account: Account, dispute: Object, cause: Cause) -> Object:
    """Ends a dispute as lost, an inquiry as closed."""
    status = "warning_closed" if dispute["status"].startswith("warning") else "lost"
    closed = account.disputes.put({**dispute, "status": status})
    account.emit("charge.dispute.closed", closed, cause)
    return closed


def _escalate(account: Account, inquiry: Object, cause: Cause) -> Object:
    """The bank takes the money after all, and asks again."""
    charge = account.charges[inquiry["charge"]]
    card = {**inquiry["payment_method_details"]["card"], "case_type": "chargeback"}
    taken = balance_transactions.record_dispute(account, inquiry, charge)
    after: Object = {
        **inquiry,
        "balance_transactions": [taken],
        "is_charge_refundable": False,
        "payment_method_details": {**inquiry["payment_method_details"], "card": card},
        "status": "needs_response",
    }
    after = _put(account, inquiry, after, cause)
    account.emit("charge.dispute.funds_withdrawn", after, cause)
    return after


def _put(account: Account, before: Object, after: Object, cause: Cause) -> Object:
    previous = {name: before[name] for name in before if before[name] != after[name]}
    account.disputes.put(after)
    if previous:
        account.emit("charge.dispute.updated", after, cause, previous)
    return after


@due
def _pass(account: Account, dispute_id: str) -> None:
    """Time to answer is over: whoever said nothing has lost."""
    dispute = account.disputes[dispute_id]
    if dispute["status"] in OPEN:
        late = {**dispute, "evidence_details": {**dispute["evidence_details"], "past_due": True}}
        close(account, late, TIME)


def _blank(account: Account, charge: Object, complaint: Complaint) -> dict[str, Any]:
    card = charge["payment_method_details"].get("card")
    status = "lost" if complaint.final else "warning_needs_response" if complaint.inquiry else "needs_response"
    dispute: dict[str, Any] = {
        "id": account.ids.new("dp" if card else "du"),
        "object": "dispute",
        "amount": charge["amount"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": account.clock.stamp(),
        "currency": charge["currency"],
        "evidence": dict.fromkeys(EVIDENCE),
        "evidence_details": {
            "due_by": None if complaint.final else account.clock.stamp() + ANSWER_SECONDS,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": complaint.inquiry,
        "livemode": account.livemode,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": complaint.reason,
        "status": status,
    }
    if card:
        case = {
            "brand": card["brand"],
            "case_type": "inquiry" if complaint.inquiry else "chargeback",
            "network_reason_code": complaint.network_code,
        }
        dispute["payment_method_details"] = {"card": case, "type": "card"}
    return dispute
