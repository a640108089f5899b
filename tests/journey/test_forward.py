"""Rows of another service's outbox leave in order, and are marked once a broker has them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio
from tests import told
from tests.outboxes import TABLE, Shop, event
from tests.post import Post

from counterfoil.bus.message import Outgoing, Undelivered
from counterfoil.bus.underway import AGAIN_AFTER
from counterfoil.journey import forward
from counterfoil.journey.forward import Marked, Route, Way
from counterfoil.store import sources
from counterfoil.store.sources import Table

ROUTE = Route("shop", Table("outbox"), {"OrderPlaced": "orders.placed", "OrderPaid": "orders.paid"})
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TOO_LARGE = Undelivered("MSG_SIZE_TOO_LARGE", for_good=True)
NO_TOPIC = Undelivered("_UNKNOWN_TOPIC", for_good=False, no_topic=True)


@pytest_asyncio.fixture
async def shop(database_url: str) -> Shop:
    """Another service with an empty outbox."""
    made = Shop(database_url)
    await made.execute(TABLE)
    return made


class Leader:
    """Whoever leads, and a post that tells what became of messages when a test says so."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.post = Post()
        self.underway = Way("/shop", lambda: None, forward.MOST_ON_THEIR_WAY)
        self.now = told.START

    async def hands_over(self) -> int:
        """Hand over what may be."""
        return await forward.hand_over(self.connection, self.post, ROUTE, self.underway, self.now)

    async def marks(self) -> Marked:
        """Mark what was heard of."""
        return await forward.mark(self.connection, self.post, ROUTE, self.underway, self.now)


@pytest_asyncio.fixture
async def leader(shop: Shop) -> AsyncIterator[Leader]:
    """The one who sends that outbox's rows."""
    connection = await asyncpg.connect(shop.url)
    yield Leader(connection)
    await connection.close()


def names(messages: list[Outgoing]) -> list[str]:
    found = {str(event(f"{of} {number}")): f"{of} {number}" for of in "ab" for number in range(5)}
    return [found[dict(one.headers)["ce_id"].decode()] for one in messages]


async def test_of_an_aggregate_one_row_is_on_its_way(shop: Shop, leader: Leader) -> None:
    """The next follows when the row says that a broker has the one before."""
    await shop.says(("a", "a 0"), ("a", "a 1"), ("b", "b 0"))
    assert (await leader.hands_over(), await leader.hands_over()) == (2, 0)
    assert (await leader.marks(), await shop.waiting()) == (Marked(0, 0, ()), 3)
    assert names(leader.post.answer()) == ["a 0", "b 0"]
    assert (await leader.hands_over(), await leader.marks()) == (0, Marked(2, 0, ()))
    assert await leader.hands_over() == 1
    assert names(leader.post.answer()) == ["a 1"]
    assert (await leader.marks(), await shop.waiting()) == (Marked(1, 0, ()), 0)


async def test_a_row_arrives_as_a_cloud_event(shop: Shop, leader: Leader) -> None:
    """The value is the payload and no more; what else is said of it stands in the headers."""
    await shop.says(("a", "a 0"), traceparent=TRACE)
    await leader.hands_over()
    ((message, _),) = leader.post.taken
    ((at,),) = await shop.fetch("SELECT created_at FROM outbox")
    assert (message.topic, message.key) == ("orders.placed", b"a")
    assert message.value == b'{"said": "a 0"}'
    assert {name: value.decode() for name, value in message.headers} == {
        "ce_specversion": "1.0",
        "ce_id": str(event("a 0")),
        "ce_type": "OrderPlaced",
        "ce_source": "/shop",
        "ce_subject": "a",
        "ce_partitionkey": "a",
        "ce_time": at.isoformat().replace("+00:00", "Z"),
        "ce_tenantid": "tenant-1",
        "content-type": "application/json",
        "traceparent": TRACE,
    }


async def test_a_row_without_tenant_or_trace_has_no_header_of_it(shop: Shop, leader: Leader) -> None:
    """A trace that is not well formed is none."""
    await shop.says(("a", "a 0"), traceparent="00-0-0-00")
    await shop.execute("UPDATE outbox SET tenant_id = NULL")
    await leader.hands_over()
    assert {"ce_tenantid", "traceparent"} & {name for name, _ in leader.post.taken[0][0].headers} == set()


