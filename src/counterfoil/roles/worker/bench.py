"""What all of the worker's work stands on: the world, the processor, our name on claims, and the calls under way."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from counterfoil.processors.port import Processor
from counterfoil.roles.pausing import Pausing
from counterfoil.roles.world import World
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.batching import Batcher
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import SPLITTING

GATHER_SECONDS: Final = 0.02
"""After a ring, what else arrives in that moment is read in the same transaction."""

LINGER_SECONDS: Final = 0.004
"""What an answer waits for others to be recorded with."""


class _Due(Protocol):
    """What was claimed: something about one payment, which may not be known yet."""

    @property
    def payment_id(self) -> UUID | None: ...


_Claimed = TypeVar("_Claimed", bound=_Due)
_Heard = TypeVar("_Heard")
_Recorded = TypeVar("_Recorded")


class Work(Protocol):
    """One of the things a worker does, over and over."""

    name: str

    async def round(self) -> bool:
        """Do what is due, or begin it; return whether there may be more at once.

        Raises:
            Unavailable: the store does not answer; it is tried again.
        """


class Bench:
    """What the worker works with, and the calls it has under way."""

    def __init__(self, world: World, processor: Processor, owner: str) -> None:
        self.world, self.processor = world, processor
        self.claimant = Claimant(owner, processor.credential)
        self.pausing = Pausing(world, processor)
        self._calls: dict[str, set[asyncio.Task[None]]] = {}

    async def fill(
        self,
        kind: str,
        most: int,
        claim: Callable[[int], Awaitable[Sequence[_Claimed]]],
        call: Callable[[_Claimed], Coroutine[Any, Any, object]],
    ) -> bool:
        """Claim what is due, as far as there is room for `most` calls of a kind, and begin a call for each.

        ``claim`` is told how much room there is; a step that claims a fixed number may go a little beyond it. Returns
        whether there may be more at once.

        Raises:
            Unavailable: the store does not answer; nothing was begun.
        """
        free = most - len(self._calls.get(kind, ()))
        if free <= 0:
            return False
        claimed = await claim(free)
        for one in claimed:
            self._begin(kind, one.payment_id, call(one))
        return len(claimed) >= free

    def _begin(self, kind: str, payment_id: UUID | None, call: Coroutine[Any, Any, object]) -> None:
        """Let a call run by itself: a slow one keeps no other from being recorded, nor from being begun."""

        async def run() -> None:
            try:
                await call
            except Exception as error:  # noqa: BLE001 - recorded here; the claim expires, and it is done again
                alarm("worker", "unrecorded", work=kind, payment_id=str(payment_id), why=type(error).__name__)

        task = asyncio.create_task(run())
        begun = self._calls.setdefault(kind, set())
        begun.add(task)
        task.add_done_callback(begun.discard)

    def under_way(self) -> list["asyncio.Task[None]"]:
        """Return all calls that were begun and are not recorded yet."""
        return [call for calls in self._calls.values() for call in calls]

    def batched(
        self, record: Callable[[Sequence[_Heard]], Awaitable[Sequence[_Recorded | Exception]]]
    ) -> "Batcher[_Heard, _Recorded]":
        """Return a batcher that records together what is heard together; an error as a result is raised to its own."""
        return Batcher(record, linger_seconds=LINGER_SECONDS, longest_seconds=GATHER_SECONDS, splits_on=SPLITTING)
