"""Messages off a real Kafka: none is passed over before its effect, whoever comes and goes."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from tests.broker import LACKING, WHY_SKIPPED, Kafka, header
from tests.stage import becomes

from counterfoil.bus.consumer import Consumer
from counterfoil.bus.lane import FULL, Hands
from counterfoil.bus.message import Again, Dead, Done, Handler, Incoming, Outcome, Outgoing
from counterfoil.bus.producer import Producer
from counterfoil.domain.errors import Misconfigured
from counterfoil.runtime.clock import SystemClock

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED),
    pytest.mark.asyncio(loop_scope="session"),
]

NUMBERS = itertools.count(1)


class Members:
    """Lets members join groups; whoever has not left is closed at the end."""

    def __init__(self, kafka: Kafka, producer: Producer, ending: AsyncExitStack) -> None:
        self._kafka, self._producer, self._ending = kafka, producer, ending

    def join(self, group: str, topic: str, handle: Handler) -> Consumer:
        """Let one join, and work so."""
        member = Consumer(self._kafka.config, group, [topic], Hands(handle, self._producer, SystemClock()))
        self._ending.push_async_callback(member.close, 0)
        return member


@pytest_asyncio.fixture(loop_scope="session")
async def members(kafka: Kafka) -> AsyncIterator[Members]:
    async with AsyncExitStack() as ending:
        producer = Producer(kafka.config)
        ending.push_async_callback(producer.close, 5)
        yield Members(kafka, producer, ending)


@pytest_asyncio.fixture(loop_scope="session")
async def topic(kafka: Kafka) -> str:
    """A topic of two partitions, for this test alone; its name is also that of a group."""
    return await kafka.topic_of_own(f"of-a-test-{next(NUMBERS)}")


def placed(topic: str, first: int, last: int, *, keys: int = 7) -> list[Outgoing]:
    """Messages whose values are their numbers, of so many keys."""
    return [Outgoing(topic, b"key-%d" % (number % keys), b"%d" % number, ()) for number in range(first, last)]


async def holds(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    async def ask() -> bool:
        return condition()

    await becomes(bool, ask, seconds=seconds)


def number_of(message: Incoming) -> int:
    return int(message.value or b"")


async def test_every_message_has_its_effect_once_and_is_passed(members: Members, kafka: Kafka, topic: str) -> None:
    """A thousand of two partitions; those of one key in their order; what is done is committed without being asked."""
    heard: list[Incoming] = []

    async def note(message: Incoming, _tries: int) -> Outcome:
        await asyncio.sleep(number_of(message) % 3 / 1000)
        heard.append(message)
        return Done()

    await kafka.say(*placed(topic, 0, 1000))
    members.join(topic, topic, note)
    await becomes(await kafka.ends(topic), lambda: kafka.committed(topic, topic))

    assert sorted(number_of(one) for one in heard) == list(range(1000))
    for key in range(7):
        of_key = [number_of(one) for one in heard if one.key == b"key-%d" % key]
        assert of_key == sorted(of_key)


@pytest.mark.storm
async def test_what_a_killed_member_had_in_hand_comes_again(members: Members, kafka: Kafka, topic: str) -> None:
    """One message never ends: what stands before it is committed, it and what stands behind it come to the next."""
    stuck, first = asyncio.Event(), Counter[int]()

    async def hang(message: Incoming, _tries: int) -> Outcome:
        first[number_of(message)] += 1
        if (message.partition, message.offset) == (0, 3):
            await stuck.wait()
        return Done()

    await kafka.say(*placed(topic, 0, 20, keys=20))
    member = members.join(topic, topic, hang)
    await holds(lambda: len(first) == 20)
    (_, end) = await kafka.ends(topic)
    await becomes([(0, 3), end], lambda: kafka.committed(topic, topic))
    await member.close(0)

    second: list[tuple[int, int]] = []

    async def note(message: Incoming, _tries: int) -> Outcome:
        second.append((message.partition, message.offset))
        return Done()

    members.join(topic, topic, note)
    ends = await kafka.ends(topic)
    await becomes(ends, lambda: kafka.committed(topic, topic))
    assert sorted(second) == [(0, offset) for offset in range(3, ends[0][1])]


async def test_a_message_that_waits_stops_its_own_partition_only(members: Members, kafka: Kafka, topic: str) -> None:
    """It is tried again and again; the other partition is worked on to its end meanwhile."""
    tried, done = Counter[int](), set[int]()
    away = True

    async def fail_in_the_first(message: Incoming, _tries: int) -> Outcome:
        tried[message.partition] += 1
        if message.partition == 0 and away:
            return Again("answered 503", counted=False)
        done.add(number_of(message))
        return Done()

    await kafka.say(*placed(topic, 0, 200))
    members.join(topic, topic, fail_in_the_first)
    ends = await kafka.ends(topic)
    await becomes([(0, 0), ends[1]], lambda: kafka.committed(topic, topic))
    in_hand = tried[0]
    await holds(lambda: tried[0] > in_hand)
    away = False
    await becomes(ends, lambda: kafka.committed(topic, topic))
    assert done == set(range(200))


async def test_dead_letters_do_not_stop_a_partition(members: Members, kafka: Kafka, topic: str) -> None:
    """One in ten cannot be worked on, one in fifty fails each time: each has a letter, the rest its effect."""
    done = set[int]()

    async def work(message: Incoming, _tries: int) -> Outcome:
        if number_of(message) % 50 == 1:
            return Again("RuntimeError", most=2)
        if number_of(message) % 10 == 0:
            return Dead("invalid-request", "it is a multiple of ten")
        done.add(number_of(message))
        return Done()

    await kafka.say(*placed(topic, 0, 100))
    members.join(topic, topic, work)
    await becomes(await kafka.ends(topic), lambda: kafka.committed(topic, topic))

    letters = {
        int(one.value() or b""): (header(one, "dlq_reason"), header(one, "dlq_attempts"), header(one, "dlq_topic"))
        for one in await kafka.heard(f"{topic}.dlq", lambda found: len(found) >= 12)
    }
    assert letters == {
        **dict.fromkeys(range(0, 100, 10), ("invalid-request", "1", topic)),
        **dict.fromkeys((1, 51), ("tries", "2", topic)),
    }
    assert done == set(range(100)) - set(letters)


@pytest.mark.storm
async def test_members_come_and_go_and_no_message_is_lost(members: Members, kafka: Kafka, topic: str) -> None:
    """A second member joins in mid-flow and a first one leaves (Q18): what was in hand is finished before it moves.

    A group that is busy may refuse the commit of that: then it comes twice, and no more than that. The steps that take
    messages know what they have done.
    """
    effects = Counter[int]()

    async def work(message: Incoming, _tries: int) -> Outcome:
        await asyncio.sleep(0.01)
        effects[number_of(message)] += 1
        return Done()

    await kafka.say(*placed(topic, 0, 1500))
    first = members.join(topic, topic, work)
    await holds(lambda: len(effects) > 100)
    second = members.join(topic, topic, work)
    await kafka.say(*placed(topic, 1500, 3000))
    await holds(lambda: len(effects) > 1600)
    await first.close(5)
    members.join(topic, topic, work)
    await kafka.say(*placed(topic, 3000, 4000))
    await holds(lambda: len(effects) > 3200)
    await second.close(5)
    await becomes(await kafka.ends(topic), lambda: kafka.committed(topic, topic), seconds=60)
    twice = sum(count > 1 for count in effects.values())
    assert (len(effects), max(effects.values()) <= 2, twice <= FULL) == (4000, True, True)


async def test_a_topic_that_is_made_late_is_heard(members: Members, kafka: Kafka) -> None:
    """Until it is there the member says which one is not; then it is sound, and hears what is said there."""
    late, heard = f"of-a-test-{next(NUMBERS)}", set[int]()

    async def note(message: Incoming, _tries: int) -> Outcome:
        heard.add(number_of(message))
        return Done()

    member = members.join(late, late, note)

    async def said() -> str:
        return unsound(member)

    await becomes(lambda told: f"{late} cannot be read" in told, said)
    await kafka.topic_of_own(late)
    await becomes("", said)
    await kafka.say(*placed(late, 0, 20))
    await holds(lambda: heard == set(range(20)))


def unsound(member: Consumer) -> str:
    try:
        member.demand_sound()
    except Misconfigured as error:
        return str(error)
    return ""


async def test_messages_that_are_gone_are_not_passed_over_in_silence(
    members: Members, kafka: Kafka, topic: str
) -> None:
    """Where the group was is out of range: its partition stands still, and the member says so; the other goes on."""
    await kafka.say(*placed(topic, 0, 50))
    ends = await kafka.ends(topic)
    await kafka.move(topic, topic, [(0, 100_000), (1, 0)])

    async def note(_message: Incoming, _tries: int) -> Outcome:
        return Done()

    member = members.join(topic, topic, note)
    await becomes([(0, 100_000), ends[1]], lambda: kafka.committed(topic, topic))

    async def said() -> str:
        return unsound(member)

    await becomes(lambda told: told.endswith(f"{topic}:0 cannot be read: messages not read yet are gone"), said)
