"""The five payments of the demo: what is ordered, and what happens to each beside what Counterfoil does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from counterfoil.cli import payment_text
from counterfoil.cli.sides import BothSides
from counterfoil.cli.steps import Between
from counterfoil.cli.story import Story, Taken
from counterfoil.domain.money import Money
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.ids import Ids

AT_THE_BANK: Final = timedelta(days=3)
"""How long a bank debit takes to settle; the sandbox's clock is moved on by so much."""

EVENTS_OF_A_CARD: Final = ("charge.succeeded", "payment_intent.succeeded")
"""All that Stripe would tell of a card that was charged."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What an act is played with."""

    sides: BothSides
    story: Story
    clock: Clock
    ids: Ids


@dataclass(frozen=True, slots=True)
class Act:
    """One payment: what is ordered, how it has to end, and how it is played.

    `has_timeline` says whether its timeline is shown in the end, `is_sent_again` whether Stripe has to have got its
    request more than once.
    """

    title: str
    payment_method: str
    money: Money
    ends: str
    play: Callable[[Stage, "Act"], Awaitable[Taken]]
    has_timeline: bool = False
    is_sent_again: bool = False


def _order(stage: Stage, act: Act, **more: Any) -> Mapping[str, Any]:
    """Return an order that nobody placed before."""
    return {
        "event_id": f"demo-{stage.ids.new().hex[-12:]}",
        "order_id": f"order-{stage.ids.new().hex[-12:]}",
        "amount_cents": act.money.amount,
        "currency": act.money.currency,
        "payment_method": act.payment_method,
        **more,
    }


async def answered(stage: Stage, act: Act) -> Taken:
    """Play a payment that Stripe's answer settles; the webhooks only say it again."""
    taken = await stage.story.order(_order(stage, act))
    await stage.story.follow(taken, act.ends)
    return taken


async def approved_by_its_owner(stage: Stage, act: Act) -> Taken:
    """Play a payment that waits for the customer, and be the customer."""
    taken = await stage.story.order(_order(stage, act))
    payment = await stage.story.follow(taken, "requires_action")
    link = payment["action"]["url"]
    stage.story.tell(Between.CUSTOMER_TO_BANK, f"approves at {_shortened(link)}")
    await stage.sides.approve(link)
    await stage.story.follow(taken, act.ends)
    return taken


def _shortened(link: str) -> str:
    """Return the beginning of a link, without the secret at its end."""
    from urllib.parse import urlsplit

    parts = urlsplit(link)
    return f"{parts.scheme}://{parts.netloc}/{parts.path.split('/')[1]}/…"


async def settled_by_a_bank(stage: Stage, act: Act) -> Taken:
    """Play a payment that the customer consented to and whose bank takes days."""
    consent = {
        "accepted_at": stage.clock.now().isoformat(),
        "ip_address": "203.0.113.7",  # of a block for examples (RFC 5737)
        "user_agent": "counterfoil demo",
    }
    taken = await stage.story.order(_order(stage, act, mandate=consent))
    await stage.story.follow(taken, "processing")
    stage.story.tell(Between.DEMO_TO_SANDBOX, f"its clock moves on: {AT_THE_BANK.days} days pass at the bank")
    await stage.sides.let_pass(AT_THE_BANK)
    await stage.story.follow(taken, act.ends)
    return taken


async def never_heard_of(stage: Stage, act: Act) -> Taken:
    """Play a payment that Stripe takes while its answer is lost, and each of its events: nobody tells us."""
    order = _order(stage, act)
    await stage.sides.let_fail(
        {"fault": "lose_answer", "idempotency_key": order["event_id"]},
        *({"fault": "event_undelivered", "event": kind} for kind in EVENTS_OF_A_CARD),
    )
    stage.story.tell(Between.DEMO_TO_SANDBOX, "lose the next answer and both its events")
    taken = await stage.story.order(order)
    payment = await stage.story.follow(taken, "processing", undelivered=EVENTS_OF_A_CARD)
    if payment["next_check_at"] is not None:
        due = payment_text.time_of_day(payment["next_check_at"])
        stage.story.tell(Between.ON_RECORD, f"outcome unknown  next look at {due}")
    await stage.story.follow(taken, act.ends, undelivered=EVENTS_OF_A_CARD)
    return taken


ACTS: Final = (
    Act("A card that is good", "pm_card_visa", Money(1999, "EUR"), "succeeded", answered),
    Act("A card that its bank declines", "pm_card_visa_chargeDeclined", Money(4250, "EUR"), "failed", answered),
    Act(
        "A card that asks for its owner (3-D Secure)",
        "pm_card_threeDSecure2Required",
        Money(6400, "EUR"),
        "succeeded",
        approved_by_its_owner,
        has_timeline=True,
    ),
    Act(
        "A bank debit that settles three days later",
        "pm_sepaDebit_success_de",
        Money(12000, "EUR"),
        "succeeded",
        settled_by_a_bank,
    ),
    Act(
        "An answer that is lost",
        "pm_card_visa",
        Money(725, "EUR"),
        "succeeded",
        never_heard_of,
        has_timeline=True,
        is_sent_again=True,
    ),
)
"""In the order in which they are played. The bank debit moves the sandbox's clock, which no other may do."""
