"""Facts get their place in the one order that readers follow."""

import json
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from tests.orders import Shop, order
from tests.post import Post

from counterfoil.bus.message import Undelivered
from counterfoil.bus.underway import AGAIN_AFTER, Underway
from counterfoil.journey import announce
from counterfoil.store import outbox, reading
from counterfoil.store.outbox import Unpublished
from counterfoil.store.pool import Connection


@pytest_asyncio.fixture
async def leader(migrated_url: str) -> asyncpg.Connection:
    """The connection of a publisher."""
    return await asyncpg.connect(migrated_url)


async def publish_all(shop: Shop, leader: Connection) -> int:
    rounds = 0
    while await announce.run(leader, shop.clock.now()):
        rounds += 1
    return rounds


async def test_pitfall_28_every_fact_gets_a_position_and_leaves_the_outbox(shop: Shop, leader: Connection) -> None:
    """Position by position, each payment's facts in the order of their numbers."""
    payments = [await shop.charge(order(number)) for number in range(3)]
    await publish_all(shop, leader)
    published = await reading.facts_after(shop.pool, 0, 100)
    assert await outbox.waiting(leader) == 0
    assert sorted(fact.position for fact in published) == [fact.position for fact in published]
    for payment in payments:
        assert [fact.version for fact in published if fact.payment_id == payment.id] == [1, 2]


async def test_pitfall_28_a_late_commit_is_never_passed_over(shop: Shop, leader: Connection) -> None:
    """A fact that is committed after later ones were published still gets its own, higher position."""
    early = await shop.accepted(order(1))
    async with shop.pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("DELETE FROM outbox WHERE payment_id = $1", early.id)
        await slow.execute("INSERT INTO outbox VALUES ($1, 1)", early.id)
        await shop.accepted(order(2))
        await shop.pool.fetch("SELECT 1")
        before = len(await reading.facts_after(shop.pool, 0, 100))
        await transaction.commit()
    await publish_all(shop, leader)
    assert (before, len(await reading.facts_after(shop.pool, 0, 100))) == (0, 2)


async def test_only_one_may_lead(leader: Connection, migrated_url: str) -> None:
    """The lead is a lock of the session: a second publisher waits until the first is gone."""
    second = await asyncpg.connect(migrated_url)
    assert [await outbox.try_to_lead(leader), await outbox.try_to_lead(second)] == [True, False]
    await leader.close()
    assert await outbox.try_to_lead(second)
    await second.close()


async def test_reading_on_from_a_position_misses_and_repeats_nothing(shop: Shop, leader: Connection) -> None:
    """Page by page gives what one page gives."""
    for number in range(3):
        await shop.charge(order(number))
    await publish_all(shop, leader)
    whole = await reading.facts_after(shop.pool, 0, 100)
    paged, position = [], 0
    while page := await reading.facts_after(shop.pool, position, 2):
        paged += page
        position = page[-1].position
    assert whole == paged


@pytest.fixture
def underway() -> Underway[UUID, Unpublished]:
    """What a leader has on its way: nothing yet."""
    return Underway("/counterfoil/shop", lambda: None)


async def places(shop: Shop) -> list[tuple[str, int]]:
    return [(str(one.payment_id), one.version) for one in await reading.facts_after(shop.pool, 0, 100)]


async def test_a_fact_has_its_place_once_a_broker_has_it(
    shop: Shop, leader: Connection, underway: Underway[UUID, Unpublished]
) -> None:
    """Handed over it is in the outbox still; of one payment one at a time is on its way."""
    post, paid = Post(), [await shop.charge(order(number)) for number in range(3)]
    assert await announce.hand_over(leader, post, underway, shop.clock.now()) == 3
    assert await announce.hand_over(leader, post, underway, shop.clock.now()) == 0
    assert (await announce.mark(leader, underway, shop.clock.now()), await places(shop)) == (0, [])

    first = post.tell()
    assert await announce.mark(leader, underway, shop.clock.now()) == 3
    assert await announce.hand_over(leader, post, underway, shop.clock.now()) == 3
    second = post.tell()
    assert await announce.mark(leader, underway, shop.clock.now()) == 3

    assert first == sorted((str(payment.id), 1) for payment in paid)
    assert second == sorted((str(payment.id), 2) for payment in paid)
    assert await places(shop) == first + second
    assert await outbox.waiting(leader) == 0