async def test_each_type_goes_to_its_topic(shop: Shop, leader: Leader) -> None:
    """A type without a topic is left as it is, and what comes behind it in its aggregate goes on."""
    await shop.says(("a", "a 0"), kind="OrderShipped")
    await shop.says(("a", "a 1"), kind="OrderPaid")
    await shop.says(("a", "a 2"))
    for topic in ("orders.paid", "orders.placed"):
        await leader.hands_over()
        assert [one.topic for one in leader.post.answer()] == [topic]
        await leader.marks()
    assert await shop.fetch("SELECT event_id FROM outbox WHERE published_at IS NULL") == [(event("a 0"),)]


async def test_what_did_not_arrive_holds_up_its_aggregate_only(shop: Shop, leader: Leader) -> None:
    """It is sent again after a moment, before what comes after it."""
    await shop.says(("a", "a 0"), ("a", "a 1"))
    await leader.hands_over()
    leader.post.answer(Undelivered("_MSG_TIMED_OUT", for_good=False))
    assert await leader.marks() == Marked(0, 0, ("_MSG_TIMED_OUT",))
    await shop.says(("b", "b 0"))
    await leader.hands_over()
    assert names(leader.post.answer()) == ["b 0"]
    leader.now += AGAIN_AFTER
    await leader.hands_over()
    assert names(leader.post.answer()) == ["a 0"]


async def test_what_is_too_large_becomes_a_dead_letter(shop: Shop, leader: Leader) -> None:
    """Without what it says; the row is marked when the letter has arrived and not before, and its aggregate goes on."""
    await shop.says(("a", "a 0"), ("a", "a 1"))
    await leader.hands_over()
    leader.post.answer(TOO_LARGE)
    assert await leader.marks() == Marked(0, 0, ())
    (letter,) = leader.post.answer()
    assert (letter.topic, letter.key, letter.value) == ("orders.placed.dlq", b"a", None)
    headers = {name: value.decode() for name, value in letter.headers}
    assert {name: headers[name] for name in ("ce_id", "ce_source", "dlq_reason", "dlq_topic", "dlq_value")} == {
        "ce_id": str(event("a 0")),
        "ce_source": "/shop",
        "dlq_reason": "too_large",
        "dlq_topic": "orders.placed",
        "dlq_value": "withheld",
    }
    assert await shop.waiting() == 2
    assert (await leader.marks(), await shop.waiting()) == (Marked(1, 1, ()), 1)
    await leader.hands_over()
    assert names(leader.post.answer()) == ["a 1"]


async def test_what_no_broker_takes_is_not_even_tried(shop: Shop, leader: Leader) -> None:
    """Its dead letter goes in its place at once."""
    await shop.says(("a", "a 0"), padding="x" * sources.LARGEST_PAYLOAD_BYTES)
    await leader.hands_over()
    assert [one.topic for one in leader.post.answer()] == ["orders.placed.dlq"]
    assert await leader.marks() == Marked(1, 1, ())


@pytest.mark.parametrize(
    ("lost", "marked", "waiting"),
    [
        (NO_TOPIC, Marked(0, 0, ("_UNKNOWN_TOPIC",)), 1),
        (TOO_LARGE, Marked(1, 1, ()), 0),
    ],
)
async def test_a_dead_letter_that_does_not_arrive(
    shop: Shop, leader: Leader, lost: Undelivered, marked: Marked, waiting: int
) -> None:
    """Without its topic all begins anew; where not even it is small enough there is nothing more to wait for."""
    await shop.says(("a", "a 0"))
    await leader.hands_over()
    leader.post.answer(TOO_LARGE)
    await leader.marks()
    leader.post.answer(lost)
    assert (await leader.marks(), await shop.waiting()) == (marked, waiting)
    leader.now += timedelta(seconds=2)
    assert await leader.hands_over() == waiting


