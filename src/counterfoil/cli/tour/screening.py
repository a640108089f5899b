"""Somebody else decides whether a payment is a fraud, before it is charged or before what is held is taken."""

from counterfoil.cli.story import Taken
from counterfoil.cli.tour.stage import Payment, Scene, Stage, expect
from counterfoil.domain.money import Money


async def approved(stage: Stage, scene: Scene) -> None:
    """Nothing is sent to Stripe until the check approves."""
    taken = await stage.charge(scene, "screening")
    await stage.check(taken, "APPROVED", 12)
    await stage.story.follow(taken, "succeeded")


async def declined(stage: Stage, scene: Scene) -> None:
    """Nothing is ever sent to Stripe."""
    taken = await stage.charge(scene, "screening")
    await stage.check(taken, "DECLINED", 71)
    payment = await _declined_for_fraud(stage, taken)
    expect(payment["payment_intent_id"], None, "what Stripe was asked for is")


async def approved_by_a_person(stage: Stage, scene: Scene) -> None:
    """The check leaves it to a person."""
    taken = await stage.charge(scene, "screening")
    await _left_to_a_person(stage, taken, "screening")
    await stage.review(taken, "APPROVED", "a customer for years")
    await stage.story.follow(taken, "succeeded")


async def held_and_taken(stage: Stage, scene: Scene) -> None:
    """The money is held at once and taken when the check approves."""
    taken = await stage.charge(scene, "authorized")
    await stage.check(taken, "APPROVED", 8)
    await stage.story.follow(taken, "succeeded", until=lambda payment: payment["status"] == "succeeded")


async def held_and_let_go(stage: Stage, scene: Scene) -> None:
    """A risk as high as this declines, whatever the check itself decided."""
    taken = await stage.charge(scene, "authorized")
    await stage.check(taken, "APPROVED", 95)
    await _declined_for_fraud(stage, taken)


async def declined_by_a_person(stage: Stage, scene: Scene) -> None:
    """The check leaves it to a person, who lets the hold go."""
    taken = await stage.charge(scene, "authorized")
    await _left_to_a_person(stage, taken, "authorized")
    await stage.review(taken, "DECLINED", "the address does not exist")
    await _declined_for_fraud(stage, taken)


async def _left_to_a_person(stage: Stage, taken: Taken, status: str) -> None:
    await stage.check(taken, "MANUAL_REVIEW", 55)
    await stage.story.follow(taken, status, until=lambda payment: payment["screening"]["awaits"] == "review")


async def _declined_for_fraud(stage: Stage, taken: Taken) -> Payment:
    payment = await stage.story.follow(taken, "failed")
    expect((payment["failure_reason"], payment["amount_captured"]), ("fraud_suspected", 0), "why, and what was taken,")
    return payment


BEFORE_CHARGE = (
    Scene("Approved, and charged", Money(8000, "EUR"), approved),
    Scene("Declined, and never charged", Money(9900, "EUR"), declined),
    Scene("Left to a person, who approves", Money(25000, "EUR"), approved_by_a_person),
)

BEFORE_CAPTURE = (
    Scene("Held at once, approved, and taken", Money(7000, "EUR"), held_and_taken),
    Scene("Held at once, too risky, and let go", Money(49900, "EUR"), held_and_let_go),
    Scene("Held at once, left to a person, who declines", Money(31000, "EUR"), declined_by_a_person),
)
