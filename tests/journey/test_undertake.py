"""A machine's steps are taken in: each token once, each step due at once, and what it drives left to it for a while."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.driving import task
from tests.journey.test_fulfil import adjustments, mailed, standing, work
from tests.journey.test_retry import kept_at, send_due, try_due
from tests.journey.told_by_webhook import event, intent, keep, run
from tests.orders import Shop

from counterfoil.domain.driving import TaskStep
from counterfoil.domain.effects import EffectKind
from counterfoil.domain.errors import LookUpOnly
from counterfoil.domain.payment import Payment
from counterfoil.domain.schedule import MACHINE_GRACE, TRY_ANEW_AFTER
from counterfoil.domain.states import AttemptState
from counterfoil.journey import accept, fulfil, report, undertake
from counterfoil.journey.accept import Accepted
from counterfoil.journey.authorize import Sending
from counterfoil.messages.task import Task
from counterfoil.store import payments, restores, task_tokens
from counterfoil.store.task_tokens import Arriving
from stripe_sandbox.sandbox import Server

DECLINED = "pm_card_chargeDeclined"
FIRST = "token-1"


async def driven(shop: Shop, wished: Any, token: str = FIRST) -> Sending:
    """Accept an order that a machine waits for; return what is to be sent."""
    wish = replace(await shop.wish(wished, "test"), task=task(TaskStep.PAYMENT, token))
    (answer,) = await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())
    assert isinstance(answer, Accepted), answer
    assert answer.claim is not None
    return Sending(wish.payment_id, 1, answer.claim, wish.request, again=False)


async def paid(shop: Shop, wished: Any) -> Payment:
    return await shop.send(await driven(shop, wished))


async def take_in(shop: Shop, *tasks: Task) -> None:
    await undertake.run(shop.pool, shop.ids, tasks, shop.clock.now())


async def due(shop: Shop) -> list[tuple[str, str | None, Any]]:
    """What is to be said to machines now: step, error, body; None where it is that the task is worked on."""
    said = await report.claim_due(shop.pool, "test", shop.clock.now())
    return sorted(
        (one.token.step.value, one.answer.error if one.answer else None, one.answer.body if one.answer else None)
        for one in said
    )


async def test_a_new_order_and_its_token_are_one_transaction(shop: Shop) -> None:
    """Nobody can end the payment before its machine waits for it."""
    sending = await driven(shop, mailed())
    rows = await shop.pool.fetch(
        "SELECT xmin::text FROM payments UNION SELECT xmin::text FROM task_tokens UNION SELECT xmin::text"
        " FROM driven_payments"
    )
    assert len(rows) == 1
    assert await shop.pool.fetchval("SELECT payment_id FROM task_tokens") == sending.payment_id


async def test_a_message_that_comes_again_changes_nothing(shop: Shop) -> None:
    """The token is on record; what is asked for twice by two tokens is asked for twice, of one payment."""
    payment = await paid(shop, mailed())
    again = replace(task(TaskStep.PAYMENT), payment_id=payment.id)
    await take_in(shop, again)
    assert await shop.pool.fetchval("SELECT count(*) FROM task_tokens") == 1
    await take_in(shop, replace(task(TaskStep.PAYMENT, "token-2"), payment_id=payment.id))
    assert await shop.pool.fetchval("SELECT count(*) FROM task_tokens") == 2


async def test_the_end_of_a_payment_is_told_to_every_token_that_waits_for_it(shop: Shop) -> None:
    """The outcome is due with the end itself, as what follows from it is."""
    sending = await driven(shop, mailed())
    await take_in(shop, replace(task(TaskStep.PAYMENT, "token-2"), payment_id=sending.payment_id))
    assert await due(shop) == []

    payment = await shop.send(sending)

    body = {"status": "succeeded", "attempt": 1, "amount": 1999, "currency": "EUR", "order_id": "order-1"}
    told = ("payment", None, {"payment_id": str(payment.id), **body})
    assert await due(shop) == [told, told]


async def test_a_webhook_before_the_token_is_answered_at_once(shop: Shop) -> None:
    """A payment that has ended before its machine's token is here has nothing to wait for."""
    payment = await shop.charge(mailed())
    await take_in(shop, replace(task(TaskStep.PAYMENT), payment_id=payment.id))
    ((step, error, body),) = await due(shop)
    assert (step, error, body["status"]) == ("payment", None, "succeeded")


