"""A webhook receiver and an outbox publisher are killed around their commits."""

import asyncio
from collections.abc import Sequence

import httpx
import pytest
import pytest_asyncio
from tests.acceptance.kills.scene import Scene, all_succeeded, events_of, unanswered
from tests.stage import Running, Stage

pytestmark = [pytest.mark.usefixtures("others"), pytest.mark.storm]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def others(shared_stage: Stage, shop_authority: dict[str, str]) -> None:
    """Whoever goes on while receivers and publishers are killed."""
    assert shop_authority
    shared_stage.start("worker")


async def test_a_receiver_killed_before_it_commits(scene: Scene) -> None:
    """Nothing was kept and nothing acknowledged: Stripe comes again, and what it says is heard then."""
    events = events_of("keep-before-its-commit")
    await scene.charge_unheard(events)
    for event in events:
        with scene.stage.start("webhook-receiver") as receiver:
            async with scene.record.notices_locked() as lock:
                delivered = await deliveries_of(scene, receiver, event)
                backend = await lock.waited_for("webhook-receiver")
                receiver.kill()
                await scene.record.sever(backend)
        for one in delivered:
            await unanswered(one)
        assert await times_delivered(scene, event) == [0, 0, 0]
    await delivered_again(scene, events)
    await concluded(scene, events)


async def test_a_receiver_killed_while_it_commits(scene: Scene) -> None:
    """The notices are kept, and Stripe was not told so: it comes again, and what it says is heard once."""
    events = events_of("keep-in-its-commit")
    await scene.charge_unheard(events)
    for event in events:
        with scene.stage.start("webhook-receiver") as receiver:
            *_, last = await scene.notices_of(event)
            async with scene.record.commit_held(last["id"]) as lock:
                delivered = await deliveries_of(scene, receiver, event)
                backend = await lock.waited_for("webhook-receiver")
                receiver.kill()
        await scene.record.gone(backend)
        await asyncio.gather(*delivered, return_exceptions=True)  # others may have been kept, and answered, before it
        await unanswered(delivered[-1])
        assert (await times_delivered(scene, event))[-1] == 1
    await delivered_again(scene, events)
    await concluded(scene, events)


async def test_pitfall_14_a_receiver_killed_after_its_answer(scene: Scene) -> None:
    """Whatever was acknowledged is kept, and Stripe need not come again (I7)."""
    events = events_of("keep-after-its-answer")
    await scene.charge_unheard(events)
    for event in events:
        with scene.stage.start("webhook-receiver") as receiver:
            answered, waiting = await asyncio.wait(
                await deliveries_of(scene, receiver, event), return_when=asyncio.FIRST_COMPLETED
            )
        outcomes = await asyncio.gather(*answered, *waiting, return_exceptions=True)
        acknowledged = [one.json()["received"] for one in outcomes if isinstance(one, httpx.Response)]
        assert acknowledged != []
        assert set(acknowledged) <= set(await scene.record.notices())
    await delivered_again(scene, events)
    await concluded(scene, events)


async def test_a_publisher_killed_before_it_commits(scene: Scene) -> None:
    """Nothing was published: whoever leads next does it, in the order of each payment."""
    events = events_of("publish-before-its-commit")
    with scene.stage.start("gateway") as gateway:
        for event in events:
            await scene.pay(gateway, event)
            async with scene.record.positions_locked() as lock:
                with scene.stage.launch("outbox-publisher"):
                    backend = await lock.waited_for("outbox-publisher")
                await scene.record.sever(backend)
            assert await scene.record.published(event) == []
    await concluded(scene, events)


async def test_a_publisher_killed_while_it_commits(scene: Scene) -> None:
    """What it gave a position, with nobody there to know, has it once: whoever leads next goes on behind it."""
    events = events_of("publish-in-its-commit")
    with scene.stage.start("gateway") as gateway:
        for event in events:
            await scene.pay(gateway, event)
            async with scene.record.commit_held(await scene.record.id_of(event)) as lock:
                with scene.stage.launch("outbox-publisher"):
                    backend = await lock.waited_for("outbox-publisher")
            await scene.record.gone(backend)
            assert await scene.record.published(event) == [1]
    await concluded(scene, events)


async def deliveries_of(scene: Scene, receiver: Running, event: str) -> "list[asyncio.Task[httpx.Response]]":
    """Begin to deliver all that Stripe has to say of a payment, at once."""
    return [scene.deliver(receiver, notice) for notice in await scene.notices_of(event)]


async def delivered_again(scene: Scene, events: Sequence[str]) -> None:
    """A receiver that nobody kills is told everything once more, and acknowledges it."""
    before = [count for event in events for count in await times_delivered(scene, event)]
    with scene.stage.start("webhook-receiver") as receiver:
        for event in events:
            await scene.notify(receiver, event)
    after = [count for event in events for count in await times_delivered(scene, event)]
    assert all(new > old for old, new in zip(before, after, strict=True))


async def concluded(scene: Scene, events: Sequence[str]) -> None:
    """A publisher that nobody kills publishes what is left; then both sides' books agree."""
    with scene.stage.start("outbox-publisher"):
        await scene.agree(all_succeeded(events))


async def times_delivered(scene: Scene, event: str) -> list[int]:
    """Return how often each notice about a payment was delivered, as the record has it."""
    kept = await scene.record.notices()
    return [kept[notice["id"]][1] if notice["id"] in kept else 0 for notice in await scene.notices_of(event)]
