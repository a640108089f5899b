"""Both sides as the demo asks them over HTTP: our gateway, and the Stripe sandbox."""

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
        self._moved: tuple[datetime, timedelta] | None = None

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

    async def charge(self, order: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Order a payment at the gateway and return its answer: HTTP status, and the payment as it stood then.

        Raises CommandFailed when the gateway refuses the order.
        """
        answer = await self._gateway.post("/charge", json=order)
        body: Mapping[str, Any] = answer.json()
        if "payment_id" not in body:
            raise CommandFailed(f"the gateway refused the order [{answer.status_code}]: {body.get('detail', '')}")
        # In a problem, which answers what failed, `status` is the number.
        return answer.status_code, {**body, "status": body.get("payment_status", body["status"])}

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
        """Move the sandbox's clock on, once. Our processes, and what it signs with, live by the machine's."""
        assert self._moved is None
        before = self._clock.now()
        answer = await self._sandbox.post("/_sandbox/clock", json={"advance_seconds": time.total_seconds()})
        self._moved = before, timedelta(seconds=answer.raise_for_status().json()["offset_seconds"])

    async def approve(self, url: str) -> None:
        """Do on the bank's page what the customer does, without any key."""
        async with _client(url) as customer:
            answer = await customer.post(url, data={"outcome": "approve"})
        if answer.is_error:
            raise CommandFailed(f"the bank's page answered {answer.status_code} to the customer")

    def _by_our_clock(self, seconds: float) -> datetime:
        time = datetime.fromtimestamp(seconds, UTC)
        if self._moved is None:
            return time
        moved_at, offset = self._moved
        return time - offset if time - offset >= moved_at else time

    async def _asked(self, path: str, **parameters: str | int) -> Mapping[str, Any]:
        answer = await self._gateway.get(path, params=parameters)
        if answer.is_error:
            raise CommandFailed(f"the gateway answered {answer.status_code} to GET {path}")
        body: Mapping[str, Any] = answer.json()
        return body