async def test_what_follows_waits_for_its_machine(shop: Shop) -> None:
    """The worker does none of it for a while, and says nothing to the stock; asked for, each is done at once."""
    payment = await paid(shop, mailed())
    assert await work(shop, None) == 0
    assert await standing(shop, payment) == [("receipt", "waiting", None), ("stock_decrement", "waiting", None)]
    assert await adjustments(shop, payment) == []

    await take_in(shop, task(TaskStep.INVENTORY, "token-2", payment_id=payment.id))
    assert await work(shop, None) == 1

    items = [{"sku": "mug", "quantity": 2}, {"sku": "tea", "quantity": 1}]
    assert await adjustments(shop, payment) == [(3, "DECREMENT", items)]
    assert await standing(shop, payment) == [("receipt", "waiting", None), ("stock_decrement", "done", None)]
    said = [one for one in await due(shop) if one[0] == "inventory"]
    done = {"payment_id": str(payment.id), "step": "inventory", "state": "done", "reason": None}
    assert said == [("inventory", None, done)]


async def test_a_machine_that_asks_for_nothing_loses_what_is_its_own(shop: Shop) -> None:
    """Once its time is over the worker does what follows, each once, and the stock is asked in the same transaction."""
    payment = await paid(shop, mailed())
    shop.clock.advance(MACHINE_GRACE)
    assert await work(shop, None) == 2
    assert await standing(shop, payment) == [
        ("receipt", "skipped", "no SMTP_URL"),
        ("stock_decrement", "done", None),
    ]
    rows = await shop.pool.fetch(
        "SELECT xmin::text FROM facts WHERE name = 'InventoryAdjustmentRequested'"
        " UNION SELECT xmin::text FROM effects WHERE kind = 'stock_decrement'"
    )
    assert len(rows) == 1
    await take_in(shop, task(TaskStep.INVENTORY, "token-2", payment_id=payment.id))
    assert [one[:2] for one in await due(shop) if one[0] == "inventory"] == [("inventory", None)]
    assert len(await adjustments(shop, payment)) == 1


async def test_a_step_that_comes_while_its_effect_ends_is_answered(shop: Shop) -> None:
    """Neither sees what the other writes: so one of them waits, and the machine hears of it at once."""
    payment = await paid(shop, mailed())
    shop.clock.advance(MACHINE_GRACE)
    errands = await fulfil.claim_due(shop.pool, "worker", shop.clock.now())
    tried = [await fulfil.call(None, errand, shop.clock) for errand in errands if errand.kind is EffectKind.RECEIPT]
    asked = task(TaskStep.RECEIPT, "token-2", payment_id=payment.id)
    async with shop.pool.acquire() as connection, connection.transaction():
        await payments.lock(connection, [payment.id])
        arriving = Arriving(asked, payment.id, None, None)
        await task_tokens.take_in(connection, [arriving], shop.ids, shop.clock.now())
        await task_tokens.wake_followers(connection, [payment.id], shop.clock.now())
        recording = asyncio.create_task(fulfil.record(shop.pool, shop.ids, tried, shop.clock.now()))
        await asyncio.wait([recording], timeout=0.5)
    await recording
    assert [one[:2] for one in await due(shop) if one[0] == "receipt"] == [("receipt", None)]


async def test_an_end_without_money_is_one_step(shop: Shop) -> None:
    """The notice and the stock's release are asked for together, and the machine hears once both are done."""
    payment = await paid(shop, mailed(method=DECLINED))
    await take_in(shop, task(TaskStep.NOTIFY, "token-2", payment_id=payment.id))
    assert [one for one in await due(shop) if one[0] == "notify"] == []
    assert await work(shop, None) == 2
    assert [one[:2] for one in await due(shop) if one[0] == "notify"] == [("notify", None)]
    ((_, direction, _),) = await adjustments(shop, payment)
    assert direction == "RELEASE"


