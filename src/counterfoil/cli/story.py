"""What the demo and the tour tell while it happens: each step of a payment, from what both sides have on record."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.cli import payment_text, steps, terminal
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.sides import BothSides
from counterfoil.cli.steps import Between, Step
from counterfoil.domain.money import Money
from counterfoil.processors.stripe.notices import (
    BOOKING_EVENT,
    CHARGE_EVENTS,
    DISPUTE_EVENTS,
    INTENT_EVENTS,
    REFUND_EVENTS,
)
from counterfoil.runtime.clock import Clock

SETTLE_SECONDS: Final = 40.0
"""A webhook comes within a second, a worker's second try within six; what has not come by then never will, and the
demo must say so."""

HELD_BACK: Final = timedelta(seconds=0.3)
"""A step is told this long after it happened, because another that happened before it may come to light later."""

_LOOK_SECONDS: Final = 0.1

_BESIDE: Final = (":capture:1", ":cancel:1")
"""What ends the keys of requests that our timeline does not have: a hold is taken or let go, once each."""

_ANSWERED: Final = {
    Between.YOU_TO_GATEWAY: Between.GATEWAY_TO_YOU,
    Between.FRAUD_TO_GATEWAY: Between.GATEWAY_TO_FRAUD,
}

_UNSENT: Final = frozenset({"requested", "screening", "canceled"})
"""How a payment is answered whose first attempt was not sent, or not by the gateway."""

_READ: Final = INTENT_EVENTS | CHARGE_EVENTS | REFUND_EVENTS | DISPUTE_EVENTS | {BOOKING_EVENT}
"""The events that change a payment. Others are kept and counted, and are not part of its story."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A payment that was ordered: its id, its order's, and the idempotency key that its requests bear."""

    payment_id: str
    order_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Asking:
    """What is posted to the gateway, by whom, and how that is told.

    `sends` is the idempotency key of what the gateway sends to Stripe for it before it answers.
    """

    said: str
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    sends: str | None = None
    by: Between = Between.YOU_TO_GATEWAY


