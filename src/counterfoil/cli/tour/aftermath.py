"""What follows from the end of a payment, and what comes weeks later."""

from typing import Any, Final

from counterfoil.cli.story import Taken
from counterfoil.cli.tour.orders import DEBIT_DAYS
from counterfoil.cli.tour.stage import Payment, Scene, Stage, expect
from counterfoil.domain.money import Money

CUSTOMER: Final = "kim@shop.example"
ITEMS: Final = [{"sku": "teapot-blue", "quantity": 1}, {"sku": "cup-white", "quantity": 4}]


async def paid_for(stage: Stage, scene: Scene) -> None:
    """The customer gets a receipt in their language, and the stock is asked for what was paid."""
    told: dict[str, Any] = {"customer_email": CUSTOMER, "items": ITEMS, "locale": "fr"}
    taken = await stage.charge(scene, "succeeded", **told)
    expect(await stage.effects(taken), {"receipt": "done", "stock_decrement": "done"}, "what followed is")
    await _told_of(stage, taken, "succeeded", "DECREMENT")


async def not_paid_for(stage: Stage, scene: Scene) -> None:
    """The customer hears how to try again, and the stock is free."""
    told: dict[str, Any] = {"customer_email": CUSTOMER, "items": ITEMS, "locale": "en"}
    taken = await stage.charge(scene, "failed", payment_method="pm_card_visa_chargeDeclined", **told)
    expect(await stage.effects(taken), {"customer_notice": "done", "stock_release": "done"}, "what followed is")
    await _told_of(stage, taken, "failed", "RELEASE")


async def _told_of(stage: Stage, taken: Taken, status: str, direction: str) -> None:
    await stage.story.follow(taken, status)
    stage.letter(CUSTOMER, taken.order_id)
    said = [one for one in await stage.sides.published() if one["payment_id"] == taken.payment_id]
    asked = [one["data"]["direction"] for one in said if one["type"] == "InventoryAdjustmentRequested"]
    expect(asked, [direction], "what the stock is asked for is")


async def booked_later(stage: Stage, scene: Scene) -> None:
    """The success does not wait for the fee; it is asked for when Stripe says that the charge has changed."""
    taken = await stage.charge(scene, "succeeded")
    payment = await stage.sides.payment(taken.payment_id)
    expect(payment["fee"], None, "the fee right after the success is")
    charge = f"charges/{payment['attempts'][0]['charge_id']}"
    await stage.at_stripe("in the dashboard, writes a note on the charge", charge, {"description": "tour"})
    payment = await stage.story.follow(taken, "succeeded", until=lambda payment: payment["fee"] is not None)
    expect(payment["net"], scene.money.amount - payment["fee"], "what it leaves us with is")


async def dispute_won(stage: Stage, scene: Scene) -> None:
    """The customer's bank takes the money back, and returns it when it has seen the evidence."""
    payment = await _disputed(stage, scene, "winning_evidence", "won")
    expect(payment["amount_disputed"], 0, "what the dispute keeps is")


async def dispute_lost(stage: Stage, scene: Scene) -> None:
    """The customer's bank takes the money back for good."""
    payment = await _disputed(stage, scene, "losing_evidence", "lost")
    expect(payment["amount_disputed"], scene.money.amount, "what the dispute keeps is")


async def _disputed(stage: Stage, scene: Scene, evidence: str, ends: str) -> Payment:
    taken = await stage.charge(scene, "succeeded", payment_method="pm_card_createDispute")
    payment = await stage.story.follow(taken, "succeeded", until=lambda payment: payment["dispute_status"] == "opened")
    dispute_id = payment["disputes"][0]["dispute_id"]
    said = f"in the dashboard, answers the dispute: {evidence.replace('_', ' ')}"
    form = {"evidence[uncategorized_text]": evidence, "submit": "true"}
    await stage.at_stripe(said, f"disputes/{dispute_id}", form)
    return await stage.story.follow(taken, "succeeded", until=lambda payment: payment["dispute_status"] == ends)


async def debit_bounced(stage: Stage, scene: Scene) -> None:
    """A debit is paid, and its customer's bank wants it back: a dispute that is lost as it comes."""
    method = "pm_sepaDebit_disputed_de"
    taken = await stage.charge(scene, "processing", payment_method=method, mandate=stage.consent())
    await stage.days_pass(DEBIT_DAYS, "at the bank")
    payment = await stage.story.follow(taken, "succeeded", until=lambda payment: payment["dispute_status"] == "lost")
    expect(payment["amount_disputed"], scene.money.amount, "what the bank took back is")


SCENES = (
    Scene("A receipt by mail, and the stock", Money(4200, "EUR"), paid_for),
    Scene("A failure, told to its customer", Money(4200, "EUR"), not_paid_for),
    Scene("The fee, known later", Money(10000, "EUR"), booked_later),
    Scene("A dispute that is won", Money(5500, "EUR"), dispute_won),
    Scene("A dispute that is lost", Money(5600, "EUR"), dispute_lost),
    Scene("A bank debit that bounces after its success", Money(7700, "EUR"), debit_bounced),
)
