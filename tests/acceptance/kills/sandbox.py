"""The Stripe sandbox, as the kill tests use it from outside: its `/v1` for the books, its `/_sandbox` for holds."""

from dataclasses import dataclass
from typing import Any

import httpx
from tests.stage import KEY, becomes

PAYMENT_INTENTS = "/v1/payment_intents"
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox process."""

    url: str
    http: httpx.AsyncClient

    async def listed(self, resource: str) -> list[dict[str, Any]]:
        """Return everything in one of its lists, newest first."""
        found: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = await self._asked("GET", f"/v1/{resource}", params={"limit": _PAGE, **after})
            found += page["data"]
            if not page["has_more"]:
                return found
            after = {"starting_after": page["data"][-1]["id"]}

    async def hold(self, key: str, when: str = "before") -> str:
        """Hold the next charge under an idempotency key, before or after the work; return what to let go."""
        hold = {"method": "POST", "path": PAYMENT_INTENTS, "idempotency_key": key, "when": when}
        name: str = (await self._asked("POST", "/_sandbox/hold", json=hold))["id"]
        return name

    async def until_held(self, hold: str) -> None:
        """Return once the request that was meant is there, and held."""
        await becomes(lambda names: hold in names, self._held)

    async def let_go(self, hold: str) -> None:
        """Let a request go on."""
        await self._asked("DELETE", f"/_sandbox/hold/{hold}")

    async def answers(self, key: str) -> list[int | None]:
        """Return the status of each answer to a request under an idempotency key, oldest first."""
        log = await self._asked("GET", "/_sandbox/requests", params={"idempotency_key": key})
        return [one["status"] for one in sorted(log["requests"], key=lambda one: one["received_at"])]

    async def distort(self, *faults: dict[str, Any]) -> None:
        """Put faults."""
        await self._asked("POST", "/_sandbox/faults", json=list(faults))

    async def advance(self, seconds: int) -> None:
        """Move its clock; what is due on the way happens, deliveries included."""
        await self._asked("POST", "/_sandbox/clock", json={"advance_seconds": seconds})

    async def register(self, url: str, api_version: str) -> str:
        """Register a webhook endpoint, and return the secret it signs with."""
        endpoint = {"url": url, "enabled_events[]": "*", "api_version": api_version}
        secret: str = (await self._asked("POST", "/v1/webhook_endpoints", data=endpoint))["secret"]
        return secret

    async def _held(self) -> list[str]:
        return [one["hold"] for one in (await self._asked("GET", "/_sandbox/hold"))["held"]]

    async def _asked(self, method: str, path: str, **sent: Any) -> Any:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = await self.http.request(method, self.url + path, headers=headers, **sent)
        return answer.raise_for_status().json()
