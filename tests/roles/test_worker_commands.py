"""A worker as a process that hears commands, checks and cancellations from a real Kafka."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import pytest
import pytest_asyncio
from confluent_kafka import Message
from tests.broker import LACKING, WHY_SKIPPED, Kafka, header
from tests.stage import Running, Stage, becomes, fetch

from counterfoil.bus.message import Outgoing
from counterfoil.roles.worker.listening import GROUP, TOPICS

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]

NUMBERS = itertools.count(1)
PAYMENTS = "SELECT id, order_id, state, amount_captured, amount_refunded, version FROM payments ORDER BY id"
REFUNDS = "SELECT id, payment_id, state, amount FROM refunds ORDER BY id"


@pytest_asyncio.fixture(loop_scope="session")
async def name(kafka: Kafka) -> AsyncIterator[str]:
    """What this test's messages are called; workers begin behind those of other tests."""
    for topic in TOPICS:
        await kafka.move(GROUP, topic, await kafka.ends(topic))
    yield f"commanded-{next(NUMBERS)}"


def payment_id(name: str, number: int) -> UUID:
    return uuid5(UUID(int=7), f"{name}-{number}")


def message(topic: str, kind: str, key: object, body: dict[str, Any]) -> Outgoing:
    return Outgoing(topic, str(key).encode(), json.dumps(body).encode(), (("ce_type", kind.encode()),))


def process(name: str, number: int, **changes: Any) -> Outgoing:
    """A command to make a payment of 19.99 euros; the same number is the same payment, key and order."""
    body: dict[str, Any] = {
        "paymentId": str(payment_id(name, number)),
        "amount": "19.99",
        "currency": "EUR",
        "paymentMethod": {"type": "card", "token": "pm_card_visa"},
        "idempotencyKey": f"key-{name}-{number}",
        "metadata": {"orderId": f"order-{name}-{number}"},
    }
    return message("payments.commands", "ProcessPayment", payment_id(name, number), {**body, **changes})


def give_back(name: str, number: int, key: str, **changes: Any) -> Outgoing:
    """A command to give money of that payment back."""
    body = {"paymentId": str(payment_id(name, number)), "idempotencyKey": f"{key}-{name}-{number}", **changes}
    return message("payments.commands", "RefundPayment", payment_id(name, number), body)


def checked(name: str, number: int, decision: str) -> Outgoing:
    """What a fraud check found of that payment."""
    body = {"paymentId": str(payment_id(name, number)), "decision": decision, "transactionId": f"{decision}-{name}"}
    return message("fraud.checks", "FraudCheckCompleted", payment_id(name, number), body)


def cancelled(name: str, number: int) -> Outgoing:
    """That payment's order is not wanted any more."""
    body = {"orderId": f"order-{name}-{number}", "reason": "CUSTOMER_REQUESTED"}
    return message("orders.cancelled", "OrderCancelled", f"order-{name}-{number}", body)


def worker(stage: Stage, kafka: Kafka, **settings: str) -> Running:
    return stage.start("worker", KAFKA_BROKERS=kafka.brokers, **settings)


async def all_done(kafka: Kafka) -> None:
    """Return once the workers have passed everything on their topics."""
    for topic in TOPICS:
        await becomes(await kafka.ends(topic), partial(kafka.committed, GROUP, topic), seconds=90)


async def letters(kafka: Kafka, name: str, least: int) -> dict[str, tuple[str, str]]:
    """Return reason and attempts of this test's dead letters on the topic of commands, once there are so many."""

    def ours(found: list[Message]) -> list[Message]:
        return [one for one in found if name.encode() in (one.value() or b"")]

    found = ours(await kafka.heard("payments.commands.dlq", lambda found: len(ours(found)) >= least))
    return {(one.key() or b"").decode(): (header(one, "dlq_reason"), header(one, "dlq_attempts")) for one in found}


async def states(stage: Stage) -> dict[UUID, str]:
    return {UUID(str(one)): state for one, state in await fetch(stage, "SELECT id, state FROM payments")}