class Story:
    """Orders payments and tells what happens to them."""

    def __init__(self, sides: BothSides, clock: Clock) -> None:
        self._sides = sides
        self._clock = clock
        self._waiting: list[Step] = []
        self._told: set[tuple[str, str]] = set()
        self._by_gateway: set[str] = set()

    async def order(self, order: Mapping[str, Any]) -> Taken:
        """Order a payment, and tell that; its answer is told by whatever follows the payment.

        Raises CommandFailed when the gateway refuses it.
        """
        said = f"POST /charge  {order['order_id']}  {order.get('payment_method', '')}".rstrip()
        status, body = await self.ask(Asking(said, "/charge", order))
        if "payment_id" not in body:
            raise CommandFailed(f"the gateway refused the order [{status}]: {body.get('detail', '')}")
        return self.taken(body["payment_id"], order["order_id"], order["event_id"], body["status"])

    def taken(self, payment_id: str, order_id: str, key: str, status: str) -> Taken:
        """Return a payment that was answered so; unless it waits to be sent, the gateway sent its first attempt."""
        if status not in _UNSENT:
            self._by_gateway.add(key)
        return Taken(payment_id, order_id, key)

    async def ask(self, asking: Asking) -> tuple[int, Mapping[str, Any]]:
        """Post something to the gateway, and tell that; its answer is told by whatever follows the payment."""
        self.tell(asking.by, asking.said)
        if asking.sends is not None:
            self._by_gateway.add(asking.sends)
        status, answer = await self._sides.post(asking.path, asking.body, asking.headers)
        self._waiting.append(Step(self._clock.now(), _ANSWERED[asking.by], _outcome(status, answer)))
        return status, answer

    async def follow(
        self,
        taken: Taken,
        status: str,
        *,
        undelivered: Collection[str] = (),
        until: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> Mapping[str, Any]:
        """Tell each step once, in the order of time, until the payment stands there and nothing more is to come.

        That is so when each of its facts has its position, and every event of Stripe's that changes it was delivered,
        kept and read, but for those of the types `undelivered`; and when the payment is as `until` wants it.

        Returns the payment. Raises CommandFailed when it ends otherwise, or is not told to its end in time.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    payment, is_complete = await self._look(taken, undelivered)
                    is_there = until(payment) if until else payment["status"] in payment_text.FINAL | {status}
                    is_over = is_complete and is_there
                    self._tell_waiting(None if is_over else self._clock.now() - HELD_BACK)
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
        """Tell something that happens now, and that no record of either side has, after all that waits to be told."""
        self._tell_waiting(None)
        _print(Step(self._clock.now(), between, what))

    def end(self) -> None:
        """Tell what was left, and that nothing more comes of this payment."""
        self._tell_waiting(None)
        terminal.console().print()

    def _tell_waiting(self, before: datetime | None) -> None:
        """Tell what waits to be told and happened before that time, None being all of it."""
        for step in sorted(self._waiting, key=lambda step: step.place):
            if before is None or step.at < before:
                _print(step)
                self._waiting.remove(step)

    async def _look(self, taken: Taken, undelivered: Collection[str]) -> tuple[Mapping[str, Any], bool]:
        """Put what was not told yet to what waits; return the payment, and whether all of it has come to light."""
        sides, payment_id = self._sides, taken.payment_id
        payment = await sides.payment(payment_id)
        published = [one for one in await sides.published() if one["payment_id"] == payment_id]
        intent_id = payment["payment_intent_id"]
        events = [
            one for one in await sides.stripe_events() if one["type"] in _READ and _is_of(one, payment_id, intent_id)
        ]
        entries = [one for one in await sides.timeline(payment_id) if one["details"].get("state") != "kept"]
        now = self._clock.now()
        found = [(_name(one), steps.of_entry(one, self._sender(one))) for one in entries]
        found += await self._sent(taken, entries)
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

    async def _sent(self, taken: Taken, entries: Collection[Mapping[str, Any]]) -> list[tuple[str, Step]]:
        """Return what the sandbox logged of a payment's requests: those in our timeline, captures and cancellations."""
        in_timeline = {one["details"]["idempotency_key"] for one in entries if one["kind"] == "request"}
        found = []
        for key in sorted(in_timeline | {taken.key + suffix for suffix in _BESIDE}):
            requests = await self._sides.requests(key)
            found += steps.of_requests(requests, self._sender_of(key), is_in_timeline=key in in_timeline)
        return found

    def _sender(self, entry: Mapping[str, Any]) -> Between:
        return self._sender_of(entry["details"].get("idempotency_key"))

    def _sender_of(self, key: str | None) -> Between:
        return Between.GATEWAY_TO_STRIPE if key in self._by_gateway else Between.WORKER_TO_STRIPE


def _print(step: Step) -> None:
    from rich.text import Text

    clock = step.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    label = Text.assemble((f"  {clock}  ", "dim"), (f"{step.between:<18}", step.between.style))
    terminal.print_hanging(label, step.what)


def _outcome(status: int, body: Mapping[str, Any]) -> str:
    """Return an answer of the gateway in a line: what it is about stands so, or was refused."""
    told = body["status"] if isinstance(body["status"], str) else body.get("type", "").rpartition(":")[2]
    return "  ".join(filter(None, [str(status), told, payment_text.reason(body)]))


def _name(entry: Mapping[str, Any]) -> str:
    """Return what no other entry of a payment's timeline is called."""
    details = entry["details"]
    own = details.get("event_id") or details.get("idempotency_key") or entry.get("sequence")
    return f"{entry['kind']} {entry['name']} {entry['at']} {own}"


def _is_of(event: Mapping[str, Any], payment_id: str, intent_id: str | None) -> bool:
    """Whether an event of Stripe's is about that payment: it names it, or is about what happened to its charge."""
    thing = event["data"]["object"]
    owner = (thing.get("metadata") or {}).get("payment_id")
    if owner is not None:
        return bool(owner == payment_id)
    return intent_id is not None and intent_id in (thing.get("payment_intent"), thing.get("charge"))
