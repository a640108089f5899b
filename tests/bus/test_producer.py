"""Messages on their way to a real Kafka."""

import asyncio
import ctypes
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import pytest_asyncio
from confluent_kafka import KafkaError, cimpl
from confluent_kafka import Producer as Client
from confluent_kafka.admin import NewTopic
from tests.broker import LACKING, WHY_SKIPPED, Kafka, header
from tests.stage import becomes

from counterfoil.bus.connection import client_config
from counterfoil.bus.message import Outgoing, Undelivered
from counterfoil.bus.producer import Producer
from counterfoil.domain.errors import Unavailable

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]


@pytest_asyncio.fixture(loop_scope="session")
async def producer(kafka: Kafka) -> AsyncIterator[Producer]:
    """A producer with that broker."""
    opened = Producer(kafka.config)
    yield opened
    await opened.close(5)


async def sent(producer: Producer, *messages: Outgoing) -> list[Undelivered | None]:
    """Hand messages over; return what became of each, in the order in which that was told."""
    told: list[Undelivered | None] = []
    done = asyncio.Event()

    def tell(found: Undelivered | None) -> None:
        told.append(found)
        if len(told) == len(messages):
            done.set()

    for message in messages:
        producer.hand_over(message, tell)
    assert told == [], "never before it returns"
    async with asyncio.timeout(40):
        await done.wait()
    return told


def message(number: int, *, topic: str = "refunds.requested", size: int = 100) -> Outgoing:
    return Outgoing(topic, b"key-%d" % (number % 7), b"%d " % number + b"x" * size, (("ce_id", b"%d" % number),))


def incompressible(number: int, size: int) -> bytes:
    return hashlib.shake_128(b"%d" % number).digest(size)


def let_fail(client: Client) -> None:
    """Let a client meet a fatal error, as librdkafka does for tests; else it takes a broker that has lost its log."""
    library = ctypes.CDLL(cimpl.__file__)
    handle = ctypes.c_void_p.from_address(id(client) + ctypes.sizeof(ctypes.py_object) * 2)  # behind PyObject_HEAD
    library.rd_kafka_name.restype = ctypes.c_char_p
    assert library.rd_kafka_name(handle).startswith(b"counterfoil#producer"), "the handle is where it was"
    out_of_order = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert library.rd_kafka_test_fatal_error(handle, out_of_order, b"a test's own") == 0


async def test_what_is_told_of_is_there(producer: Producer, kafka: Kafka) -> None:
    """A thousand messages, each once, with its key and headers; those of one key in their order."""
    topic = await kafka.topic_of_own("thousand")
    assert set(await sent(producer, *(message(number, topic=topic) for number in range(1000)))) == {None}

    heard = await kafka.heard(topic, lambda found: len(found) >= 1000)
    ids = [int(header(one, "ce_id")) for one in heard]
    assert sorted(ids) == list(range(1000))
    for key in range(7):
        of_key = [int(header(one, "ce_id")) for one in heard if one.key() == b"key-%d" % key]
        assert of_key == sorted(of_key)


async def test_what_is_too_large_never_arrives(producer: Producer) -> None:
    """That is for good; what came with it arrives."""
    large = message(1, topic="refunds.processed", size=3_000_000)
    told = await sent(producer, large, message(2, topic="refunds.processed"))
    assert sorted(map(repr, told)) == sorted(map(repr, [Undelivered("MSG_SIZE_TOO_LARGE", for_good=True), None]))


async def test_small_messages_arrive_where_a_batch_of_them_is_too_large(producer: Producer, kafka: Kafka) -> None:
    """A broker refuses the whole batch where a topic takes little; of its messages only the large one never arrives."""
    admin, topic = kafka.admin(), NewTopic("narrow", 1, 1, config={"max.message.bytes": "20000"})
    for made in admin.create_topics([topic]).values():
        await asyncio.to_thread(made.result, 15)
    small = [
        Outgoing("narrow", b"key-%d" % one, incompressible(one, 4000), (("ce_id", b"%d" % one),)) for one in range(40)
    ]
    large = Outgoing("narrow", b"large", incompressible(40, 30_000), ())
    told = await sent(producer, *small, large)
    assert [one for one in told if one is not None] == [Undelivered("MSG_SIZE_TOO_LARGE", for_good=True)]
    heard = await kafka.heard("narrow", lambda found: len(found) >= 40)
    assert sorted(int(header(one, "ce_id")) for one in heard) == list(range(40))


async def test_a_topic_that_is_not_there_is_not_for_good(producer: Producer) -> None:
    """Somebody may make it; nothing makes it by itself."""
    (told,) = await sent(producer, message(1, topic="nobody.made.this"))
    assert told is not None
    assert not told.for_good


class Refusing:
    """A client whose brokers do not let it write to a topic; a broker with an authorizer answers so."""

    def __init__(self, _config: Mapping[str, Any]) -> None:
        pass

    def produce(self, *_message: object, on_delivery: Callable[[KafkaError, None], None], **_more: object) -> None:
        """Refuse a message."""
        on_delivery(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), None)

    def poll(self, _seconds: float) -> None:
        """Hear nothing."""

    def flush(self, _seconds: float) -> None:
        """Have nothing left."""


async def test_a_topic_that_we_may_not_write_to_is_as_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is for it waits, or it would leave no room for others; somebody may grant it."""
    monkeypatch.setattr("counterfoil.bus.producer.Client", Refusing)
    producer = Producer({})
    assert await sent(producer, message(1)) == [
        Undelivered("TOPIC_AUTHORIZATION_FAILED", for_good=False, no_topic=True)
    ]
    await producer.close(1)


async def test_a_fatal_error_is_not_the_end(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was on its way is told to be lost, so that it is sent again, and what comes then arrives."""
    clients: list[Client] = []

    def opened(config: Mapping[str, Any]) -> Client:
        clients.append(Client(dict(config)))
        return clients[-1]

    monkeypatch.setattr("counterfoil.bus.producer.Client", opened)
    producer = Producer(kafka.config)
    waiting = asyncio.create_task(sent(producer, message(1, topic="nobody.made.this.either")))
    await asyncio.sleep(0.2)
    let_fail(clients[0])
    (lost,) = await waiting
    assert lost is not None
    assert not lost.for_good
    await becomes([None], lambda: sent(producer, message(2)), seconds=20)
    await producer.close(5)
    assert len(clients) == 2


async def test_a_broker_that_answers_is_reached(producer: Producer) -> None:
    """What a readiness check asks."""
    await producer.reach(5)


async def test_no_broker_is_unavailable() -> None:
    """Where nobody listens, that is said."""
    nowhere = Producer(client_config("127.0.0.1:9", {}))
    with pytest.raises(Unavailable) as caught:
        await nowhere.reach(0.5)
    await nowhere.close(0.1)
    assert str(caught.value) == "the broker at KAFKA_BROKERS does not answer"
