"""Money on its way back: refunds, refunds that fail later, and the parts of a hold that are let go.

Source: https://docs.stripe.com/refunds and /testing#refunds. `refund.created`, `.updated` and `.failed` came with
2024-10-28 (https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update). A new type of event is no
breaking change, so endpoints of this version hear them too, beside `charge.refunded` and `charge.refund.updated`.
"""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox import cash
from stripe_sandbox.account import TIME, Account, Cause
from stripe_sandbox.catalogue import DAY_SECONDS, BankDebit, Card, RefundCourse
from stripe_sandbox.records import Object
from stripe_sandbox.resources import balance_transactions, payment_methods
from stripe_sandbox.schedule import due

TURNS_SECONDS: Final = DAY_SECONDS
"""When a card's refund that pends succeeds, and one that fails later fails. Stripe says only "some time later"."""

DEBIT_REFUND_SECONDS: Final = 4 * DAY_SECONDS
"""A refund of a bank debit is a transfer of its own, as slow as the debit was."""

REFERENCE_SECONDS: Final = 3600
"""When the card network's reference number of a refund is known: a first `charge.refund.updated` for most."""

EXPIRED: Final[Mapping[str, Any]] = {"reason": "expired_uncaptured_charge"}
"""Why a hold went that nobody captured."""

ANSWERED_SECONDS: Final = 45 * DAY_SECONDS
"""How long a customer may take to say where a refund should go (https://docs.stripe.com/refunds)."""

REFERENCE_DIGITS: Final = 23
"""Of an acquirer reference number."""


def refund(account: Account, charge: Object, amount: int, wish: Mapping[str, Any], cause: Cause) -> Object:
    """Gives back part of a captured charge; how much is left was checked before.

    Args:
        account: whose charge it is.
        charge: as it is now.
        amount: in minor units.
        wish: `reason` and `metadata`, each if it was sent.
        cause: the request.
    """
    course = _course(account, charge)
    made = _blank(account, charge, amount, wish)
    made["status"] = "pending" if course is RefundCourse.PENDS else "succeeded"
    made["balance_transaction"] = balance_transactions.record_refund(account, made, charge)["id"]
    account.refunds.put(made)
    _tell_refunded(account, charge, amount, cause)
    account.emit("refund.created", made, cause)
    if charge["payment_method_details"]["type"] == "customer_balance":
        purse = (charge["customer"], charge["currency"])
        cash.move(account, purse, amount, "refunded_from_payment", {"refund": made["id"]}, cause)
    later = DEBIT_REFUND_SECONDS if charge["payment_method_details"]["type"] != "card" else TURNS_SECONDS
    if course is RefundCourse.PENDS:
        account.schedule.after(later, _succeed, account, made["id"])
    elif course is RefundCourse.FAILS_LATER:
        account.schedule.after(later, fail, account, made["id"], "expired_or_canceled_card")
    elif "card" in made.get("destination_details", {}):
        account.schedule.after(REFERENCE_SECONDS, _refer, account, made["id"])
    return made


def give_back(account: Account, purse: cash.Purse, amount: int, wish: Mapping[str, Any], cause: Cause) -> Object:
    """Sends what is left on a customer's cash balance back to their bank, once they have said where that is.

    Stripe asks them by e-mail at `wish["instructions_email"]`; here nobody answers, so it stays open until it is
    canceled or expires (https://docs.stripe.com/payments/customer-balance/refunding).
    """
    now = account.clock.stamp()
    address = wish["instructions_email"]
    made = account.refunds.put(
        {
            "id": account.ids.new("pyr"),
            "object": "refund",
            "amount": amount,
            "balance_transaction": None,
            "charge": None,
            "created": now,
            "currency": purse[1],
            "instructions_email": address,
            "metadata": wish.get("metadata", {}),
            "next_action": {
                "display_details": {
                    "email_sent": {"email_sent_at": now, "email_sent_to": address},
                    "expires_at": now + ANSWERED_SECONDS,
                },
                "type": "display_details",
            },
            "payment_intent": None,
            "reason": wish.get("reason"),
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "requires_action",
            "transfer_reversal": None,
        }
    )
    account.purses[made["id"]] = purse
    cash.move(account, purse, -amount, "return_initiated", {}, cause)
    account.emit("refund.created", made, cause)
    account.schedule.after(ANSWERED_SECONDS, _forget, account, made["id"])
    return made


def stop(account: Account, refund: Object, cause: Cause) -> Object:
    """Cancels a refund that waits for the customer; the money is on their balance again."""
    cash.move(account, account.purses[refund["id"]], refund["amount"], "return_canceled", {}, cause)
    return update(account, _answered(refund), {"status": "canceled"}, cause)


