"""A gateway is killed at each boundary of a charge; a worker beside it finishes what it began, without any webhook."""

from functools import partial

import pytest
import pytest_asyncio
from tests.acceptance.kills.scene import Scene, all_succeeded, events_of, silent_stripe, unanswered
from tests.stage import Stage, becomes

pytestmark = [pytest.mark.usefixtures("others"), pytest.mark.storm]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def others(shared_stage: Stage, shop_authority: dict[str, str]) -> None:
    """Whoever goes on while gateways are killed."""
    assert shop_authority
    shared_stage.start("worker")
    shared_stage.start("outbox-publisher")


async def told_alike(scene: Scene, events: list[str]) -> None:
    """The client comes again with each order and hears that it succeeded, and both sides' books say so too."""
    with scene.stage.start("gateway") as gateway:
        for event in events:
            await scene.pay(gateway, event)
    await scene.agree(all_succeeded(events))


async def test_killed_before_the_order_is_committed(scene: Scene) -> None:
    """Nothing was accepted and nothing sent, so the order that comes again is charged as if it were new."""
    events = events_of("accept-before-its-commit")
    before = "an-order-before"
    for event in events:
        with scene.stage.start("gateway") as gateway:
            await scene.pay(gateway, before)
            async with scene.record.rivalled(event) as rival:
                placed = scene.place(gateway, event)
                backend = await rival.waited_for("gateway")
                gateway.kill()
                await scene.record.sever(backend)
        await unanswered(placed)
        assert await scene.record.states([event]) == {}
        before = event
    await told_alike(scene, events)


async def test_killed_while_the_order_is_committed(scene: Scene) -> None:
    """The order's row came to be with nobody there to send it: its claim expires, and the worker does."""
    events = events_of("accept-in-its-commit")
    for event in events:
        with scene.stage.start("gateway") as gateway:
            await scene.pay(gateway, "an-order-before")
            async with scene.record.rivalled(event) as rival:
                placed = scene.place(gateway, event)
                backend = await rival.waited_for("gateway")
                gateway.kill()
        await scene.record.gone(backend)
        await unanswered(placed)
        assert await scene.record.states([event]) == {event: "processing"}
        assert await scene.sandbox.answers(event) == []
        await scene.record.pass_time([event])
    await told_alike(scene, events)


async def test_killed_before_the_request_leaves(scene: Scene) -> None:
    """The order is committed and Stripe has not read a byte: the worker sends the stored request, once."""
    events = events_of("request-before-it-leaves")
    async with silent_stripe() as url:
        for event in events:
            with scene.stage.start("gateway", STRIPE_API_BASE=url) as gateway:
                placed = scene.place(gateway, event)
                await scene.come_to({event: "processing"})
            await unanswered(placed)
            assert await scene.sandbox.answers(event) == []
            await scene.record.pass_time([event])
    await told_alike(scene, events)


async def test_killed_while_stripe_has_the_requests(scene: Scene) -> None:
    """One request is done, and the worker gets its answer; for the other it is told to wait, and charges once."""
    todo, done = events_of("request-before-the-work"), events_of("request-after-the-work")
    for events in zip(todo, done, strict=True):
        holds = [await scene.sandbox.hold(events[0], "before"), await scene.sandbox.hold(events[1], "after")]
        with scene.stage.start("gateway") as gateway:
            placed = [scene.place(gateway, event) for event in events]
            for hold in holds:
                await scene.sandbox.until_held(hold)
        for one in placed:
            await unanswered(one)
        await scene.record.pass_time(events)
        await becomes(lambda answers: 409 in answers, partial(scene.sandbox.answers, events[0]))
        for hold in holds:
            await scene.sandbox.let_go(hold)
    await told_alike(scene, [*todo, *done])


async def test_killed_before_the_answer_is_committed(scene: Scene) -> None:
    """The gateway has heard of the money and recorded nothing of it: the worker hears and records the same."""
    events = events_of("record-before-its-commit")
    for event in events:
        hold = await scene.sandbox.hold(event, "after")
        with scene.stage.start("gateway") as gateway:
            placed = scene.place(gateway, event)
            await scene.sandbox.until_held(hold)
            async with scene.record.payment_locked(event) as lock:
                await scene.sandbox.let_go(hold)
                backend = await lock.waited_for("gateway")
                gateway.kill()
        await scene.record.gone(backend)
        await unanswered(placed)
        assert await scene.record.states([event]) == {event: "processing"}
        await scene.record.pass_time([event])
    await told_alike(scene, events)


async def test_killed_while_the_answer_is_committed(scene: Scene) -> None:
    """The record was committed with nobody there to tell the client: it asks again, and nothing is sent again."""
    events = events_of("record-in-its-commit")
    for event in events:
        hold = await scene.sandbox.hold(event, "after")
        with scene.stage.start("gateway") as gateway:
            placed = scene.place(gateway, event)
            await scene.sandbox.until_held(hold)
            async with scene.record.commit_held(event) as lock:
                await scene.sandbox.let_go(hold)
                backend = await lock.waited_for("gateway")
                gateway.kill()
        await scene.record.gone(backend)
        await unanswered(placed)
        assert await scene.record.states([event]) == {event: "succeeded"}
    await told_alike(scene, events)
    assert await scene.record.fences(events) == dict.fromkeys(events, 1)
