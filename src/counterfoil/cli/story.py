"""What the demo tells while it happens: each step of a payment, from what both sides have on record of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from counterfoil.cli import payment_text, terminal
from counterfoil.cli.cards import payment_method_of
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.installation import SANDBOX_KEY, Installation
from counterfoil.domain.money import Money
from counterfoil.processors.stripe.notices import CHARGE_EVENTS, INTENT_EVENTS
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds

if TYPE_CHECKING:
    import httpx

SETTLE_SECONDS: Final = 20.0
"""Webhooks come within a second; where they have not come by then, something is broken, and the demo must say so."""

HELD_BACK: Final = timedelta(seconds=0.3)
"""A step is told this long after it happened, because another that happened before it may come to light later."""

_LOOK_SECONDS: Final = 0.05
_PAGE: Final = 100

_READ: Final = INTENT_EVENTS | CHARGE_EVENTS
"""The events that change a payment. Others are kept and counted, and are not part of its story."""

_STYLES: Final[Mapping[str, str]] = {
    "you → gateway": "bold blue",
    "gateway → you": "bold blue",
    "gateway → Stripe": "cyan",
    "Stripe → gateway": "cyan",
    "on record": "bold",
    "Stripe → receiver": "magenta",
    "published": "green",
}


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One thing that happened: when, between whom, and what."""

    at: datetime
    who: str
    what: str