def expire(account: Account, refund: Object, cause: Cause) -> Object:
    """Fails a refund whose customer never said where the money should go; it is on their balance again."""
    cash.move(account, account.purses[refund["id"]], refund["amount"], "return_canceled", {}, cause)
    failed = update(account, _answered(refund), {"failure_reason": "unknown", "status": "failed"}, cause)
    account.emit("refund.failed", failed, cause)
    return failed


@due
def _forget(account: Account, refund_id: str) -> None:
    refund = account.refunds[refund_id]
    if refund["status"] == "requires_action":
        expire(account, refund, TIME)


def _answered(refund: Object) -> Object:
    return {name: value for name, value in refund.items() if name != "next_action"}


def let_go(account: Account, charge: Object, amount: int, wish: Mapping[str, Any]) -> Object:
    """Records that so much of a hold was never taken.

    Stripe shows it as a refund without a balance transaction; the charge's own totals are its caller's.
    """
    made = _blank(account, charge, amount, wish)
    made |= {"balance_transaction": None, "status": "succeeded"}
    if "card" in made.get("destination_details", {}):
        made["destination_details"] = {"card": {"type": "reversal"}, "type": "card"}
    return account.refunds.put(made)


def release(account: Account, charge: Object, wish: Mapping[str, Any], event_type: str, cause: Cause) -> Object:
    """Lets a whole hold go: its refund is recorded, its charge changed, and that told as `event_type`."""
    refund = let_go(account, charge, charge["amount"], wish)
    changed = {"amount_refunded": charge["amount"], "refunded": True}
    previous = {name: charge[name] for name in changed}
    account.emit(event_type, account.charges.put({**charge, **changed}), cause, previous)
    return refund


@due
def fail(account: Account, refund_id: str, reason: str) -> None:
    """Ends a refund that did not arrive; its amount can be refunded again."""
    before = account.refunds[refund_id]
    charge = account.charges[before["charge"]]
    transaction = balance_transactions.record_refund(account, before, charge, failed=True)
    account.charges.put({**charge, "amount_refunded": charge["amount_refunded"] - before["amount"], "refunded": False})
    changed = {"failure_balance_transaction": transaction["id"], "failure_reason": reason, "status": "failed"}
    failed = update(account, before, changed, TIME)
    account.emit("refund.failed", failed, TIME)


def update(account: Account, before: Object, changed: Mapping[str, Any], cause: Cause) -> Object:
    """Puts changed fields of a refund and tells of them, if there are any."""
    after = account.refunds.put({**before, **changed})
    previous = {name: before.get(name) for name in changed if before.get(name) != changed[name]}
    if previous:
        if after["charge"] is not None:
            account.emit("charge.refund.updated", after, cause, previous)
        account.emit("refund.updated", after, cause, previous)
    return after


def _course(account: Account, charge: Object) -> RefundCourse:
    method = payment_methods.behaviour(account, charge["payment_method"])
    if isinstance(method, Card):
        return method.refund
    return RefundCourse.PENDS if isinstance(method, BankDebit) else RefundCourse.SUCCEEDS


def _tell_refunded(account: Account, charge: Object, amount: int, cause: Cause) -> None:
    total = charge["amount_refunded"] + amount
    changed = {"amount_refunded": total, "refunded": total == charge["amount"]}
    previous = {name: charge[name] for name in changed if charge[name] != changed[name]}
    account.emit("charge.refunded", account.charges.put({**charge, **changed}), cause, previous)


def _blank(account: Account, charge: Object, amount: int, wish: Mapping[str, Any]) -> dict[str, Any]:
    card = charge["payment_method_details"]["type"] == "card"
    made: dict[str, Any] = {
        "id": account.ids.new("re" if card else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": account.clock.stamp(),
        "currency": charge["currency"],
        "metadata": wish.get("metadata", {}),
        "payment_intent": charge["payment_intent"],
        "reason": wish.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    if card:
        reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
        made["destination_details"] = {"card": reference, "type": "card"}
    return made


@due
def _succeed(account: Account, refund_id: str) -> None:
    before = account.refunds[refund_id]
    update(account, before, {"status": "succeeded"}, TIME)


@due
def _refer(account: Account, refund_id: str) -> None:
    """The network's reference number becomes known; it repeats for the same seed, like every id."""
    before = account.refunds[refund_id]
    details = before["destination_details"]
    digits = "".join(str(ord(character) % 10) for character in account.ids.text(REFERENCE_DIGITS))
    card = {**details["card"], "reference": digits, "reference_status": "available"}
    update(account, before, {"destination_details": {**details, "card": card}}, TIME)