async def test_whoever_leads_next_hands_over_what_was_not_marked(shop: Shop, leader: Leader) -> None:
    """A leader that died between the broker's word and the mark: twice, and never not at all."""
    await shop.says(("a", "a 0"))
    await leader.hands_over()
    before = names(leader.post.answer())
    after = Leader(leader.connection)
    await after.hands_over()
    assert names(after.post.answer()) == before


async def test_what_cannot_be_marked_is_not_sent_over_and_over(shop: Shop, leader: Leader) -> None:
    """A policy of the table's, or a trigger, may pass over our mark without a word: its aggregate waits then."""
    await shop.says(("a", "a 0"), ("b", "b 0"))
    await shop.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF new.aggregate_id = 'a' THEN RETURN NULL; END IF; RETURN new; END $$",
        "CREATE TRIGGER keep BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION keep()",
    )
    await leader.hands_over()
    leader.post.answer()
    assert await leader.marks() == Marked(1, 0, (forward.NOT_MARKED,))
    assert await leader.hands_over() == 0
    leader.now += AGAIN_AFTER
    assert await leader.hands_over() == 1


async def test_what_its_service_deleted_meanwhile_is_over(shop: Shop, leader: Leader) -> None:
    """There is nothing to mark, and nothing to send again."""
    await shop.says(("a", "a 0"))
    await leader.hands_over()
    leader.post.answer()
    await shop.execute("DELETE FROM outbox")
    assert await leader.marks() == Marked(1, 0, ())
    await shop.says(("a", "a 1"))
    assert await leader.hands_over() == 1


async def test_no_more_than_so_many_are_on_their_way(shop: Shop, leader: Leader) -> None:
    """Rows of other services are of any size."""
    leader.underway.most = 3
    await shop.says(*[(f"order-{number}", f"a {number}") for number in range(5)])
    assert (await leader.hands_over(), await leader.hands_over()) == (3, 0)
    leader.post.answer()
    await leader.marks()
    assert await leader.hands_over() == 2


async def test_no_more_bytes_than_so_many_are_on_their_way(
    shop: Shop, leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no broker answers, memory is bounded however large the rows are and however many wait."""
    monkeypatch.setattr(sources, "TOGETHER_BYTES", 2500)
    await shop.says(*[(f"order-{number}", f"a {number}") for number in range(5)], padding="x" * 1000)
    assert [await leader.hands_over() for _ in range(3)] == [3, 0, 0]
    leader.post.answer()
    assert await leader.marks() == Marked(3, 0, ())
    assert await leader.hands_over() == 2


async def test_a_topic_that_is_not_there_holds_up_what_is_for_it(shop: Shop, leader: Leader) -> None:
    """However many rows wait for it, they leave room for others; one of them is tried again after a moment."""
    leader.underway.most = 2
    await shop.says(*[(f"order-{number}", f"lost {number}") for number in range(4)], kind="OrderPaid")
    await leader.hands_over()
    leader.post.answer(NO_TOPIC)
    assert await leader.marks() == Marked(0, 0, ("_UNKNOWN_TOPIC", "_UNKNOWN_TOPIC"))
    await shop.says(("order-3", "a 0"), ("b", "b 0"))
    await leader.hands_over()
    assert names(leader.post.answer()) == ["a 0", "b 0"]
    await leader.marks()
    assert await leader.hands_over() == 0

    leader.now += AGAIN_AFTER
    assert (await leader.hands_over(), await leader.hands_over()) == (1, 0)
    leader.post.answer(NO_TOPIC)
    await leader.marks()
    assert await leader.hands_over() == 0

    leader.now += AGAIN_AFTER
    assert await leader.hands_over() == 1
    leader.post.answer()
    assert await leader.marks() == Marked(1, 0, ())
    assert await leader.hands_over() == 2


async def test_a_topic_that_nothing_waits_for_is_open_again(shop: Shop, leader: Leader) -> None:
    """Its service has taken its rows back, perhaps."""
    await shop.says(("a", "a 0"))
    await leader.hands_over()
    leader.post.answer(NO_TOPIC)
    await leader.marks()
    await shop.execute("DELETE FROM outbox")
    leader.now += AGAIN_AFTER
    assert await leader.hands_over() == 0
    await shop.says(("a", "a 1"), ("b", "b 0"))
    assert await leader.hands_over() == 2
