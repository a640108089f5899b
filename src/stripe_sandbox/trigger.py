"""`trigger EVENT`: makes what is needed for an event of that type to happen, through the API's own operations."""

from collections.abc import Callable, Mapping
from typing import Final

from stripe_sandbox import attempts, disputing, refunding
from stripe_sandbox.account import TIME, Account, Cause
from stripe_sandbox.api import routed
from stripe_sandbox.calls import Call
from stripe_sandbox.errors import RefusedError
from stripe_sandbox.form import Raw
from stripe_sandbox.records import Object

INTENTS: Final = "/v1/payment_intents"


class Steps:
    """What recipes are written with.

    Args:
        account: where the objects are made.
        base_url: where the sandbox is found, for addresses in objects.
    """

    def __init__(self, account: Account, base_url: str) -> None:
        self.account = account
        self._base_url = base_url

    def post(self, url: str, **params: Raw) -> Object:
        """Does what a POST to that address would.

        Raises:
            RefusedError: as the API would.
        """
        operation, names = routed("POST", url)
        raw = {name: value for name, value in params.items() if value}
        read = operation.parameters.read(raw)
        operation.check(read)
        return operation.run(Call(self.account, Cause(), read, names, self._base_url, url))

    def pay(self, method: str = "pm_card_visa", **more: Raw) -> Object:
        """Creates and confirms a PaymentIntent of 20.00 USD; a card's decline is an outcome.

        Returns:
            the PaymentIntent as it is then.
        """
        form: dict[str, Raw] = {
            "amount": "2000",
            "currency": "usd",
            "payment_method": method,
            "payment_method_types": {"0": "card"},
            "confirm": "true",
            "description": "Made by a trigger",
            **more,
        }
        try:
            return self.post(INTENTS, **form)
        except RefusedError as declined:
            intent: Object = declined.fields["payment_intent"]
            return intent

    def debit(self, method: str = "pm_usBankAccount_success") -> Object:
        """As `pay`, from a bank account."""
        acceptance: dict[str, Raw] = {"customer_acceptance": {"type": "offline"}}
        return self.pay(method, payment_method_types={"0": "us_bank_account"}, mandate_data=acceptance)

    def hold(self) -> Object:
        """As `pay`, but only holds the money."""
        return self.pay(capture_method="manual")


def _attached(steps: Steps) -> Object:
    customer = steps.post("/v1/customers", description="Made by a trigger")
    return steps.post("/v1/payment_methods/pm_card_visa/attach", customer=customer["id"])


def _expired(steps: Steps) -> None:
    attempts.cancel(steps.account, steps.hold(), "automatic", TIME)


def _funded(steps: Steps, *, asked: bool) -> Object:
    """A transfer arrives at a customer's, who has a larger payment to make or none."""
    customer = steps.post("/v1/customers", description="Made by a trigger")["id"]
    if asked:
        steps.pay(
            "",
            customer=customer,
            payment_method_types={"0": "customer_balance"},
            payment_method_data={"type": "customer_balance"},
            payment_method_options={
                "customer_balance": {"funding_type": "bank_transfer", "bank_transfer": {"type": "us_bank_transfer"}}
            },
        )
    return steps.post(f"/v1/test_helpers/customers/{customer}/fund_cash_balance", amount="1000", currency="usd")


def _refund(steps: Steps) -> Object:
    return steps.post("/v1/refunds", payment_intent=steps.pay()["id"])


def _disputed(steps: Steps) -> Object:
    charge_id = steps.pay("pm_card_createDispute")["latest_charge"]
    disputing.complain(steps.account, charge_id)
    return steps.account.disputes[steps.account.charges[charge_id]["dispute"]]


def _answered(steps: Steps, evidence: str) -> Object:
    return steps.post(
        f"/v1/disputes/{_disputed(steps)['id']}", evidence={"uncategorized_text": evidence}, submit="true"
    )


def _failed_refund(steps: Steps) -> None:
    refunding.fail(steps.account, _refund(steps)["id"], "expired_or_canceled_card")


def _updated_refund(steps: Steps) -> Object:
    return steps.post(f"/v1/refunds/{_refund(steps)['id']}", metadata={"by": "a trigger"})


RECIPES: Final[Mapping[str, Callable[[Steps], object]]] = {
    "cash_balance.funds_available": lambda steps: _funded(steps, asked=False),
    "charge.captured": lambda steps: steps.post(f"{INTENTS}/{steps.hold()['id']}/capture"),
    "charge.dispute.closed": lambda steps: steps.post(f"/v1/disputes/{_disputed(steps)['id']}/close"),
    "charge.dispute.created": _disputed,
    "charge.dispute.funds_reinstated": lambda steps: _answered(steps, "winning_evidence"),
    "charge.dispute.funds_withdrawn": _disputed,
    "charge.dispute.updated": lambda steps: _answered(steps, "Delivered."),
    "charge.expired": _expired,
    "charge.failed": lambda steps: steps.pay("pm_card_chargeDeclined"),
    "charge.pending": lambda steps: steps.debit(),
    "charge.refund.updated": _updated_refund,
    "charge.refunded": _refund,
    "charge.succeeded": lambda steps: steps.pay(capture_method="automatic"),
    "charge.updated": lambda steps: steps.post(f"/v1/charges/{steps.pay()['latest_charge']}", description="Updated"),
    "customer.created": lambda steps: steps.post("/v1/customers", description="Made by a trigger"),
    "customer.source.created": lambda steps: steps.post(
        f"/v1/customers/{steps.post('/v1/customers')['id']}/sources", source="tok_visa"
    ),
    "customer.updated": lambda steps: steps.post(
        f"/v1/customers/{steps.post('/v1/customers')['id']}", description="Updated by a trigger"
    ),
    "customer_cash_balance_transaction.created": lambda steps: _funded(steps, asked=False),
    "payment_intent.amount_capturable_updated": lambda steps: steps.hold(),
    "payment_intent.canceled": lambda steps: steps.post(
        f"{INTENTS}/{steps.post(INTENTS, amount='2000', currency='usd')['id']}/cancel"
    ),
    "payment_intent.created": lambda steps: steps.post(INTENTS, amount="2000", currency="usd"),
    "payment_intent.partially_funded": lambda steps: _funded(steps, asked=True),
    "payment_intent.payment_failed": lambda steps: steps.pay("pm_card_chargeDeclined"),
    "payment_intent.processing": lambda steps: steps.debit(),
    "payment_intent.requires_action": lambda steps: steps.pay("pm_card_threeDSecure2Required"),
    "payment_intent.succeeded": lambda steps: steps.pay(),
    "payment_method.attached": _attached,
    "payment_method.detached": lambda steps: steps.post(f"/v1/payment_methods/{_attached(steps)['id']}/detach"),
    "refund.created": _refund,
    "refund.failed": _failed_refund,
    "refund.updated": _updated_refund,
}
"""By event type, what makes one."""


def trigger(account: Account, type_: str, base_url: str) -> list[Object]:
    """Makes an event of that type, and whatever events come before and with it.

    Returns:
        all of them, oldest first.

    Raises:
        KeyError: the sandbox knows no such event.
    """
    recipe = RECIPES[type_]
    before = len(account.events)
    recipe(Steps(account, base_url))
    return list(account.events)[before:]