class Story:
    """Takes payments at an installation and tells what happens; a context manager."""

    def __init__(self, here: Installation) -> None:
        import httpx

        def client(url: str, token: str) -> "httpx.AsyncClient":
            return httpx.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=SETTLE_SECONDS
            )

        self._gateway = client(here.gateway.url, here.token.reveal())
        self._sandbox = client(here.plan.ports.url("sandbox"), SANDBOX_KEY.reveal())
        self._logs = here.plan.log("").parent
        self._screen = terminal.console()
        self._clock = SystemClock()
        self._ids = TimeOrderedIds(self._clock)
        self._told: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _kind: object, raised: BaseException | None, _traceback: object) -> None:
        import httpx

        await self._gateway.aclose()
        await self._sandbox.aclose()
        if isinstance(raised, httpx.HTTPError):
            raise CommandFailed(f"the {self._name_of(raised)} stopped answering: see {self._logs}") from None

    def _name_of(self, error: "httpx.HTTPError") -> str:
        return "gateway" if error.request.url.port == self._gateway.base_url.port else "sandbox"

    async def take(self, title: str, card: str, money: Money) -> None:
        """Order a payment and tell each step of it until nothing more is to come.

        Raises CommandFailed when the gateway refuses it, or what should follow does not.
        """
        event_id = f"demo-{self._ids.new().hex[-12:]}"
        order = {
            "event_id": event_id,
            "order_id": f"order-{self._ids.new().hex[-12:]}",
            "amount_cents": money.amount,
            "currency": money.currency,
            "payment_method": payment_method_of(card),
        }
        self._screen.print(f"{title}: {money.format()}", style="bold")
        self._tell(Step(self._now(), "you → gateway", f"POST /charge  {order['order_id']}  {order['payment_method']}"))
        answer = await self._gateway.post("/charge", json=order)
        answered = self._now()
        body = answer.json()
        if "payment_id" not in body:
            raise CommandFailed(f"the gateway refused the order [{answer.status_code}]: {body.get('detail', '')}")
        payment = await self.payment(body["payment_id"])
        outcome = f"{answer.status_code}  {payment['status']}  {payment_text.reason(payment)}".rstrip()
        await self._follow(payment["payment_id"], event_id, Step(answered, "gateway → you", outcome))
        self._screen.print()

    async def payment(self, payment_id: str) -> Mapping[str, Any]:
        """Return a payment as the gateway shows it."""
        return await self._asked(f"/payments/{payment_id}")

    async def timeline(self, payment_id: str) -> list[Mapping[str, Any]]:
        """Return the entries of a payment's timeline."""
        entries: list[Mapping[str, Any]] = (await self._asked(f"/payments/{payment_id}/timeline"))["entries"]
        return entries

    async def payments(self) -> list[Mapping[str, Any]]:
        """Return all payments that the gateway shows, page after page."""
        found: list[Mapping[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self._asked("/payments", limit=_PAGE, **cursor)
            found += page["payments"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    async def stripe_list(self, resource: str) -> list[Mapping[str, Any]]:
        """Return everything in one of the sandbox's `/v1` lists, page after page."""
        found: list[Mapping[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            answer = await self._sandbox.get(f"/v1/{resource}", params={"limit": _PAGE, **after})
            page = answer.raise_for_status().json()
            found += page["data"]
            if not page["has_more"]:
                return found
            after = {"starting_after": page["data"][-1]["id"]}

    async def _asked(self, path: str, **parameters: str | int) -> Mapping[str, Any]:
        answer = await self._gateway.get(path, params=parameters)
        if answer.is_error:
            raise CommandFailed(f"the gateway answered {answer.status_code} to GET {path}")
        body: Mapping[str, Any] = answer.json()
        return body

    async def _follow(self, payment_id: str, key: str, answer: Step) -> None:
        """Tell each step once, in the order of time, until both sides have told everything."""
        waiting = [answer]
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                is_over = False
                while not is_over:
                    steps, is_over = await self._look(payment_id, key)
                    settled = self._now() - HELD_BACK
                    waiting += steps
                    for step in sorted(waiting):
                        if is_over or step.at < settled:
                            self._tell(step)
                            waiting.remove(step)
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise CommandFailed(
                f"payment {payment_id} was not told to its end within {SETTLE_SECONDS:.0f} s: see `counterfoil show`"
            ) from None

    async def _look(self, payment_id: str, key: str) -> tuple[list[Step], bool]:
        """Return the steps not told yet, and whether nothing more is to come.

        That is so when the payment is final, each of its facts has its position, and every event of Stripe's that
        changes it was delivered, kept and read.
        """
        payment = await self.payment(payment_id)
        published = [one for one in await self._events() if one["payment_id"] == payment_id]
        asked = (await self._sandbox.get("/_sandbox/requests", params={"idempotency_key": key})).json()["requests"]
        events = [one for one in await self.stripe_list("events") if one["type"] in _READ and _owner(one) == payment_id]
        entries = [one for one in await self.timeline(payment_id) if one["details"].get("state") != "kept"]
        is_over = (
            payment["status"] in payment_text.FINAL
            and len(published) == payment["version"]
            and sum(one["kind"] == "notice" for one in entries) == len(events)
        )
        told = [(f"{one['kind']} {one['name']} {one['at']}", _step(one)) for one in entries]
        told += [(f"request {one['id']}", _answered(one)) for one in asked]
        told += [
            (
                f"position {one['position']}",
                Step(self._now(), "published", f"position {one['position']}: {one['type']}"),
            )
            for one in published
        ]
        fresh = [(name, step) for name, step in told if (payment_id, name) not in self._told]
        self._told.update((payment_id, name) for name, _ in fresh)
        return [step for _, step in fresh], is_over

    async def _events(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        after = 0
        while True:
            page = await self._asked("/events", after=after, limit=_PAGE)
            if not page["events"]:
                return found
            found += page["events"]
            after = page["next"]

    def _tell(self, step: Step) -> None:
        from rich.text import Text

        clock = step.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
        self._screen.print(
            Text.assemble((f"  {clock}  ", "dim"), (f"{step.who:<18}", _STYLES.get(step.who, "")), step.what)
        )

    def _now(self) -> datetime:
        return self._clock.now()


def _owner(event: Mapping[str, Any]) -> str | None:
    metadata = event["data"]["object"].get("metadata") or {}
    owner: str | None = metadata.get("payment_id")
    return owner


def _step(entry: Mapping[str, Any]) -> Step:
    """Return a timeline's entry as a step."""
    at, details = datetime.fromisoformat(entry["at"]), entry["details"]
    if entry["kind"] == "request":
        return Step(at, "gateway → Stripe", f"{entry['name']}  key {details['idempotency_key']}")
    if entry["kind"] == "notice":
        return Step(at, "Stripe → receiver", f"{entry['name']}  {details['event_id']}: signed, kept, read")
    return Step(at, "on record", f"{entry['name']} #{entry['sequence']}")


def _answered(request: Mapping[str, Any]) -> Step:
    """Return the sandbox's log of a request as the step of its answer."""
    why = f"  {request['error_code']}" if request["error_code"] else ""
    return Step(
        datetime.fromtimestamp(request["answered_at"], UTC),
        "Stripe → gateway",
        f"{request['status']}{why}  to {request['method']} {request['path']}",
    )
