"""A worker is killed at each boundary of what it does; the next one finishes the work."""

import pytest
import pytest_asyncio
from tests.acceptance.kills.scene import Scene, all_succeeded, events_of
from tests.stage import Running, Stage

pytestmark = [pytest.mark.usefixtures("others"), pytest.mark.storm]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def others(shared_stage: Stage, shop_authority: dict[str, str]) -> Running:
    """Whoever goes on while workers are killed; the receiver is what is returned."""
    assert shop_authority
    shared_stage.start("outbox-publisher")
    return shared_stage.start("webhook-receiver")


async def finished(scene: Scene, events: list[str]) -> None:
    """The claims of the dead expire, and one more worker, which nobody kills, leaves all as it must be."""
    await scene.record.pass_time(events)
    with scene.stage.start("worker"):
        await scene.agree(all_succeeded(events))


async def test_killed_before_its_claim_is_committed(scene: Scene) -> None:
    """Nothing was claimed and nothing sent: the next worker claims and sends."""
    events = events_of("claim-before-its-commit")
    await scene.accept(events)
    for event in events:
        await scene.record.expire_claims([event])
        async with scene.record.attempts_locked(event) as lock:
            await scene.record.pass_time([event])
            with scene.stage.launch("worker"):
                backend = await lock.waited_for("worker")
        await scene.record.gone(backend)
        assert await scene.record.fences([event]) == {event: 1}
        assert await scene.sandbox.answers(event) == []
    await finished(scene, events)


async def test_killed_while_its_claim_is_committed(scene: Scene) -> None:
    """The claim was committed with nobody there to send: once it expires, the next worker claims anew, and sends."""
    events = events_of("claim-in-its-commit")
    await scene.accept(events)
    for event in events:
        async with scene.record.commit_held(event) as lock:
            await scene.record.pass_time([event])
            with scene.stage.launch("worker"):
                backend = await lock.waited_for("worker")
        await scene.record.gone(backend)
        assert await scene.record.fences([event]) == {event: 2}
        assert await scene.sandbox.answers(event) == []
    await finished(scene, events)


async def test_killed_while_stripe_has_the_requests(scene: Scene) -> None:
    """Of two requests one is done, the other is carried out when nobody waits for it: the next worker hears of both."""
    todo, done = events_of("request-before-the-work"), events_of("request-after-the-work")
    await scene.accept([*todo, *done])
    for events in zip(todo, done, strict=True):
        holds = [await scene.sandbox.hold(events[0], "before"), await scene.sandbox.hold(events[1], "after")]
        await scene.record.pass_time(events)
        with scene.stage.launch("worker"):
            for hold in holds:
                await scene.sandbox.until_held(hold)
        for hold in holds:
            await scene.sandbox.let_go(hold)
    await finished(scene, [*todo, *done])


async def test_killed_before_the_answer_is_committed(scene: Scene) -> None:
    """The worker has heard of the money and recorded nothing of it: the next one hears and records the same."""
    events = events_of("record-before-its-commit")
    await scene.accept(events)
    for event in events:
        hold = await scene.sandbox.hold(event, "after")
        await scene.record.pass_time([event])
        with scene.stage.launch("worker") as worker:
            await scene.sandbox.until_held(hold)
            async with scene.record.payment_locked(event) as lock:
                await scene.sandbox.let_go(hold)
                backend = await lock.waited_for("worker")
                worker.kill()
        await scene.record.gone(backend)
        assert await scene.record.states([event]) == {event: "processing"}
    await finished(scene, events)


async def test_killed_while_the_answer_is_committed(scene: Scene) -> None:
    """What was heard is on record with nobody there to know: the payment is final, and nothing is sent again."""
    events = events_of("record-in-its-commit")
    await scene.accept(events)
    for event in events:
        hold = await scene.sandbox.hold(event, "after")
        await scene.record.pass_time([event])
        with scene.stage.launch("worker") as worker:
            await scene.sandbox.until_held(hold)
            async with scene.record.commit_held(event) as lock:
                await scene.sandbox.let_go(hold)
                backend = await lock.waited_for("worker")
                worker.kill()
        await scene.record.gone(backend)
        assert await scene.record.states([event]) == {event: "succeeded"}
    await finished(scene, events)
    assert await scene.record.fences(events) == dict.fromkeys(events, 2)


async def test_killed_before_what_notices_say_is_committed(scene: Scene, others: Running) -> None:
    """The notices wait on, as if nobody had read them: the next worker concludes what they say."""
    events = events_of("conclude-before-its-commit")
    await scene.charge_unheard(events)
    for event in events:
        async with scene.record.payment_locked(event) as lock:
            await scene.notify(others, event)
            with scene.stage.launch("worker"):
                backend = await lock.waited_for("worker")
        await scene.record.gone(backend)
        assert await scene.record.states([event]) == {event: "processing"}
        assert "kept" in await fates(scene, event)
    await finished(scene, events)


async def test_killed_while_what_notices_say_is_committed(scene: Scene, others: Running) -> None:
    """The payment and its notices are done in one commit, with nobody there to know: the next worker finds it so."""
    events = events_of("conclude-in-its-commit")
    await scene.charge_unheard(events)
    for event in events:
        async with scene.record.commit_held(event) as lock:
            await scene.notify(others, event)
            with scene.stage.launch("worker"):
                backend = await lock.waited_for("worker")
        await scene.record.gone(backend)
        assert await scene.record.states([event]) == {event: "succeeded"}
    await finished(scene, events)


async def fates(scene: Scene, event: str) -> set[str]:
    """Return what became of the notices about a payment."""
    kept = await scene.record.notices()
    return {kept[notice["id"]][0] for notice in await scene.notices_of(event)}
