"""Machines hear what became of their tasks, once, by a Step Functions that carries them out."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from tests.aws import Aws
from tests.driving import Sleeper, machines, task
from tests.journey.test_fulfil import adjustments, mailed, standing, work
from tests.journey.test_retry import kept_at, send_due, try_due
from tests.journey.test_undertake import take_in
from tests.orders import Shop

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.domain.driving import CLAIM, TaskStep
from counterfoil.domain.effects import MOST_TRIES, WAITS
from counterfoil.journey import accept, authorize, cancel, report
from counterfoil.journey.accept import Accepted
from counterfoil.journey.authorize import Sending
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.workflow.machines import Machines
from counterfoil.workflow.sdk import Threads
from stripe_sandbox.sandbox import Server

DECLINED = "pm_card_chargeDeclined"


async def begun(aws: Aws, *, timeout_seconds: int = 60) -> Sleeper:
    return await asyncio.to_thread(Sleeper.begun, aws, timeout_seconds=timeout_seconds)


async def driven(shop: Shop, sleeper: Sleeper, wished: Any) -> Sending:
    wish = replace(await shop.wish(wished, "test"), task=sleeper.asks(TaskStep.PAYMENT))
    (answer,) = await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())
    assert isinstance(answer, Accepted), answer
    assert answer.claim is not None
    return Sending(wish.payment_id, 1, answer.claim, wish.request, again=False)


async def tell(shop: Shop, way: Machines) -> int:
    """One round of the worker; return how many machines were told something."""
    due = await report.claim_due(shop.pool, "worker", shop.clock.now())
    heard = await asyncio.gather(*(report.call(way, one) for one in due))
    await report.record(shop.pool, heard, shop.clock.now())
    return len(due)


async def tokens(shop: Shop) -> list[tuple[str, str | None, str | None, str | None]]:
    rows = await shop.pool.fetch("SELECT step, outcome, reason, token FROM task_tokens ORDER BY received_at, id")
    return [tuple(row.values()) for row in rows]


async def given_back(shop: Shop) -> bool:
    found: bool = await shop.pool.fetchval("SELECT given_back_at IS NOT NULL FROM driven_payments")
    return found


def nowhere() -> Machines:
    """A way to Step Functions that leads nowhere."""
    client = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-central-1").client(
        "stepfunctions", endpoint_url="http://127.0.0.1:9", config=Config(retries={"total_max_attempts": 1})
    )
    return Machines(client, Threads())


async def test_a_success_wakes_its_machine_and_the_token_is_forgotten(shop: Shop, aws: Aws) -> None:
    """The output is what the execution ends with; of the token no more is left than its hash."""
    sleeper = await begun(aws)
    payment = await shop.send(await driven(shop, sleeper, mailed()))

    assert await tell(shop, machines(aws)) == 1

    ended = await sleeper.execution.ends()
    assert (ended["status"], json.loads(ended["output"])["payment_id"]) == ("SUCCEEDED", str(payment.id))
    assert await tokens(shop) == [("payment", "succeeded", None, None)]
    assert await tell(shop, machines(aws)) == 0
    rows = await shop.pool.fetch("SELECT t::text AS row FROM task_tokens AS t")
    assert sleeper.token.reveal() not in "".join(row["row"] for row in rows)


async def test_a_decline_fails_the_task_with_what_is_needed_to_decide(shop: Shop, aws: Aws) -> None:
    """The error has a name to catch, and the cause is JSON."""
    sleeper = await begun(aws)
    await shop.send(await driven(shop, sleeper, mailed(method=DECLINED)))
    await tell(shop, machines(aws))
    ended = await sleeper.execution.ends()
    cause = json.loads(ended["cause"])
    assert (ended["status"], ended["error"]) == ("FAILED", "PaymentDeclined")
    assert (cause["status"], cause["retry_allowed"], cause["can_retry"]) == ("failed", False, True)
    assert await tokens(shop) == [("payment", "failed", None, None)]


async def test_a_token_that_timed_out_is_settled_and_its_payment_given_back(shop: Shop, aws: Aws) -> None:
    """The money comes late, the machine has gone: the worker does what follows, at once, and each once."""
    sleeper = await begun(aws, timeout_seconds=1)
    sending = await driven(shop, sleeper, mailed())
    await sleeper.execution.ends()

    payment = await shop.send(sending)
    assert await work(shop, None) == 0
    assert await tell(shop, machines(aws)) == 1

    assert [(step, outcome) for step, outcome, _, _ in await tokens(shop)] == [("payment", "dead")]
    assert await given_back(shop)
    assert await work(shop, None) == 2
    assert [one[:2] for one in await standing(shop, payment)] == [("receipt", "skipped"), ("stock_decrement", "done")]
    assert len(await adjustments(shop, payment)) == 1


async def test_a_dead_token_is_found_by_its_sign_of_life(shop: Shop, aws: Aws) -> None:
    """Before the money comes; then what follows from it is the worker's from the beginning, as of any payment."""
    sleeper = await begun(aws, timeout_seconds=1)
    sending = await driven(shop, sleeper, mailed())
    await sleeper.execution.ends()
    shop.clock.advance(timedelta(seconds=20))

    assert await tell(shop, machines(aws)) == 1

    assert [(step, outcome) for step, outcome, _, _ in await tokens(shop)] == [("payment", "dead")]
    payment = await shop.send(sending)
    assert ("stock_decrement", "done", None) in await standing(shop, payment)


