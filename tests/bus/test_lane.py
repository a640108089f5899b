"""What one partition does with its messages, told what time it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.stage import becomes
from tests.told import Clock
from typing_extensions import override

from counterfoil.bus.lane import FULL, Hands, Lane
from counterfoil.bus.message import Again, Dead, Done, Incoming, Outcome, Outgoing, Told, Undelivered


@dataclass
class Post:
    """Takes letters, and answers each as it is told to; at the end of the answers each is there."""

    answers: list[Undelivered | None] = field(default_factory=list)
    taken: list[Outgoing] = field(default_factory=list)

    def hand_over(self, message: Outgoing, told: Told) -> None:
        """Take a message."""
        self.taken.append(message)
        asyncio.get_running_loop().call_soon(told, self.answers.pop(0) if self.answers else None)


@dataclass
class Worker:
    """Works on messages as their values say, in the order in which it was given them; ``gate`` holds those named."""

    begun: list[int] = field(default_factory=list)
    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    gates: dict[int, asyncio.Event] = field(default_factory=dict)

    async def work(self, message: Incoming, _tries: int) -> Outcome:
        """Take one."""
        self.begun.append(message.offset)
        if gate := self.gates.get(message.offset):
            await gate.wait()
        left = self.outcomes.get(message.offset, [])
        return left.pop(0) if left else Done()


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def post() -> Post:
    return Post()


def lane_of(worker: Worker, post: Post, clock: Clock, in_flight: int = 8) -> Lane:
    return Lane(Hands(worker.work, post, clock, in_flight), 0, lambda: None)


def messages(first: int, last: int, key: Callable[[int], bytes] = lambda offset: b"%d" % offset) -> list[Incoming]:
    return [Incoming("orders.placed", 0, offset, key(offset), b"{}", ()) for offset in range(first, last)]


async def settled(condition: Callable[[], bool]) -> None:
    """Let the lane run until that holds."""

    async def holds() -> bool:
        return condition()

    await becomes(bool, holds, seconds=5)


async def test_an_offset_is_passed_once_all_before_it_are_done(worker: Worker, post: Post, clock: Clock) -> None:
    """Those behind a slow one are done and not passed."""
    gate = worker.gates[3] = asyncio.Event()
    lane = lane_of(worker, post, clock)
    lane.take(messages(0, 6))
    await settled(lambda: lane.upto == 3 and len(worker.begun) == 6)
    gate.set()
    await settled(lambda: lane.upto == 6)


async def test_messages_of_one_key_wait_for_one_another(worker: Worker, post: Post, clock: Clock) -> None:
    """The second is begun when the first is done; others are not held up."""
    gate = worker.gates[0] = asyncio.Event()
    lane = lane_of(worker, post, clock)
    lane.take(messages(0, 4, lambda offset: b"same" if offset < 2 else b"%d" % offset))
    await settled(lambda: len(worker.begun) == 3)
    assert worker.begun == [0, 2, 3]
    gate.set()
    await settled(lambda: lane.upto == 4)
    assert worker.begun == [0, 2, 3, 1]


async def test_many_are_worked_on_side_by_side_and_not_too_many(worker: Worker, post: Post, clock: Clock) -> None:
    """So many at once; and so many here that no more are fetched."""
    worker.gates = {offset: asyncio.Event() for offset in range(FULL)}
    lane = lane_of(worker, post, clock)
    lane.take(messages(0, FULL - 1))
    await settled(lambda: len(worker.begun) == 8)
    fetching = [not lane.full]
    lane.take(messages(FULL - 1, FULL))
    fetching.append(not lane.full)
    for gate in worker.gates.values():
        gate.set()
    await settled(lambda: lane.upto == FULL)
    fetching.append(not lane.full)
    assert fetching == [True, False, True]


async def test_the_partition_waits_while_one_of_its_messages_does(worker: Worker, post: Post) -> None:
    """No message is begun and none fetched before the wait is over; then the same message comes again."""
    waits: list[float] = []
    go_on = asyncio.Event()

    class Waiting(Clock):
        @override
        async def sleep(self, seconds: float) -> None:
            waits.append(seconds)
            await go_on.wait()

    worker.outcomes[0] = [Again("answered 503", counted=False, after_seconds=30)]
    lane = lane_of(worker, post, Waiting(), in_flight=1)
    lane.take(messages(0, 2))
    await settled(lambda: bool(waits))
    assert (lane.full, worker.begun, waits) == (True, [0], [30.0])
    go_on.set()
    await settled(lambda: lane.upto == 2)
    assert sorted(worker.begun) == [0, 0, 1]


async def test_a_message_may_wait_alone(worker: Worker, post: Post) -> None:
    """Where its failure says nothing of others these go on meanwhile, and more are fetched."""
    go_on = asyncio.Event()

    class Waiting(Clock):
        @override
        async def sleep(self, seconds: float) -> None:
            await go_on.wait()

    worker.outcomes[0] = [Again("answered 409", counted=False, holds=False)]
    lane = lane_of(worker, post, Waiting(), in_flight=2)
    lane.take(messages(0, 5))
    await settled(lambda: len(worker.begun) == 5)
    assert (lane.full, lane.upto) == (False, 0)
    go_on.set()
    await settled(lambda: lane.upto == 5)


async def test_waits_grow_up_to_a_bound(worker: Worker, post: Post) -> None:
    """1, 2, 4 and then 8 s: eight tries are over within a minute."""
    waits: list[float] = []

    class Noting(Clock):
        @override
        async def sleep(self, seconds: float) -> None:
            waits.append(seconds)
            await super().sleep(seconds)

    worker.outcomes[0] = [Again("answered 500") for _ in range(8)]
    lane = lane_of(worker, post, Noting())
    lane.take(messages(0, 1))
    await settled(lambda: lane.upto == 1)
    assert waits == [1, 2, 4, 8, 8, 8, 8]


async def test_only_counted_tries_make_a_dead_letter(worker: Worker, post: Post, clock: Clock) -> None:
    """Fifty that were not the message's fault cost it nothing; the eighth of its own is the last."""
    worker.outcomes[0] = [Again("the gateway is not ready", counted=False) for _ in range(50)]
    worker.outcomes[0] += [Again("answered 500") for _ in range(20)]
    lane = lane_of(worker, post, clock)
    lane.take(messages(0, 1))
    await settled(lambda: lane.upto == 1)
    (letter,) = post.taken
    assert len(worker.begun) == 58
    assert (dict(letter.headers)["dlq_reason"], dict(letter.headers)["dlq_attempts"]) == (b"tries", b"8")


