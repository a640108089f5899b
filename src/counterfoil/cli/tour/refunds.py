"""Money is given back: whole, in parts, late, in vain, and by somebody else."""

import asyncio
from typing import Final

from counterfoil.cli.tour.stage import Scene, Stage, expect, refunds_are
from counterfoil.domain.money import Money

PARTS_AT_ONCE: Final = 4
"""So many parts of a third are asked back in one moment: one more than there is money for."""


async def whole(stage: Stage, scene: Scene) -> None:
    """All of it is given back."""
    taken = await stage.charge(scene, "succeeded")
    expect(await stage.refund(taken), 202, "a refund is answered with")
    payment = await stage.story.follow(taken, "succeeded", until=refunds_are("processed"))
    expect(payment["amount_refunded"], scene.money.amount, "what was given back is")


async def in_parts(stage: Stage, scene: Scene) -> None:
    """Several parts are asked back at once, and one of them has no money left."""
    taken = await stage.charge(scene, "succeeded")
    third = Money(scene.money.amount // (PARTS_AT_ONCE - 1), scene.money.currency)
    answers = await asyncio.gather(*(stage.refund(taken, third) for _ in range(PARTS_AT_ONCE)))
    expect(sorted(answers), [202] * (PARTS_AT_ONCE - 1) + [422], "refunds asked for at once are answered with")
    until = refunds_are(*["processed"] * (PARTS_AT_ONCE - 1))
    payment = await stage.story.follow(taken, "succeeded", until=until)
    expect(payment["amount_refunded"], scene.money.amount, "what was given back is")


async def pending(stage: Stage, scene: Scene) -> None:
    """Stripe takes a day over it."""
    taken = await stage.charge(scene, "succeeded", payment_method="pm_card_pendingRefund")
    expect(await stage.refund(taken), 202, "a refund is answered with")
    await stage.story.follow(taken, "succeeded", until=refunds_are("pending"))
    await stage.days_pass(1, "at the bank")
    await stage.story.follow(taken, "succeeded", until=refunds_are("processed"))


async def sent_back(stage: Stage, scene: Scene) -> None:
    """It is made, and a day later the customer's bank sends it back."""
    taken = await stage.charge(scene, "succeeded", payment_method="pm_card_refundFail")
    part = Money(scene.money.amount // 2, scene.money.currency)
    expect(await stage.refund(taken, part), 202, "a refund is answered with")
    await stage.story.follow(taken, "succeeded", until=refunds_are("processed"))
    await stage.days_pass(1, "at the bank")
    payment = await stage.story.follow(taken, "succeeded", until=refunds_are("failed"))
    expect(payment["amount_refunded"], 0, "what was given back is")


async def made_elsewhere(stage: Stage, scene: Scene) -> None:
    """Somebody gives a part back in Stripe's dashboard, and we count it."""
    taken = await stage.charge(scene, "succeeded")
    payment = await stage.sides.payment(taken.payment_id)
    part = Money(scene.money.amount // 4, scene.money.currency)
    form = {"payment_intent": payment["payment_intent_id"], "amount": str(part.amount)}
    await stage.at_stripe(f"in the dashboard, gives {part.format()} back", "refunds", form)
    payment = await stage.story.follow(taken, "succeeded", until=refunds_are("processed"))
    expect(payment["amount_refunded"], part.amount, "what was given back is")


SCENES = (
    Scene("All of it is given back", Money(1500, "EUR"), whole),
    Scene("Four thirds are asked back at once", Money(3000, "EUR"), in_parts),
    Scene("A refund that takes a day", Money(1800, "EUR"), pending),
    Scene("A refund that the bank sends back", Money(2600, "EUR"), sent_back),
    Scene("A refund made in Stripe's dashboard", Money(4400, "EUR"), made_elsewhere),
)
