"""Requests that arrive together are worked on together: one transaction, one commit, an answer for each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

LARGEST: Final = 500
"""More rows in a statement gain nothing measurable and hold their locks longer."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Batcher(Generic[_Item, _Result]):
    """Gathers items for a moment and hands them to one call, one call at a time.

    A call under way is itself the best gatherer: whatever arrives meanwhile goes into the next. Before each call the
    batch waits until nobody has come for ``linger_seconds``, so that is all that batching costs a lone request; a
    stream of arrivals is cut off after ``longest_seconds``.

    ``work`` returns a result for each item, in order. An exception as a result is raised to whoever submitted that item
    alone. If ``work`` itself raises one of ``splits_on``, the batch is halved and tried again, until only the culprit
    fails; anything else fails the whole batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
        *,
        linger_seconds: float,
        longest_seconds: float,
        splits_on: tuple[type[Exception], ...] = (),
        largest: int = LARGEST,
    ) -> None:
        self._work = work
        self._linger_seconds = linger_seconds
        self._most_lingers = max(1, round(longest_seconds / linger_seconds))
        self._splits_on = splits_on
        self._largest = largest
        self._waiting: list[tuple[_Item, asyncio.Future[_Result]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: _Item) -> _Result:
        """Return the result for this item, once the batch it went into is done.

        Cancelling the caller does not take its item out of the batch: what was begun is finished.
        """
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._run())
        return await future

    async def drain(self) -> None:
        """Return once everything submitted so far is done."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
                await self._do(batch)
        finally:
            self._worker = None

    async def _gather(self) -> None:
        """Return once arrivals pause, the batch is full, or it has been waited long enough."""
        for _ in range(self._most_lingers):
            before = len(self._waiting)
            await asyncio.sleep(self._linger_seconds)
            if len(self._waiting) == before or len(self._waiting) >= self._largest:
                return

    async def _do(self, batch: list[tuple[_Item, "asyncio.Future[_Result]"]]) -> None:
        try:
            results = await divided(self._work, [item for item, _ in batch], self._splits_on)
        except Exception as error:  # noqa: BLE001 - whoever submitted must hear of it, whatever it is
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            _settle(future, result)


async def divided(
    work: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
    items: Sequence[_Item],
    splits_on: tuple[type[Exception], ...],
) -> list[_Result | Exception]:
    """Return the result of ``work`` for each item, in order, halving the batch when it raises one of ``splits_on``.

    An item whose work raises that even when it is alone has the error as its result, and harms none of the others.
    """
    try:
        return list(await work(items))
    except splits_on as error:
        if len(items) == 1:
            return [error]
    middle = len(items) // 2
    return [
        *await divided(work, items[:middle], splits_on),
        *await divided(work, items[middle:], splits_on),
    ]


def _settle(future: "asyncio.Future[_Result]", result: _Result | Exception) -> None:
    if future.done():  # the caller was cancelled
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
