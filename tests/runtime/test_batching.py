"""Items that come together are worked on together, and a bad one harms only itself."""

import asyncio
from collections.abc import Sequence

import pytest

from counterfoil.runtime.batching import Batcher, divided


class Sink:
    """Takes batches; refuses any that holds a word that begins with ``bad``, and gives an error for ``odd``."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.running = 0
        self.most_running = 0
        self.began = asyncio.Event()

    async def take(self, items: Sequence[str]) -> Sequence[str | Exception]:
        """Work on a batch; one after the other is what the batcher promises."""
        self.running += 1
        self.began.set()
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.002)
        self.running -= 1
        if any(item.startswith("bad") for item in items):
            raise ValueError("refused")
        self.batches.append(list(items))
        return [KeyError(item) if item == "odd" else item.upper() for item in items]


def batcher(sink: Sink, largest: int = 500) -> Batcher[str, str]:
    return Batcher(sink.take, linger_seconds=0.002, longest_seconds=0.01, splits_on=(ValueError,), largest=largest)


async def test_what_comes_together_is_one_batch() -> None:
    """A hundred at once: one call, and each its own answer."""
    sink = Sink()
    words = [f"word {number}" for number in range(100)]
    together = batcher(sink)
    answers = await asyncio.gather(*(together.submit(word) for word in words))
    assert [word.upper() for word in words] == answers
    assert len(sink.batches) == 1


async def test_what_comes_meanwhile_is_the_next_batch() -> None:
    """One call at a time: who arrives during it waits for the next."""
    sink = Sink()
    together = batcher(sink)
    first = asyncio.create_task(together.submit("first"))
    await sink.began.wait()
    await asyncio.gather(first, together.submit("second"), together.submit("third"))
    assert sink.batches == [["first"], ["second", "third"]]
    assert sink.most_running == 1


async def test_a_batch_is_never_larger_than_it_may_be() -> None:
    """The rest goes into the next ones."""
    sink = Sink()
    together = batcher(sink, largest=4)
    await asyncio.gather(*(together.submit(str(number)) for number in range(10)))
    assert [len(batch) for batch in sink.batches] == [4, 4, 2]


async def test_only_the_culprit_fails() -> None:
    """A batch the store refuses is halved until the bad item stands alone."""
    sink = Sink()
    together = batcher(sink)
    words = ["a", "b", "bad", "c", "d"]
    answers = await asyncio.gather(*(together.submit(word) for word in words), return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, str)] == ["A", "B", "C", "D"]
    assert isinstance(answers[2], ValueError)


async def test_an_error_may_be_one_items_answer() -> None:
    """A refusal is an answer like any other."""
    sink = Sink()
    together = batcher(sink)
    answers = await asyncio.gather(together.submit("odd"), together.submit("even"), return_exceptions=True)
    assert isinstance(answers[0], KeyError)
    assert answers[1] == "EVEN"


async def test_any_other_error_reaches_everybody() -> None:
    """When the store is away nobody is left waiting."""

    async def away(_items: Sequence[str]) -> Sequence[str | Exception]:
        raise OSError("away")

    together: Batcher[str, str] = Batcher(away, linger_seconds=0.001, longest_seconds=0.01)
    answers = await asyncio.gather(*(together.submit(word) for word in "ab"), return_exceptions=True)
    assert [OSError, OSError] == [type(answer) for answer in answers]


async def test_a_caller_that_leaves_does_not_take_the_work_along() -> None:
    """What was submitted is done, even if nobody waits for it any more."""
    sink = Sink()
    together = batcher(sink)
    task = asyncio.create_task(together.submit("left behind"))
    await asyncio.sleep(0)
    task.cancel()
    await together.drain()
    assert sink.batches == [["left behind"]]


async def test_it_goes_on_after_an_error() -> None:
    """The next batch has nothing to do with the one before."""
    sink = Sink()
    together = batcher(sink)
    with pytest.raises(ValueError, match="refused"):
        await together.submit("bad")
    assert await together.submit("good") == "GOOD"


async def test_dividing_keeps_the_order() -> None:
    """Results stand where their items stood, whatever had to be halved."""
    sink = Sink()
    results = await divided(sink.take, ["a", "bad 1", "b", "bad 2"], (ValueError,))
    assert ["A", ValueError, "B", ValueError] == [
        result if isinstance(result, str) else type(result) for result in results
    ]