async def test_a_message_says_in_its_headers_what_it_is(
    shop: Shop, leader: Connection, underway: Underway[UUID, Unpublished]
) -> None:
    """CloudEvents in binary mode: the value is the message, and no more."""
    post, payment = Post(), await shop.accepted(order(1))
    await announce.hand_over(leader, post, underway, shop.clock.now())
    ((message, _),) = post.taken
    headers = {name: value.decode() for name, value in message.headers}
    assert (message.topic, (message.key or b"").decode()) == ("payments.requested", str(payment.id))
    assert json.loads(message.value or b"")["orderId"] == "order-1"
    assert UUID(headers.pop("ce_id")).version == 7
    assert headers == {
        "ce_specversion": "1.0",
        "ce_type": "PaymentRequested",
        "ce_source": "/counterfoil/shop",
        "ce_dataschema": "urn:counterfoil:PaymentRequested:1.0.0",
        "ce_subject": str(payment.id),
        "ce_partitionkey": str(payment.id),
        "ce_sequence": "1",
        "ce_time": shop.clock.now().isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
    }


async def test_what_did_not_arrive_holds_up_its_own_payment_only(
    shop: Shop, leader: Connection, underway: Underway[UUID, Unpublished]
) -> None:
    """The others go on; it is tried again after a moment, and its later facts come after it."""
    post, held_up = Post(), await shop.charge(order(1))
    await announce.hand_over(leader, post, underway, shop.clock.now())
    post.tell(Undelivered("timed out", for_good=False))
    assert await announce.mark(leader, underway, shop.clock.now()) == 0
    other = await shop.charge(order(2))

    assert await announce.hand_over(leader, post, underway, shop.clock.now()) == 1
    assert post.tell() == [(str(other.id), 1)]
    await announce.mark(leader, underway, shop.clock.now())
    shop.clock.advance(AGAIN_AFTER)
    assert await announce.hand_over(leader, post, underway, shop.clock.now()) == 2
    assert sorted(post.tell()) == sorted([(str(held_up.id), 1), (str(other.id), 2)])


async def test_what_no_broker_takes_is_parked_and_not_stuck(
    shop: Shop, leader: Connection, underway: Underway[UUID, Unpublished]
) -> None:
    """It has its place for readers of /events, says why, and its payment goes on."""
    post, payment = Post(), await shop.charge(order(1))
    await announce.hand_over(leader, post, underway, shop.clock.now())
    post.tell(Undelivered("MSG_SIZE_TOO_LARGE", for_good=True))
    assert await announce.mark(leader, underway, shop.clock.now()) == 1
    assert await announce.hand_over(leader, post, underway, shop.clock.now()) == 1
    assert post.tell() == [(str(payment.id), 2)]
    await announce.mark(leader, underway, shop.clock.now())

    assert await places(shop) == [(str(payment.id), 1), (str(payment.id), 2)]
    assert await outbox.undelivered(leader) == 1


async def test_whoever_leads_next_hands_over_what_was_not_marked(
    shop: Shop, leader: Connection, underway: Underway[UUID, Unpublished]
) -> None:
    """A leader that died between the broker's word and the mark: twice, and never not at all."""
    post = Post()
    await shop.charge(order(1))
    await announce.hand_over(leader, post, underway, shop.clock.now())
    before = post.tell()
    after_it: Underway[UUID, Unpublished] = Underway("/counterfoil/shop", lambda: None)
    await announce.hand_over(leader, post, after_it, shop.clock.now())
    assert post.tell() == before
