"""Money is held, then taken or let go."""

from counterfoil.cli.tour.stage import Scene, Stage, expect
from counterfoil.domain.money import Money

PART: int = 1200
"""What is taken of the hold of 20.00 that is not taken whole."""


async def taken_whole(stage: Stage, scene: Scene) -> None:
    """All of it is captured."""
    taken = await stage.hold(scene)
    await stage.capture(taken)
    payment = await stage.story.follow(taken, "succeeded")
    expect(payment["amount_captured"], scene.money.amount, "what was captured is")


async def taken_in_part(stage: Stage, scene: Scene) -> None:
    """Some of it is captured, and the rest is no refund, though Stripe lists it as one."""
    taken = await stage.charge(scene, "authorized", capture_method="manual")
    await stage.capture(taken, Money(PART, scene.money.currency))
    payment = await stage.story.follow(taken, "succeeded")
    expect((payment["amount_captured"], payment["amount_refunded"]), (PART, 0), "what was captured and refunded is")
    expect(payment["refunds"], [], "its refunds are")


async def let_go(stage: Stage, scene: Scene) -> None:
    """Nothing of it is captured."""
    taken = await stage.hold(scene)
    await stage.cancel(taken)
    await stage.story.follow(taken, "canceled")


SCENES = (
    Scene("A hold that is taken whole", Money(2000, "EUR"), taken_whole),
    Scene("A hold that is taken in part", Money(2000, "EUR"), taken_in_part),
    Scene("A hold that is let go", Money(2000, "EUR"), let_go),
)