async def test_no_offset_is_passed_before_its_dead_letter_is_there(worker: Worker, post: Post, clock: Clock) -> None:
    """A broker that does not take it is asked again; what is to be said beside it is there too."""
    beside = Outgoing("payments.failed", b"order-1", b"{}", ())
    worker.outcomes[0] = [Dead("invalid-request", "order_id is required", (beside,))]
    post.answers = [Undelivered("_MSG_TIMED_OUT", for_good=False), Undelivered("_MSG_TIMED_OUT", for_good=False), None]
    lane = lane_of(worker, post, clock)
    lane.take(messages(0, 1))
    await settled(lambda: lane.upto == 1)
    assert [one.topic for one in post.taken] == [*["orders.placed.dlq"] * 3, "payments.failed"]


async def test_a_dead_letter_too_large_goes_without_what_it_says(worker: Worker, post: Post, clock: Clock) -> None:
    """Its headers made it so; the original is named by its origin."""
    worker.outcomes[0] = [Dead("too-large", "the request is too large")]
    post.answers = [Undelivered("MSG_SIZE_TOO_LARGE", for_good=True)]
    lane = lane_of(worker, post, clock)
    lane.take(messages(0, 1))
    await settled(lambda: lane.upto == 1)
    assert [one.value for one in post.taken] == [b"{}", None]


async def test_a_lane_that_is_stopped_finishes_what_is_in_hand(worker: Worker, post: Post, clock: Clock) -> None:
    """What waits is not begun; what does not end in time is cut off, and not passed."""
    quick, endless = worker.gates[0], worker.gates[1] = asyncio.Event(), asyncio.Event()
    lane = lane_of(worker, post, clock, in_flight=2)
    lane.take(messages(0, 9))
    await settled(lambda: len(worker.begun) == 2)
    stopping = asyncio.create_task(lane.stop(0.2))
    await asyncio.sleep(0)
    quick.set()
    await stopping
    assert (worker.begun, lane.upto, endless.is_set()) == ([0, 1], 1, False)


async def test_a_message_fetched_twice_is_worked_on_once(worker: Worker, post: Post, clock: Clock) -> None:
    """As may happen around a pause."""
    lane = lane_of(worker, post, clock)
    lane.take(messages(0, 3))
    lane.take(messages(1, 5))
    await settled(lambda: lane.upto == 5)
    assert worker.begun == [0, 1, 2, 3, 4]