async def test_a_step_that_came_while_the_customer_tried_again_hears_of_the_end(shop: Shop) -> None:
    """Also where nothing follows from it: nobody to be told, and no stock."""
    payment = await paid(shop, mailed(method=DECLINED, customer_email=None, items=()))
    sending = await shop.sending_again(payment)
    asked = task(TaskStep.NOTIFY, "token-2", payment_id=payment.id, heartbeat_seconds=None)
    await take_in(shop, asked)
    assert [one for one in await due(shop) if one[0] == "notify"] == []
    await shop.send(sending)
    ((_, error, body),) = [one for one in await due(shop) if one[0] == "notify"]
    assert (error, body["state"], body["reason"]) == (None, "skipped", "no address")


async def test_the_stock_is_let_go_before_it_is_taken_out(shop: Shop) -> None:
    """The money comes late, and another execution asks for the stock before anybody let it go for the first."""
    payment = await paid(shop, mailed(method=DECLINED))
    late = event("payment_intent.succeeded", intent(payment, id=payment.intent_id, latest_charge="ch_late"))
    await keep(shop, late)
    await run(shop)
    await take_in(shop, task(TaskStep.INVENTORY, "token-2", payment_id=payment.id))
    assert await work(shop, None) == 1
    assert await work(shop, None) == 1
    assert [direction for _, direction, _ in await adjustments(shop, payment)] == ["RELEASE", "DECREMENT"]


async def test_a_decline_is_told_with_what_a_machine_decides_by(
    shop: Shop, peer: Server, http: httpx.AsyncClient
) -> None:
    """One that may be tried again is the machine's to try: it is asked for, and made, before its time."""
    payment = await paid(shop, await kept_at(peer, http))
    ((_, error, body),) = await due(shop)
    assert (error, body["status"], body["retry_allowed"], body["attempt"], body["max_attempts"]) == (
        "PaymentDeclined",
        "processing",
        True,
        1,
        3,
    )
    assert await try_due(shop) == 0

    await take_in(shop, task(TaskStep.RETRY, "token-2", payment_id=payment.id))
    assert await try_due(shop) == 1
    states = await shop.pool.fetch("SELECT state FROM attempts ORDER BY number")
    assert [AttemptState(one["state"]) for one in states] == [AttemptState.DECLINED, AttemptState.QUEUED]

    assert [one for one in await due(shop) if one[0] == "retry"] == []


async def test_a_retry_that_is_delivered_again_later_is_not_another_retry(
    shop: Shop, peer: Server, http: httpx.AsyncClient
) -> None:
    """Its attempt was made, and declined; the next one is asked for by another token, or made when it is due."""
    payment = await paid(shop, await kept_at(peer, http))
    asked = task(TaskStep.RETRY, "token-2", payment_id=payment.id)
    await take_in(shop, asked)
    assert await try_due(shop) == 1
    assert (await send_due(shop)).retry_at is not None
    told = [(one[1], one[2]["attempt"]) for one in await due(shop) if one[0] == "retry"]
    assert told == [("PaymentDeclined", 2)]

    await take_in(shop, asked)

    assert await try_due(shop) == 0
    assert await shop.pool.fetchval("SELECT count(*) FROM attempts") == 2


async def test_a_retry_of_what_was_tried_again_already_is_no_further_one(
    shop: Shop, peer: Server, http: httpx.AsyncClient
) -> None:
    """A worker had made it, or another token: the machine hears its decline, and waits again before the next."""
    payment = await paid(shop, await kept_at(peer, http))
    await take_in(shop, replace(task(TaskStep.RETRY, "token-2", payment_id=payment.id), declined=1))
    assert await try_due(shop) == 1
    assert (await send_due(shop)).retry_at is not None

    await take_in(shop, replace(task(TaskStep.RETRY, "token-3", payment_id=payment.id), declined=1))

    assert await try_due(shop) == 0
    told = [(one[1], one[2]["attempt"], one[2]["retry_allowed"]) for one in await due(shop) if one[0] == "retry"]
    assert told == [("PaymentDeclined", 2, True)] * 2
    await take_in(shop, replace(task(TaskStep.RETRY, "token-4", payment_id=payment.id), declined=2))
    assert await try_due(shop) == 1


