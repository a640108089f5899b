"""An order is paid once, and cancelled whatever its payment has come to."""

from datetime import datetime
from typing import Final

from counterfoil.cli.steps import Between
from counterfoil.cli.story import Asking
from counterfoil.cli.tour.stage import Scene, Stage, expect, refunds_are
from counterfoil.domain.money import Money

DEBIT: Final = "pm_sepaDebit_success_de"
DEBIT_DAYS: Final = 3
"""How long a bank debit takes to settle at the sandbox …"""

DEBIT_REFUND_DAYS: Final = 4
"""… and to be given back."""


async def paid_once(stage: Stage, scene: Scene) -> None:
    """A second payment of the order is refused; when the order is cancelled, the first is given back."""
    taken = await stage.charge(scene, "succeeded")
    again = stage.order(scene, order_id=taken.order_id)
    said = f"POST /charge  {taken.order_id} again, under another event id"
    status, body = await stage.story.ask(Asking(said, "/charge", again))
    expect((status, body.get("payment_id")), (422, taken.payment_id), "the order's second payment is answered with")
    await stage.cancel_order(taken.order_id)
    payment = await stage.story.follow(taken, "succeeded", until=refunds_are("processed"))
    expect(payment["amount_refunded"], scene.money.amount, "what was given back is")


async def while_held(stage: Stage, scene: Scene) -> None:
    """What is held for it is let go."""
    taken = await stage.hold(scene)
    await stage.cancel_order(taken.order_id)
    await stage.story.follow(taken, "canceled")


async def while_its_customer_is_asked(stage: Stage, scene: Scene) -> None:
    """The customer's bank waits for a word that nobody needs any more."""
    taken = await stage.charge(scene, "requires_action", payment_method="pm_card_threeDSecure2Required")
    await stage.cancel_order(taken.order_id)
    await stage.story.follow(taken, "canceled")


async def before_it_comes(stage: Stage, scene: Scene) -> None:
    """The cancellation overtakes the order, and is remembered."""
    order = stage.order(scene)
    await stage.cancel_order(order["order_id"])
    taken = await stage.place(order)
    payment = await stage.story.follow(taken, "canceled")
    expect(payment["payment_intent_id"], None, "what Stripe was asked for is")


async def while_a_bank_works(stage: Stage, scene: Scene) -> None:
    """Nobody knows yet whether there is money: it is settled first, and given back then."""
    taken = await stage.charge(scene, "processing", payment_method=DEBIT, mandate=stage.consent())
    await stage.cancel_order(taken.order_id)
    await stage.days_pass(DEBIT_DAYS, "at the bank")
    await stage.story.follow(taken, "succeeded", until=refunds_are("pending"))
    await stage.days_pass(DEBIT_REFUND_DAYS, "at the bank")
    await stage.story.follow(taken, "succeeded", until=refunds_are("processed"))


async def tried_again_by_ourselves(stage: Stage, scene: Scene) -> None:
    """A stored card is declined while its customer is away: another try is planned, until the order is cancelled."""
    stripe_customer = (await stage.sides.at_stripe("customers", {"name": "A customer of the tour"}))["id"]
    path = "payment_methods/pm_card_chargeCustomerFail/attach"
    method = (await stage.at_stripe("a customer stores a card", path, {"customer": stripe_customer}))["id"]
    customer_id = stage.name("customer")
    await stage.sides.link(customer_id, stripe_customer, method)
    order = stage.order(scene, customer_id=customer_id, off_session=True)
    del order["payment_method"]
    taken = await stage.place(order)
    payment = await stage.story.follow(taken, "processing", until=lambda payment: payment["retry_at"] is not None)
    due = datetime.fromisoformat(payment["retry_at"])
    minutes = round((due - datetime.fromisoformat(payment["attempts"][0]["first_sent_at"])).total_seconds() / 60)
    expect(minutes, 10, "the minutes until the next try are")
    stage.story.tell(Between.ON_RECORD, f"tried again at {due.astimezone():%H:%M:%S}, longer than a tour lasts")
    await stage.cancel_order(taken.order_id)
    payment = await stage.story.follow(taken, "failed")
    expect(payment["retry_at"], None, "the next try is")


async def another_method(stage: Stage, scene: Scene) -> None:
    """A card is declined, and its customer pays the same payment with another one."""
    taken = await stage.charge(scene, "failed", payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    asking = Asking(
        "POST /payments/…/payment-method  pm_card_mastercard",
        f"/payments/{taken.payment_id}/payment-method",
        {"payment_method": "pm_card_mastercard"},
        sends=f"{taken.key}:2",
    )
    status, _ = await stage.story.ask(asking)
    expect(status, 200, "another method is answered with")
    payment = await stage.story.follow(taken, "succeeded", until=lambda payment: payment["status"] == "succeeded")
    expect([one["state"] for one in payment["attempts"]], ["declined", "captured"], "its attempts are")


SCENES = (
    Scene("An order is paid once", Money(3200, "EUR"), paid_once),
    Scene("Cancelled while its money is held", Money(2700, "EUR"), while_held),
    Scene("Cancelled while its customer is asked (3-D Secure)", Money(6400, "EUR"), while_its_customer_is_asked),
    Scene("Cancelled before its payment comes", Money(900, "EUR"), before_it_comes),
    Scene("Cancelled while a bank works on it", Money(12000, "EUR"), while_a_bank_works),
)

RETRIES = (
    Scene("A stored card, declined while its customer is away", Money(1100, "EUR"), tried_again_by_ourselves),
    Scene("A declined card, and then another one", Money(2400, "EUR"), another_method),
)