async def test_a_dead_token_gives_nothing_back_while_another_lives(shop: Shop, aws: Aws) -> None:
    """Each retry of a step brings a new token: the machine is still there."""
    sleeper, younger = await begun(aws, timeout_seconds=1), await begun(aws)
    sending = await driven(shop, sleeper, mailed())
    await take_in(shop, replace(younger.asks(TaskStep.PAYMENT), payment_id=sending.payment_id))
    await sleeper.execution.ends()
    shop.clock.advance(timedelta(seconds=20))

    assert await tell(shop, machines(aws)) == 2

    assert sorted(str(outcome) for _, outcome, _, _ in await tokens(shop)) == ["None", "dead"]
    assert not await given_back(shop)
    await shop.send(sending)
    assert await work(shop, None) == 0
    await tell(shop, machines(aws))
    assert (await younger.execution.ends())["status"] == "SUCCEEDED"


async def test_a_sign_of_life_keeps_a_token_waiting(shop: Shop, aws: Aws) -> None:
    """It is said again and again, each a third of the time later, and the outcome is told when it comes."""
    sleeper = await begun(aws)
    sending = await driven(shop, sleeper, mailed())
    for _ in range(3):
        assert await tell(shop, machines(aws)) == 0
        shop.clock.advance(timedelta(seconds=20))
        assert await tell(shop, machines(aws)) == 1
    await shop.send(sending)
    assert await tell(shop, machines(aws)) == 1
    assert (await sleeper.execution.ends())["status"] == "SUCCEEDED"


async def test_an_outcome_that_comes_during_a_sign_of_life_is_told_at_once(shop: Shop, aws: Aws) -> None:
    """What is woken while somebody works on it is not put off to the next sign of life."""
    sleeper = await begun(aws)
    sending = await driven(shop, sleeper, mailed())
    shop.clock.advance(timedelta(seconds=20))
    (due,) = await report.claim_due(shop.pool, "worker", shop.clock.now())
    heard = await report.call(machines(aws), due)
    await shop.send(sending)
    await report.record(shop.pool, [heard], shop.clock.now())
    assert await tell(shop, machines(aws)) == 1
    assert (await sleeper.execution.ends())["status"] == "SUCCEEDED"


async def test_a_worker_that_dies_behind_the_call_says_it_once_more_and_no_more(shop: Shop, aws: Aws) -> None:
    """Step Functions refuses the second time; the token is settled, and nothing else happens twice."""
    sleeper = await begun(aws)
    payment = await shop.send(await driven(shop, sleeper, mailed()))
    (due,) = await report.claim_due(shop.pool, "doomed", shop.clock.now())
    await report.call(machines(aws), due)
    await sleeper.execution.ends()
    assert await tell(shop, machines(aws)) == 0
    shop.clock.advance(CLAIM)

    assert await tell(shop, machines(aws)) == 1

    assert [(step, outcome) for step, outcome, _, _ in await tokens(shop)] == [("payment", "dead")]
    assert await tell(shop, machines(aws)) == 0
    await work(shop, None)
    assert len(await adjustments(shop, payment)) == 1


async def test_a_worker_that_was_frozen_records_nothing(shop: Shop, aws: Aws) -> None:
    """Its claim is over, and the fence is another's."""
    sleeper = await begun(aws)
    await shop.send(await driven(shop, sleeper, mailed()))
    (frozen,) = await report.claim_due(shop.pool, "frozen", shop.clock.now())
    shop.clock.advance(CLAIM)
    assert await tell(shop, machines(aws)) == 1
    before = await tokens(shop)
    heard = await report.call(nowhere(), frozen)
    await report.record(shop.pool, [heard], shop.clock.now())
    assert await tokens(shop) == before


async def test_what_cannot_be_said_is_said_again_and_parked_in_the_end(shop: Shop, aws: Aws) -> None:
    """Half a day of tries; then a person is told, and the worker does what is left."""
    sleeper = await begun(aws)
    payment = await shop.send(await driven(shop, sleeper, mailed()))
    parked = {"step": "payment", "outcome": "parked"}
    before = REGISTRY.get_sample_value("counterfoil_task_tokens_total", parked) or 0.0
    for wait in WAITS:
        assert await tell(shop, nowhere()) == 1
        shop.clock.advance(wait)
    assert await tell(shop, nowhere()) == 1
    reason = "AWS was not reached (EndpointConnectionError)"
    assert await tokens(shop) == [("payment", "parked", reason, None)]
    assert len(WAITS) + 1 == MOST_TRIES
    assert REGISTRY.get_sample_value("counterfoil_task_tokens_total", parked) == before + 1
    assert await given_back(shop)
    await work(shop, None)
    assert len(await adjustments(shop, payment)) == 1