async def test_a_retry_that_was_declined_unheard_has_asked_for_no_further_one(
    shop: Shop, peer: Server, http: httpx.AsyncClient
) -> None:
    """Its token lives while its answer cannot be sent; the next retry is the machine's all the same, for a while."""
    payment = await paid(shop, await kept_at(peer, http))
    await take_in(shop, replace(task(TaskStep.RETRY, "token-2", payment_id=payment.id), declined=1))
    assert await try_due(shop) == 1
    await send_due(shop)
    shop.clock.advance(TRY_ANEW_AFTER)
    assert await try_due(shop) == 0
    shop.clock.advance(MACHINE_GRACE)
    assert await try_due(shop) == 1


async def test_a_retry_that_no_machine_asks_for_is_made_all_the_same(
    shop: Shop, peer: Server, http: httpx.AsyncClient
) -> None:
    """Ten minutes after the decline it is due, and five later the worker makes it."""
    await paid(shop, await kept_at(peer, http))
    shop.clock.advance(TRY_ANEW_AFTER)
    assert await try_due(shop) == 0
    shop.clock.advance(MACHINE_GRACE)
    assert await try_due(shop) == 1


async def test_a_step_of_a_payment_that_is_not_here_is_refused(shop: Shop) -> None:
    """Its machine is told why, as it is of an order that is refused."""
    await take_in(shop, task(TaskStep.RECORD, payment_id=shop.ids.new()))
    problem = {"problem": "not-found", "detail": "no such payment", "field": None}
    assert await due(shop) == [("record", "PaymentRefused", problem)]


async def test_a_step_of_a_payment_that_a_restored_database_has_forgotten_waits(shop: Shop) -> None:
    """It may be brought back from the processor; a machine that was told that there is none would end as refused."""
    payment = await paid(shop, mailed())
    lost = task(TaskStep.RECORD, "token-2", payment_id=shop.ids.new())
    here = task(TaskStep.RECORD, "token-3", payment_id=payment.id)
    now = shop.clock.now()
    async with shop.pool.acquire() as connection:
        await restores.begin(connection, shop.ids.new(), "a test", now, now)
    early, taken = await undertake.run(shop.pool, shop.ids, [lost, here], now)
    assert isinstance(early, LookUpOnly)
    assert taken is None
    assert [one[:2] for one in await due(shop) if one[0] == "record"] == [("record", None)]

    await shop.pool.execute("UPDATE restores SET finished_at = $1", now)
    assert await undertake.run(shop.pool, shop.ids, [lost], now) == [None]
    assert [one[:2] for one in await due(shop) if one[0] == "record"] == [("record", "PaymentRefused")]


async def test_what_is_on_record_is_told_at_once(shop: Shop) -> None:
    """The step that records has nothing to wait for."""
    payment = await paid(shop, mailed())
    await take_in(shop, task(TaskStep.RECORD, "token-2", payment_id=payment.id))
    ((_, error, body),) = [one for one in await due(shop) if one[0] == "record"]
    told = (error, body["state"], body["status"], body["amount_captured"], body["event_id"])
    assert told == (None, "done", "succeeded", 1999, "event-1")


@pytest.mark.parametrize("heartbeat", [60, None])
async def test_a_token_gives_a_sign_of_life(shop: Shop, heartbeat: int | None) -> None:
    """After a third of the time in which its machine wants one; none, where it wants none."""
    sending = await driven(shop, mailed(), "token-0")
    about = replace(task(TaskStep.PAYMENT, "token-2", heartbeat_seconds=heartbeat), payment_id=sending.payment_id)
    await shop.pool.execute("UPDATE task_tokens SET next_try_at = NULL")
    await take_in(shop, about)
    shop.clock.advance(timedelta(seconds=20))
    assert await due(shop) == ([("payment", None, None)] if heartbeat else [])
