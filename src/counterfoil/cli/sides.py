"""Both sides as the demo and the tour ask them over HTTP: our gateway, and the Stripe sandbox."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.installation import SANDBOX_KEY, Installation
from counterfoil.runtime.clock import Clock

if TYPE_CHECKING:
    import httpx

ANSWER_SECONDS: Final = 40.0
"""`/charge` may take 35 s; everything else is there at once."""

_PAGE: Final = 100


def _client(url: str, token: str | None = None) -> "httpx.AsyncClient":
    import httpx

    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=ANSWER_SECONDS)


class BothSides:
    """What our gateway shows, and what the sandbox holds; a context manager.

    Raises CommandFailed at its end where one of them stopped answering.
    """

    def __init__(self, here: Installation, clock: Clock) -> None:
        self._gateway = _client(here.gateway.url, here.token.reveal())
        self._sandbox = _client(here.plan.ports.url("sandbox"), SANDBOX_KEY.reveal())
        self._logs: Path = here.plan.log("").parent
        self._clock = clock
        self._published: list[Mapping[str, Any]] = []
        self._read_to = 0
        self._events: list[Mapping[str, Any]] = []
        self._moved: list[tuple[datetime, timedelta]] = []

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

    async def post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        """Post something to the gateway and return its answer: HTTP status, and the payment, refund … as it stood then.

        A refusal is an answer, too: its body is the problem.
        """
        answer = await self._gateway.post(path, json=body, headers=dict(headers or {}))
        told: Mapping[str, Any] = answer.json()
        # In a problem, which answers what failed, `status` is the number.
        return answer.status_code, {**told, "status": told.get("payment_status", told.get("status"))}

    async def link(self, customer_id: str, stripe_customer: str, method: str) -> None:
        """Link a customer to Stripe's, with a default method."""
        link = {"stripe_customer": stripe_customer, "default_payment_method": method}
        answer = await self._gateway.put(f"/customers/{customer_id}", json=link)
        if answer.is_error:
            raise CommandFailed(f"the gateway did not link the customer [{answer.status_code}]")

    async def payment(self, payment_id: str) -> Mapping[str, Any]:
        """Return a payment as the gateway shows it."""
        return await self._asked(f"/payments/{payment_id}")

    async def payment_of(self, order_id: str) -> Mapping[str, Any] | None:
        """Return the payment of an order as the gateway shows it, or None where it has none yet."""
        answer = await self._gateway.get(f"/orders/{order_id}/payment")
        if answer.is_client_error:
            return None
        found: Mapping[str, Any] = answer.raise_for_status().json()
        return found

    async def timeline(self, payment_id: str) -> list[Mapping[str, Any]]:
        """Return the entries of a payment's timeline."""
        entries: list[Mapping[str, Any]] = (await self._asked(f"/payments/{payment_id}/timeline"))["entries"]
        return entries

    async def effects(self, payment_id: str) -> list[Mapping[str, Any]]:
        """Return what followed from a payment's end."""
        effects: list[Mapping[str, Any]] = (await self._asked(f"/payments/{payment_id}/effects"))["effects"]
        return effects

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

    async def published(self) -> list[Mapping[str, Any]]:
        """Return all facts published so far, in their order; the gateway is asked only for what is new."""
        while True:
            page = await self._asked("/events", after=self._read_to, limit=_PAGE)
            if not page["events"]:
                return self._published
            self._published += page["events"]
            self._read_to = page["next"]

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

    async def stripe_events(self) -> list[Mapping[str, Any]]:
        """Return all events of the sandbox's so far, oldest first; it is asked only for what is new."""
        while True:
            after = {"ending_before": self._events[-1]["id"]} if self._events else {}
            answer = await self._sandbox.get("/v1/events", params={"limit": _PAGE, **after})
            page = answer.raise_for_status().json()
            if not self._events and page["has_more"]:
                self._events = (await self.stripe_list("events"))[::-1]
                continue
            self._events += page["data"][::-1]
            if not page["has_more"]:
                return self._events

    async def at_stripe(self, path: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Do at Stripe what a merchant does in its dashboard, and return what came of it."""
        answer = await self._sandbox.post(f"/v1/{path}", data=dict(form))
        if answer.is_error:
            raise CommandFailed(f"the sandbox answered {answer.status_code} to POST /v1/{path}")
        made: Mapping[str, Any] = answer.json()
        return made

    async def requests(self, key: str) -> list[Mapping[str, Any]]:
        """Return what the sandbox logged under an idempotency key, oldest first, its times by our clock."""
        answer = await self._sandbox.get("/_sandbox/requests", params={"idempotency_key": key})
        return [
            {**one, **{name: self._by_our_clock(one[name]) for name in ("received_at", "answered_at")}}
            for one in answer.raise_for_status().json()["requests"]
        ]

    async def let_fail(self, *faults: Mapping[str, Any]) -> None:
        """Put faults into the sandbox's script."""
        (await self._sandbox.post("/_sandbox/faults", json=faults)).raise_for_status()

    async def let_pass(self, time: timedelta) -> None:
        """Move the sandbox's clock on. Our processes, and what it signs with, live by the machine's."""
        before = self._clock.now()
        answer = await self._sandbox.post("/_sandbox/clock", json={"advance_seconds": time.total_seconds()})
        self._moved.append((before, timedelta(seconds=answer.raise_for_status().json()["offset_seconds"])))

    async def approve(self, url: str) -> None:
        """Do on the bank's page what the customer does, without any key."""
        async with _client(url) as customer:
            answer = await customer.post(url, data={"outcome": "approve"})
        if answer.is_error:
            raise CommandFailed(f"the bank's page answered {answer.status_code} to the customer")

    def _by_our_clock(self, seconds: float) -> datetime:
        time = datetime.fromtimestamp(seconds, UTC)
        for moved_at, offset in reversed(self._moved):
            if time - offset >= moved_at:
                return time - offset
        return time

    async def _asked(self, path: str, **parameters: str | int) -> Mapping[str, Any]:
        answer = await self._gateway.get(path, params=parameters)
        if answer.is_error:
            raise CommandFailed(f"the gateway answered {answer.status_code} to GET {path}")
        body: Mapping[str, Any] = answer.json()
        return body