@pytest.mark.parametrize("in_hand", [False, True])
async def test_what_could_not_be_said_and_need_not_be_any_more_waits_as_before(
    shop: Shop,
    peer: Server,
    http: httpx.AsyncClient,
    in_hand: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """The decline was not heard, then the payment was tried again: that one's outcome is told like any other.

    Also where it comes while somebody gives a sign of life for the token.
    """
    wish = replace(
        await shop.wish(await kept_at(peer, http), "test"), task=task(TaskStep.PAYMENT, heartbeat_seconds=None)
    )
    (answer,) = await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())
    assert isinstance(answer, Accepted)
    assert answer.claim is not None
    await shop.send(Sending(wish.payment_id, 1, answer.claim, wish.request, again=False))
    assert await tell(shop, nowhere()) == 1
    await take_in(shop, task(TaskStep.RETRY, "token-2", payment_id=wish.payment_id, heartbeat_seconds=None))
    assert await try_due(shop) == 1
    shop.clock.advance(WAITS[0])
    (due,) = await report.claim_due(shop.pool, "worker", shop.clock.now())
    assert due.answer is None
    heard = await report.call(nowhere(), due)
    if in_hand:
        await send_due(shop)
    await report.record(shop.pool, [heard], shop.clock.now())
    if not in_hand:
        await send_due(shop)

    said = await report.claim_due(shop.pool, "worker", shop.clock.now())
    assert sorted((one.token.step, one.answer.body["attempt"]) for one in said if one.answer) == [
        ("payment", 2),
        ("retry", 2),
    ]


async def test_a_failed_effect_fails_its_step(shop: Shop, aws: Aws) -> None:
    """What is parked for a person is no success, and the machine may catch it by name."""
    sleeper = await begun(aws)
    payment = await shop.charge(mailed())
    await shop.pool.execute(
        "UPDATE effects SET state = 'parked', reason = 'the mail server refuses it', next_try_at = NULL"
        " WHERE kind = 'receipt'"
    )
    await take_in(shop, sleeper.asks(TaskStep.RECEIPT, payment_id=payment.id))
    await tell(shop, machines(aws))
    ended = await sleeper.execution.ends()
    assert (ended["error"], json.loads(ended["cause"])["reason"]) == ("EffectParked", "the mail server refuses it")


async def test_two_workers_tell_a_machine_once(shop: Shop, aws: Aws) -> None:
    """They claim at the same moment, and one of them has it."""
    sleepers = await asyncio.gather(*(begun(aws) for _ in range(4)))
    for number, sleeper in enumerate(sleepers):
        await shop.send(await driven(shop, sleeper, mailed(number)))
    told = await asyncio.gather(*(tell(shop, machines(aws)) for _ in range(3)))
    assert sum(told) == 4
    assert [outcome for _, outcome, _, _ in await tokens(shop)] == ["succeeded"] * 4
    assert [(await one.execution.ends())["status"] for one in sleepers] == ["SUCCEEDED"] * 4


async def test_a_cancellation_is_told_as_what_it_is(shop: Shop, aws: Aws) -> None:
    """An order that nobody wants any more ends without the money; the machine has an end of its own for that."""
    sleeper = await begun(aws)
    cancelled = Cancellation("order-1", CancelReason.CUSTOMER_REQUESTED)
    await cancel.run(shop.pool, shop.ids, cancelled, shop.clock.now())
    wish = replace(await shop.wish(mailed(), "test"), task=sleeper.asks(TaskStep.PAYMENT))
    await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())
    await tell(shop, machines(aws))
    ended = await sleeper.execution.ends()
    assert (ended["status"], json.loads(ended["output"])["status"]) == ("SUCCEEDED", "canceled")


@pytest.mark.parametrize("token", ["no-such-token", "x" * 1024])
async def test_a_token_that_nobody_knows_is_dead(shop: Shop, aws: Aws, token: str) -> None:
    """Whatever AWS calls it, nobody waits for it."""
    payment = await shop.charge(mailed())
    await take_in(shop, task(TaskStep.RECORD, token, payment_id=payment.id))
    await tell(shop, machines(aws))
    assert [(step, outcome) for step, outcome, _, _ in await tokens(shop)] == [("record", "dead")]


async def test_no_token_is_shown_by_what_holds_it(shop: Shop, aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a report that is printed by accident, nor a line of a log, nor an error's sentence has it."""
    sleeper = await begun(aws, timeout_seconds=1)
    sending = await driven(shop, sleeper, mailed())
    heard = await authorize.call(shop.stripe, sending, shop.clock)
    await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())
    due = await report.claim_due(shop.pool, "worker", shop.clock.now())
    told = await report.call(nowhere(), due[0])
    shown = f"{due!r} {told!r} {sleeper.asks(TaskStep.PAYMENT)!r} {caplog.text}"
    assert sleeper.token.reveal() not in shown
