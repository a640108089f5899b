"""Where processes are killed: roles beside the sandbox, a client that orders, and the books at the end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests import deliveries
from tests.acceptance.kills.books import Books
from tests.acceptance.kills.record import Record
from tests.acceptance.kills.sandbox import Sandbox
from tests.stage import Running, Stage, becomes, order

KILLS = 10
"""Each boundary is met so often."""

WEBHOOKS = "/webhooks/stripe"


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a kill test has at hand."""

    stage: Stage
    record: Record
    sandbox: Sandbox
    http: httpx.AsyncClient
    authority: Mapping[str, str]

    def place(self, gateway: Running, event: str, **changes: Any) -> "asyncio.Task[httpx.Response]":
        """Order a payment of 19.99 euros, and do not wait for the answer."""
        url, headers = f"{gateway.url}/charge", dict(self.authority)
        return asyncio.create_task(self.http.post(url, json=order(event, event_id=event, **changes), headers=headers))

    async def pay(self, gateway: Running, event: str) -> None:
        """Order, again and again while nobody can tell what becomes of it, until it is paid."""
        await becomes((200, "succeeded"), lambda: self._status(gateway, event))

    async def accept(self, events: Iterable[str]) -> None:
        """Leave payments behind whose gateway was killed before a byte of its requests was read."""
        async with silent_stripe() as url:
            with self.stage.start("gateway", STRIPE_API_BASE=url) as gateway:
                placed = [self.place(gateway, event) for event in events]
                await self.come_to(dict.fromkeys(events, "processing"))
                await self.record.stop_time(events)
            for one in placed:
                await unanswered(one)

    async def charge_unheard(self, events: Iterable[str]) -> None:
        """Leave payments behind that Stripe carried out, and whose gateway was killed before it heard of it."""
        holds = [await self.sandbox.hold(event, "after") for event in events]
        with self.stage.start("gateway") as gateway:
            placed = [self.place(gateway, event) for event in events]
            for hold in holds:
                await self.sandbox.until_held(hold)
            await self.record.stop_time(events)
        for one, hold in zip(placed, holds, strict=True):
            await unanswered(one)
            await self.sandbox.let_go(hold)

    async def notices_of(self, event: str) -> list[dict[str, Any]]:
        """Return Stripe's events about the payment of an order's event, oldest first."""
        told = await self.sandbox.listed("events")
        return [one for one in reversed(told) if one["data"]["object"]["metadata"].get("event_id") == event]

    def deliver(self, receiver: Running, notice: Mapping[str, Any]) -> "asyncio.Task[httpx.Response]":
        """Deliver an event as Stripe does, and do not wait for the answer."""
        body = deliveries.encoded(notice)
        return asyncio.create_task(
            self.http.post(receiver.url + WEBHOOKS, content=body, headers=deliveries.signed(body))
        )

    async def notify(self, receiver: Running, event: str) -> None:
        """Deliver all that Stripe has to say of a payment, at once, and again where it is not acknowledged."""
        await asyncio.gather(*(self._acknowledged(receiver, notice) for notice in await self.notices_of(event)))

    async def come_to(self, expected: Mapping[str, str]) -> None:
        """Return once the payments of these events stand so."""
        await becomes(expected, lambda: self.record.states(expected))

    async def agree(self, expected: Mapping[str, str]) -> None:
        """Wait until these events' payments stand as expected and all is published; then compare the books of them."""
        await self.come_to(expected)
        await becomes(0, self.record.to_publish)
        books = Books(
            [one for one in await self.record.payments() if one.event_id in expected],
            await self.record.facts(),
            [one for one in await self.sandbox.listed("payment_intents") if one["metadata"]["event_id"] in expected],
            [one for one in await self.sandbox.listed("charges") if one["metadata"]["event_id"] in expected],
        )
        faults = books.faults(expected)
        assert not faults, "\n".join(faults)

    async def _acknowledged(self, receiver: Running, notice: Mapping[str, Any]) -> None:
        await becomes(lambda answer: answer.status_code == httpx.codes.OK, lambda: self.deliver(receiver, notice))

    async def _status(self, gateway: Running, event: str) -> tuple[int, str | None]:
        answer = await self.place(gateway, event)
        return answer.status_code, answer.json().get("status")


def events_of(boundary: str) -> list[str]:
    """Return an event for each kill at a boundary."""
    return [f"{boundary}-{number}" for number in range(1, KILLS + 1)]


def all_succeeded(events: Iterable[str]) -> Mapping[str, str]:
    """Return what is expected of payments that nothing but a kill could harm."""
    return dict.fromkeys(events, "succeeded")


async def unanswered(asked: "asyncio.Task[httpx.Response]") -> None:
    """Whoever was to answer is dead, and the connection with it: the client cannot know what became of its request."""
    with pytest.raises(httpx.TransportError):
        await asked


@asynccontextmanager
async def silent_stripe() -> AsyncIterator[str]:
    """Yield the address of a Stripe that accepts connections, and never reads a byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
