"""A merchant at work: places orders, reads what became of them, and plays their customers and the days that pass."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from tests.stage import KEY, Running, Stage, authority, fetch

from counterfoil.store.tokens import Scope

DAY_SECONDS = 86_400
MOST_FACTS = 1000


@dataclass(frozen=True, slots=True)
class Merchant:
    """Whoever holds a token of a gateway, and an account at the sandbox behind it."""

    stage: Stage
    gateway: Running
    headers: Mapping[str, str]

    async def charge(self, http: httpx.AsyncClient, body: Mapping[str, Any]) -> httpx.Response:
        """Place an order."""
        return await http.post(f"{self.gateway.url}/charge", json=body, headers=self.headers)

    async def ask(self, http: httpx.AsyncClient, path: str) -> Any:
        """Read something at the gateway."""
        answer = await http.get(self.gateway.url + path, headers=self.headers)
        return answer.raise_for_status().json()

    async def payment(self, http: httpx.AsyncClient, payment_id: str) -> Any:
        """Return a payment as the gateway shows it."""
        return await self.ask(http, f"/payments/{payment_id}")

    async def status(self, http: httpx.AsyncClient, payment_id: str) -> str:
        """Return how a payment stands."""
        return str((await self.payment(http, payment_id))["status"])

    async def published(self, http: httpx.AsyncClient) -> list[dict[str, Any]]:
        """Return every fact that was published, in the order of its position."""
        found: list[dict[str, Any]] = []
        while True:
            position = found[-1]["position"] if found else 0
            page = (await self.ask(http, f"/events?limit={MOST_FACTS}&after={position}"))["events"]
            found += page
            if len(page) < MOST_FACTS:
                return found

    async def story(self, http: httpx.AsyncClient, payment_id: str) -> list[str]:
        """Return the names of a payment's published facts, in order."""
        return [fact["type"] for fact in await self.published(http) if fact["payment_id"] == payment_id]

    async def learned_by(self, payment_id: str) -> str:
        """Return how we came to know of a payment's last fact. Those before it may be heard from either side first."""
        query = f"SELECT cause_source FROM facts WHERE payment_id = '{payment_id}' ORDER BY version DESC LIMIT 1"  # noqa: S608 - a uuid that the gateway gave
        ((source,),) = await fetch(self.stage, query)
        return str(source)

    async def at_stripe(self, http: httpx.AsyncClient, method: str, path: str) -> Any:
        """Ask the account at the sandbox itself, for what we have no step for."""
        headers = {"Authorization": f"Bearer {KEY}"}
        return (await http.request(method, self.stage.sandbox_url + path, headers=headers)).raise_for_status().json()

    async def days_pass(self, http: httpx.AsyncClient, days: float) -> None:
        """Move the sandbox's clock; what falls due there has happened, and was delivered once, when this returns."""
        await self.script(http, "clock", {"advance_seconds": days * DAY_SECONDS})

    async def script(self, http: httpx.AsyncClient, what: str, wanted: Any) -> None:
        """Tell the sandbox what is to happen to it."""
        (await http.post(f"{self.stage.sandbox_url}/_sandbox/{what}", json=wanted)).raise_for_status()

    @asynccontextmanager
    async def fault(self, http: httpx.AsyncClient, **fault: Any) -> AsyncIterator[None]:
        """Let a fault strike whenever it can, until the context is left."""
        await self.script(http, "faults", {"times": None, **fault})
        try:
            yield
        finally:
            (await http.delete(f"{self.stage.sandbox_url}/_sandbox/faults")).raise_for_status()


async def merchant_at(stage: Stage) -> Merchant:
    """Start a gateway, and return a merchant who may charge at it and read."""
    return Merchant(stage, stage.start("gateway"), await authority(stage, Scope.CHARGE, Scope.READ))


async def answers_challenge(http: httpx.AsyncClient, url: str, outcome: str) -> httpx.Response:
    """Do at the sandbox's page what a customer does who can identify themselves (`approve`) or cannot (`refuse`)."""
    return await http.post(url, data={"outcome": outcome}, follow_redirects=False)


async def listed(http: httpx.AsyncClient, stage: Stage, kind: str) -> list[dict[str, Any]]:
    """Everything of a kind that the processor has."""
    authorized = {"Authorization": f"Bearer {KEY}"}
    found: list[dict[str, Any]] = []
    more = True
    while more:
        behind = {"starting_after": found[-1]["id"]} if found else {}
        answer = await http.get(
            f"{stage.sandbox_url}/v1/{kind}",
            params={"limit": "100", **behind},
            headers=authorized,
        )
        page = answer.json()
        found += page["data"]
        more = page["has_more"]
    return found
