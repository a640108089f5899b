"""What the demo tells while it happens: each step of a payment, from what both sides have on record of it."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from counterfoil.cli import payment_text, steps, terminal
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.sides import BothSides
from counterfoil.cli.steps import Between, Step
from counterfoil.domain.money import Money
from counterfoil.processors.stripe.notices import CHARGE_EVENTS, INTENT_EVENTS
from counterfoil.runtime.clock import Clock

SETTLE_SECONDS: Final = 40.0
"""A webhook comes within a second, a worker's second try within six; what has not come by then never will, and the
demo must say so."""

HELD_BACK: Final = timedelta(seconds=0.3)
"""A step is told this long after it happened, because another that happened before it may come to light later."""

_LOOK_SECONDS: Final = 0.1

_READ: Final = INTENT_EVENTS | CHARGE_EVENTS
"""The events that change a payment. Others are kept and counted, and are not part of its story."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A payment that was ordered: its id, and the idempotency key that its requests bear."""

    payment_id: str
    key: str


class Story:
    """Orders payments and tells what happens to them."""

    def __init__(self, sides: BothSides, clock: Clock) -> None:
        self._sides = sides
        self._clock = clock
        self._waiting: list[Step] = []
        self._told: set[tuple[str, str]] = set()

    async def order(self, order: Mapping[str, Any]) -> Taken:
        """Order a payment, and tell that; its answer is told by whatever follows the payment.

        Raises CommandFailed when the gateway refuses it.
        """
        self.tell(Between.YOU_TO_GATEWAY, f"POST /charge  {order['order_id']}  {order['payment_method']}")
        status, body = await self._sides.charge(order)
        outcome = f"{status}  {body['status']}  {payment_text.reason(body)}".rstrip()
        self._waiting.append(Step(self._clock.now(), Between.GATEWAY_TO_YOU, outcome))
        return Taken(body["payment_id"], order["event_id"])

    async def follow(self, taken: Taken, status: str, *, undelivered: Collection[str] = ()) -> Mapping[str, Any]:
        """Tell each step once, in the order of time, until the payment stands there and nothing more is to come.

        That is so when each of its facts has its position, and every event of Stripe's that changes it was delivered,
        kept and read, but for those of the types `undelivered`.

        Returns the payment. Raises CommandFailed when it ends otherwise, or is not told to its end in time.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    payment, is_complete = await self._look(taken, undelivered)
                    is_over = is_complete and payment["status"] in payment_text.FINAL | {status}
                    settled = self._clock.now() - HELD_BACK
                    for step in sorted(self._waiting, key=lambda step: step.place):
                        if is_over or step.at < settled:
                            _print(step)
                            self._waiting.remove(step)
                    if is_over:
                        break
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise CommandFailed(
                f"payment {taken.payment_id} was not told to its end within {SETTLE_SECONDS:.0f} s"
            ) from None
        if payment["status"] != status:
            raise CommandFailed(f"payment {taken.payment_id} is {payment['status']} and was to be {status}")
        return payment

    def begin(self, title: str, money: Money) -> None:
        """Tell what payment comes now."""
        terminal.console().print(f"{title}: {money.format()}", style="bold")

    def tell(self, between: Between, what: str) -> None:
        """Tell something that happens now, and that no record of either side has."""
        _print(Step(self._clock.now(), between, what))

    def end(self) -> None:
        """Tell that nothing more comes of this payment."""
        terminal.console().print()

    async def _look(self, taken: Taken, undelivered: Collection[str]) -> tuple[Mapping[str, Any], bool]:
        """Put what was not told yet to what waits; return the payment, and whether all of it has come to light."""
        sides, payment_id = self._sides, taken.payment_id
        payment = await sides.payment(payment_id)
        published = [one for one in await sides.published() if one["payment_id"] == payment_id]
        requests = await sides.requests(taken.key)
        events = [
            one for one in await sides.stripe_list("events") if one["type"] in _READ and _owner(one) == payment_id
        ]
        entries = [one for one in await sides.timeline(payment_id) if one["details"].get("state") != "kept"]
        now = self._clock.now()
        found = [(f"{one['kind']} {one['name']} {one['at']}", steps.of_entry(one)) for one in entries]
        found += steps.of_requests(requests)
        found += [
            (one["id"], Step(now, Between.STRIPE_TO_NOBODY, f"{one['type']}: never delivered"))
            for one in events
            if one["type"] in undelivered
        ]
        found += [
            (one["id"], Step(now, Between.PUBLISHED, f"position {one['position']}: {one['type']}")) for one in published
        ]
        self._waiting += [step for name, step in found if (payment_id, name) not in self._told]
        self._told.update((payment_id, name) for name, _ in found)
        read = {one["details"]["event_id"] for one in entries if one["kind"] == "notice"}
        awaited = {one["id"] for one in events if one["type"] not in undelivered}
        return payment, len(published) == payment["version"] and awaited <= read


def _print(step: Step) -> None:
    from rich.text import Text

    clock = step.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    label = Text.assemble((f"  {clock}  ", "dim"), (f"{step.between:<18}", step.between.style))
    terminal.print_hanging(label, step.what)


def _owner(event: Mapping[str, Any]) -> str | None:
    metadata = event["data"]["object"].get("metadata") or {}
    owner: str | None = metadata.get("payment_id")
    return owner
