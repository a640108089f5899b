"""Where one payment is driven in two ways: an installation with mail and bank, and a state machine beside it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from tests.acceptance.merchant import Merchant
from tests.aws import Aws, Execution, Queue
from tests.mail_server import MailServer
from tests.stage import Running, Stage, becomes, fetch

from counterfoil.workflow import local, machine

NAME = "two-drivers"

TIMEOUTS = {"payment_seconds": 90, "heartbeat_seconds": 30, "effect_seconds": 60, "retry_seconds": 3}
"""Longer than any scene takes, so that a machine ends by what is told it, and not by its own clock."""

ITEMS = [{"sku": "mug", "quantity": 2}]
MANDATE = {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "192.0.2.7", "user_agent": "a browser"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of an order: the payment, its facts, what followed, the letters, and what the stock was asked."""

    state: str
    captured: int
    attempts: tuple[str, ...]
    facts: tuple[str, ...]
    effects: tuple[tuple[str, str], ...]
    letters: tuple[str, ...]
    stock: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Town:
    """Everything that a scene has at hand; the worker may be another one after a scene."""

    stage: Stage
    merchant: Merchant
    mail: MailServer
    aws: Aws
    queue: Queue
    machine: str
    worker: Running

    async def outcome(self, event_id: str) -> Outcome | None:
        """Return what came of an order so far; None where it has no payment."""
        found = await self._rows(
            "SELECT p.id, p.state, p.amount_captured,"
            " (SELECT array_agg(state ORDER BY number) FROM attempts WHERE payment_id = p.id),"
            " (SELECT array_agg(name ORDER BY version) FROM facts WHERE payment_id = p.id),"
            " (SELECT array_agg(kind || ' ' || state ORDER BY kind) FROM effects WHERE payment_id = p.id)"
            " FROM payments AS p WHERE p.event_id =",
            event_id,
        )
        if not found:
            return None
        ((payment_id, state, captured, attempts, facts, effects),) = found
        letters = [kind.partition(".") for kind in self.mail.kinds()]
        return Outcome(
            state,
            captured,
            tuple(attempts),
            tuple(facts),
            tuple((kind, how) for kind, _, how in (one.partition(" ") for one in effects or [])),
            tuple(kind for about, _, kind in letters if about == str(payment_id)),
            await self._stock(str(payment_id)),
        )

    async def becomes(self, event_id: str, expected: Outcome | None) -> None:
        """Return once this is what came of an order."""
        await becomes(expected, lambda: self.outcome(event_id), seconds=60)

    async def payment_id(self, event_id: str) -> str:
        """Return the payment of an order, as soon as it has one."""
        found = await becomes(bool, lambda: self._rows("SELECT id::text FROM payments WHERE event_id =", event_id))
        return str(found[0][0])

    async def _stock(self, payment_id: str) -> tuple[tuple[str, str], ...]:
        """Return what the stock was asked for in published facts, which are what a topic carries."""
        rows = await self._rows(
            "SELECT body FROM positions JOIN facts USING (payment_id, version)"
            " WHERE name = 'InventoryAdjustmentRequested' AND payment_id::text =",
            payment_id,
        )
        bodies = [json.loads(body) for (body,) in rows]
        return tuple((body["direction"], json.dumps(body["items"], sort_keys=True)) for body in bodies)

    async def is_planned(self, payment_id: str) -> bool:
        """Return whether a payment is to be tried again."""
        found = await self._rows("SELECT retry_at IS NOT NULL FROM payments WHERE id::text =", payment_id)
        return found == [(True,)]

    async def is_begun(self, event_id: str) -> None:
        """Return once somebody is about to send the receipt of an order."""
        query = "SELECT claimed_by FROM effects JOIN payments ON id = payment_id WHERE kind = 'receipt' AND event_id ="

        async def owned() -> bool:
            return any(owner is not None for (owner,) in await self._rows(query, event_id))

        await becomes(bool, owned)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return await fetch(self.stage, query)

    async def _rows(self, query: str, text: str) -> list[tuple[Any, ...]]:
        return await fetch(self.stage, f"{query} '{text}'")

    async def change(self, statement: str) -> None:
        """Let something be otherwise in the database than time would have it."""
        await fetch(self.stage, f"{statement} RETURNING 1")