async def test_commands_have_their_effect_once(stage: Stage, kafka: Kafka, name: str) -> None:
    """Payments and refunds, each command three times; the worker killed among them, and all of it heard once more."""
    running = worker(stage, kafka)
    begin = await kafka.ends("payments.commands")
    made = [process(name, number) for number in range(40)]
    await kafka.say(*made, *made)
    await becomes(lambda found: len(found) > 5, lambda: states(stage))
    running.kill()
    running = worker(stage, kafka)
    await kafka.say(*made)
    ids = {payment_id(name, number) for number in range(40)}
    await becomes(dict.fromkeys(ids, "succeeded"), lambda: states(stage), seconds=90)
    back = [give_back(name, number, "some", amount=500) for number in range(10)]
    await kafka.say(*back, *back, *(give_back(name, number, "rest") for number in range(5)))
    await all_done(kafka)
    await becomes([("processed", 15)], lambda: fetch(stage, "SELECT state, count(*) FROM refunds GROUP BY state"))

    books = [await fetch(stage, query) for query in (PAYMENTS, REFUNDS)]
    assert sorted(row[4] for row in books[0]) == [0] * 30 + [500] * 5 + [1999] * 5
    running.terminate()
    assert await asyncio.to_thread(running.ended) == 0
    await kafka.move(GROUP, "payments.commands", begin)
    again = worker(stage, kafka)
    await all_done(kafka)
    assert [await fetch(stage, query) for query in (PAYMENTS, REFUNDS)] == books
    again.terminate()
    assert await asyncio.to_thread(again.ended) == 0


async def test_what_comes_before_its_payment_is_kept_for_it(stage: Stage, kafka: Kafka, name: str) -> None:
    """Verdicts and cancellations of what is not here yet (Q14); a later word on what is decided is ignored (Q11)."""
    running = worker(stage, kafka, FRAUD_SCREENING="before_charge")
    await kafka.say(checked(name, 1, "APPROVED"), checked(name, 2, "DECLINED"), cancelled(name, 3))
    await kafka.say(checked(name, 1, "MANUAL_REVIEW"), checked(name, 1, "DECLINED"))
    await all_done(kafka)
    await kafka.say(*(process(name, number) for number in range(1, 5)))
    expected = {1: "succeeded", 2: "failed", 3: "canceled", 4: "screening"}
    await becomes({payment_id(name, one): state for one, state in expected.items()}, lambda: states(stage))
    await kafka.say(checked(name, 4, "APPROVED"), checked(name, 1, "DECLINED"), cancelled(name, 1))
    await becomes("succeeded", lambda: state_of(stage, payment_id(name, 4)))
    await becomes([(1999,)], lambda: fetch(stage, "SELECT amount_refunded FROM payments WHERE amount_refunded > 0"))
    running.terminate()
    assert await asyncio.to_thread(running.ended) == 0


async def state_of(stage: Stage, wanted: UUID) -> str | None:
    return (await states(stage)).get(wanted)


async def test_commands_that_cannot_be_are_dead_letters(stage: Stage, kafka: Kafka, name: str) -> None:
    """A refund of no payment after three tries (Q14), the others at once; what stands among them has its effect."""
    running = worker(stage, kafka)
    await kafka.say(process(name, 1))
    await all_done(kafka)
    await kafka.say(
        give_back(name, 2, "unknown"),
        process(name, 3, paymentMethod={"type": "paypal", "token": "pp_1"}),
        process(name, 4, amount="19.999"),
        process(name, 5, idempotencyKey=f"key-{name}-1"),
        process(name, 6, surprise=name),
        process(name, 7),
    )
    await all_done(kafka)
    found = await letters(kafka, name, 5)
    assert {UUID(one): why for one, why in found.items()} == {
        payment_id(name, 2): ("tries", "3"),
        payment_id(name, 3): ("method-refused", "1"),
        payment_id(name, 4): ("invalid-request", "1"),
        payment_id(name, 5): ("idempotency-key-reused", "1"),
        payment_id(name, 6): ("invalid-request", "1"),
    }
    paid = {payment_id(name, 1): "succeeded", payment_id(name, 7): "succeeded"}
    await becomes(paid, lambda: states(stage))
    running.terminate()
    assert await asyncio.to_thread(running.ended) == 0
