"""Payments that Stripe's older API makes: charges without a PaymentIntent."""

from typing import Final

from counterfoil.cli.tour.holds import PART
from counterfoil.cli.tour.stage import Scene, Stage, expect, refunds_are
from counterfoil.domain.money import Money

CARD: Final = "tok_visa"


async def charged(stage: Stage, scene: Scene) -> None:
    """It is charged, and given back."""
    taken = await stage.charge(scene, "succeeded", payment_method=CARD)
    expect(await stage.refund(taken), 202, "a refund is answered with")
    await stage.story.follow(taken, "succeeded", until=refunds_are("processed"))


async def declined(stage: Stage, scene: Scene) -> None:
    """It is declined."""
    await stage.charge(scene, "failed", payment_method="tok_chargeDeclined")


async def held(stage: Stage, scene: Scene) -> None:
    """It is held, and taken in part: what Stripe lets go of it is no refund."""
    taken = await stage.hold(scene, CARD)
    await stage.capture(taken, Money(PART, scene.money.currency))
    payment = await stage.story.follow(taken, "succeeded")
    expect((payment["amount_captured"], payment["amount_refunded"]), (PART, 0), "what was captured and refunded is")


async def let_go(stage: Stage, scene: Scene) -> None:
    """It is held, and let go."""
    taken = await stage.hold(scene, CARD)
    await stage.cancel(taken)
    await stage.story.follow(taken, "canceled")


SCENES = (
    Scene("Charged, and given back", Money(1600, "EUR"), charged),
    Scene("Declined", Money(1600, "EUR"), declined),
    Scene("Held, and taken in part", Money(2000, "EUR"), held),
    Scene("Held, and let go", Money(2000, "EUR"), let_go),
)