class Driver(Protocol):
    """Places an order, and says how whoever placed it is answered in the end."""

    name: str

    async def place(self, order: Mapping[str, Any], **timeouts: int) -> None:
        """Place an order of POST /charge; a machine waits for its steps as long as is said."""

    async def said(self) -> str:
        """Return how the one who placed it is answered, once that is known."""


@dataclass(slots=True)
class Plain:
    """Orders come over HTTP, and the worker does the rest unasked."""

    town: Town
    http: httpx.AsyncClient
    name: str = "plain"
    answer: httpx.Response | None = None

    async def place(self, order: Mapping[str, Any], **_timeouts: int) -> None:
        """Place an order."""
        self.answer = await self.town.merchant.charge(self.http, order)

    async def said(self) -> str:
        """Return the status of the answer, and of what kind the refusal is."""
        assert self.answer is not None
        return f"{self.answer.status_code} {self.answer.json().get('type', '').rpartition(':')[2]}".strip()


@dataclass(slots=True)
class Machine:
    """Orders are inputs of a state machine, and the worker does what that asks for."""

    town: Town
    name: str = "machine"
    execution: Execution | None = None

    async def place(self, order: Mapping[str, Any], **timeouts: int) -> None:
        """Start an execution that asks for the same."""
        kind = "sepa_debit" if "sepa" in str(order["payment_method"]) else "card"
        given = {
            "event_id": order["event_id"],
            "order_id": order["order_id"],
            "amount": order["amount_cents"],
            "currency": order["currency"],
            "customer": {"email": order["customer_email"]},
            "payment_method": {"type": kind, "id": order["payment_method"]},
            "items": order["items"],
            "timeouts": TIMEOUTS | timeouts,
        }
        if "customer_id" in order:
            given["customer"] = {"id": order["customer_id"], **given["customer"]}
        given |= {name: order[name] for name in ("mandate", "off_session") if name in order}
        start = self.town.aws.execution
        self.execution = await asyncio.to_thread(start, self.town.machine, str(order["event_id"]), given)

    async def said(self) -> str:
        """Return how the execution ended: its status, and the error's name."""
        assert self.execution is not None
        ended = await self.execution.ends(seconds=60)
        return f"{ended['status']} {ended.get('error', '')}".strip()


def hired(stage: Stage, aws: Aws, queue: Queue, mail: MailServer) -> Running:
    """Start a worker that hears the queue, and sends letters."""
    sender = {"SMTP_URL": mail.url, "MAIL_FROM": "Shop <orders@shop.example>"}
    return stage.start("worker", STEP_FUNCTIONS_QUEUE_URL=queue.url, **aws.settings, **sender)


def deployed(aws: Aws) -> tuple[Queue, str]:
    """Make the machine as it is deployed, and the queue it sends to."""
    dead_letters, queue = Queue.made(aws, f"{NAME}-dlq"), Queue.made(aws, NAME)
    arn = f"arn:aws:sqs:{local.REGION}:{local.ACCOUNT}:{dead_letters.url.rpartition('/')[2]}"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    aws.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    return queue, aws.machine(NAME, json.loads(machine.rendered(queue.url)))


def wanted(scene: str, driver: Driver, **changes: Any) -> dict[str, Any]:
    """Return an order of 19.99 euros for two mugs; each scene has its own for each driver."""
    name = f"{scene}-{driver.name}"
    return {
        "event_id": f"event-{name}",
        "order_id": f"order-{name}",
        "amount_cents": 1999,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "customer_email": f"{name}@customer.example",
        "items": ITEMS,
        **changes,
    }
