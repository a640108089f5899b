"""What the scenes of the tour are played with: orders, what is asked of them afterwards, and everybody else's part."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.sides import BothSides
from counterfoil.cli.steps import Between
from counterfoil.cli.story import SETTLE_SECONDS, Asking, Story, Taken
from counterfoil.domain.money import Money
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.ids import Ids

VISA: Final = "pm_card_visa"

_LOOK_SECONDS: Final = 0.1

Payment = Mapping[str, Any]
"""As the gateway shows it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One payment, or what one order comes to: its title, the amount, and how it is played.

    `play` raises CommandFailed where it does not end as it was meant to.
    """

    title: str
    money: Money
    play: Callable[["Stage", "Scene"], Awaitable[None]]


@dataclass(slots=True)
class Stage:
    """Where a scene is played; `taken` is what payments it came to."""

    sides: BothSides
    story: Story
    clock: Clock
    ids: Ids
    home: Path
    taken: list[Taken] = field(default_factory=list)

    def name(self, what: str) -> str:
        """Return an id that nobody used before."""
        return f"{what}-{self.ids.new().hex[-12:]}"

    def order(self, scene: Scene, **more: Any) -> dict[str, Any]:
        """Return an order that nobody placed before."""
        return {
            "event_id": self.name("tour"),
            "order_id": self.name("order"),
            "amount_cents": scene.money.amount,
            "currency": scene.money.currency,
            "payment_method": VISA,
            **more,
        }

    def consent(self) -> Mapping[str, str]:
        """Return what a customer consents to whose bank account is debited."""
        return {
            "accepted_at": self.clock.now().isoformat(),
            "ip_address": "203.0.113.7",  # of a block for examples (RFC 5737)
            "user_agent": "counterfoil tour",
        }

    async def charge(self, scene: Scene, ends: str, **more: Any) -> Taken:
        """Place an order and tell its payment until it stands there."""
        taken = await self.place(self.order(scene, **more))
        await self.story.follow(taken, ends)
        return taken

    async def place(self, order: Mapping[str, Any]) -> Taken:
        """Place an order, whatever comes of it."""
        taken = await self.story.order(order)
        self.taken.append(taken)
        return taken

    async def hold(self, scene: Scene, method: str = VISA) -> Taken:
        """Hold money for an order, and tell that until it is held."""
        order_id = self.name("order")
        body = {
            "order_id": order_id,
            "amount": scene.money.amount,
            "currency": scene.money.currency,
            "payment_method": method,
        }
        status, answer = await self.story.ask(
            Asking(f"POST /payments/authorize  {order_id}  {method}", "/payments/authorize", body)
        )
        expect(status, 201, "a hold is answered with")
        taken = self.story.taken(answer["payment_id"], order_id, order_id, answer["status"])
        self.taken.append(taken)
        await self.story.follow(taken, "authorized")
        return taken

    async def capture(self, taken: Taken, money: Money | None = None) -> None:
        """Take what is held, or so much of it."""
        asking = Asking(
            f"POST /payments/…/capture  {money.format() if money else 'all of it'}",
            f"/payments/{taken.payment_id}/capture",
            {"amount": money.amount} if money else {},
            sends=f"{taken.key}:capture:1",
        )
        status, _ = await self.story.ask(asking)
        expect(status, 200, "a capture is answered with")

    async def cancel(self, taken: Taken) -> None:
        """Let go what is held."""
        asking = Asking(
            "POST /payments/…/cancel", f"/payments/{taken.payment_id}/cancel", {}, sends=f"{taken.key}:cancel:1"
        )
        status, _ = await self.story.ask(asking)
        expect(status, 200, "a cancellation is answered with")

    async def refund(self, taken: Taken, money: Money | None = None) -> int:
        """Ask for money to be given back, all that is left of it or so much; return the status of the answer."""
        asking = Asking(
            f"POST /payments/…/refunds  {money.format() if money else 'all that is left'}",
            f"/payments/{taken.payment_id}/refunds",
            {"amount": money.amount} if money else {},
            {"Idempotency-Key": self.name("refund")},
        )
        status, _ = await self.story.ask(asking)
        return status

    async def cancel_order(self, order_id: str) -> None:
        """Say that an order is not wanted any more."""
        asking = Asking(
            f"POST /orders/{order_id}/cancel", f"/orders/{order_id}/cancel", {"reason": "CUSTOMER_REQUESTED"}
        )
        status, _ = await self.story.ask(asking)
        expect(status, 202, "an order's cancellation is answered with")

    async def check(self, taken: Taken, decision: str, risk_score: float) -> None:
        """Be the fraud service, which has looked at the payment."""
        asking = Asking(
            f"POST /fraud-checks  {decision}  risk {risk_score:g}",
            "/fraud-checks",
            {"payment_id": taken.payment_id, "decision": decision, "risk_score": risk_score},
            by=Between.FRAUD_TO_GATEWAY,
        )
        status, _ = await self.story.ask(asking)
        expect(status, 202, "a fraud check is answered with")

    async def review(self, taken: Taken, decision: str, note: str) -> None:
        """Be the person who decides."""
        asking = Asking(
            f"POST /payments/…/review  {decision}: {note}",
            f"/payments/{taken.payment_id}/review",
            {"decision": decision, "note": note},
        )
        status, _ = await self.story.ask(asking)
        expect(status, 200, "a review is answered with")

    async def at_stripe(self, said: str, path: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Do in Stripe's dashboard what no step of ours does, and tell it."""
        self.story.tell(Between.YOU_TO_STRIPE, said)
        return await self.sides.at_stripe(path, form)

    async def days_pass(self, days: int, where: str) -> None:
        """Move the sandbox's clock on, and tell it."""
        passed = "a day passes" if days == 1 else f"{days} days pass"
        self.story.tell(Between.TOUR_TO_SANDBOX, f"its clock moves on: {passed} {where}")
        await self.sides.let_pass(timedelta(days=days))

    async def effects(self, taken: Taken) -> dict[str, str]:
        """Return how each of what followed from a payment's end stands, once none of it waits any more."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    found = {one["kind"]: one["state"] for one in await self.sides.effects(taken.payment_id)}
                    if found and "waiting" not in found.values():
                        return found
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise CommandFailed(f"what followed from {taken.payment_id} was not done in time") from None

    def letter(self, address: str, order_id: str) -> None:
        """Tell which letter about an order the mailbox has for somebody; raises CommandFailed where it has none."""
        from counterfoil.roles.mailbox.box import FOLDER, Box

        box = Box(self.home / FOLDER)
        letters = [letter for letter in map(box.read, box.ids()) if letter is not None]
        found = [one for one in letters if one.to == address and order_id in one.subject]
        if len(found) != 1:
            raise CommandFailed(f"{len(found)} letters about {order_id} came to {address} and one was to come")
        self.story.tell(Between.WORKER_TO_CUSTOMER, f"by SMTP to {address}: {found[0].subject}")

    async def book_the_rest(self) -> None:
        """Have Stripe say of every charge whose fee we have not asked for yet that it changed, and wait for the fees.

        Without that each is asked for a minute after its success, and an hour later where it is not known by then.
        """
        unknown = [one for one in await self.sides.payments() if one["amount_captured"] and one["fee"] is None]
        self.story.tell(Between.YOU_TO_STRIPE, f"in the dashboard, writes a note on {len(unknown)} more charges")
        for payment in unknown:
            charges = [one["charge_id"] for one in payment["attempts"] if one["state"] == "captured"]
            await self.sides.at_stripe(f"charges/{charges[0]}", {"description": "tour"})
        self.story.tell(Between.ON_RECORD, f"the fees of {await self._fees()} payments are known")
        self.story.end()

    async def _fees(self) -> int:
        """Return of how many payments the fee is known, once that is all who have one; the books name any other."""
        deadline = self.clock.now() + timedelta(seconds=SETTLE_SECONDS)
        while True:
            paid = [one for one in await self.sides.payments() if one["amount_captured"]]
            known = sum(one["fee"] is not None for one in paid)
            if known == len(paid) or self.clock.now() > deadline:
                return known
            await asyncio.sleep(_LOOK_SECONDS)


def expect(actual: object, wanted: object, what: str) -> None:
    """Raise CommandFailed where something is not as it was meant to be."""
    if actual != wanted:
        raise CommandFailed(f"{what} {actual!r} and was to be {wanted!r}")


def refunds_are(*statuses: str) -> Callable[[Payment], bool]:
    """Return whether a payment's refunds stand so, in whatever order."""
    return lambda payment: sorted(one["status"] for one in payment["refunds"]) == sorted(statuses)
