"""State machines that drive payments, where there is a queue that they send their tasks to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from counterfoil.config import Settings
from counterfoil.journey import report
from counterfoil.journey.report import Heard, Report
from counterfoil.roles.probes import Check
from counterfoil.roles.wishing import screening_of
from counterfoil.roles.worker.bench import Bench, Work
from counterfoil.roles.worker.tasks import Tasks
from counterfoil.runtime.batching import Batcher
from counterfoil.runtime.metrics import LIVE_TASK_TOKENS, OLDEST_TASK_TOKEN_SECONDS, PARKED_TASK_TOKENS
from counterfoil.runtime.shutdown import Shutdown
from counterfoil.store import task_tokens
from counterfoil.store.pool import unavailable_when_down
from counterfoil.workflow import sdk
from counterfoil.workflow.machines import Machines
from counterfoil.workflow.queue import POLL_SECONDS, TaskQueue
from counterfoil.workflow.sdk import Threads

_SETTING = "STEP_FUNCTIONS_QUEUE_URL"


class Reports:
    """Machines are told how their tasks ended, or that they are worked on."""

    name = "report"

    def __init__(self, bench: Bench, machines: Machines) -> None:
        self._bench, self._machines = bench, machines
        self._recorded: Batcher[Heard, None] = bench.batched(self._record)

    async def round(self) -> bool:
        """Begin to say what is due; return whether there may be more to begin."""
        return await self._bench.fill(self.name, report.MOST_AT_ONCE, self._claim, self._tell)

    async def _claim(self, free: int) -> list[Report]:
        bench, world = self._bench, self._bench.world
        return await report.claim_due(world.pool, bench.claimant.name, world.clock.now(), free)

    async def _tell(self, due: Report) -> None:
        await self._recorded.submit(await report.call(self._machines, due))

    async def _record(self, heard: Sequence[Heard]) -> list[None]:
        world = self._bench.world
        await report.record(world.pool, heard, world.clock.now())
        return [None] * len(heard)


class WaitingTokens:
    """The gauges of tokens that machines wait on."""

    name = "measure task tokens"

    def __init__(self, bench: Bench) -> None:
        self._world = bench.world

    async def round(self) -> bool:
        """Set the gauges; there is never more."""
        async with unavailable_when_down():
            found = await task_tokens.waiting(self._world.pool)
        now = self._world.clock.now()
        LIVE_TASK_TOKENS.set(found.alive)
        PARKED_TASK_TOKENS.set(found.parked)
        OLDEST_TASK_TOKEN_SECONDS.set((now - found.oldest).total_seconds() if found.oldest else 0.0)
        return False


@dataclass(frozen=True, slots=True)
class Driven:
    """What a worker does for machines, and what it needs for that."""

    works: tuple[Work, ...] = ()
    checks: tuple[Check, ...] = ()


@asynccontextmanager
async def open_machines(settings: Settings, bench: Bench, shutdown: Shutdown) -> AsyncIterator[Driven]:
    """Yield what is to be done for machines; nothing, where no queue is named.

    Raises:
        Misconfigured: a queue is named, and boto3 is not installed or knows no region.
    """
    url = settings.step_functions_queue_url
    if url is None:
        yield Driven()
        return
    region, threads = sdk.region_of(url), Threads()
    try:
        queue = TaskQueue(sdk.client("sqs", _SETTING, region=region, wait_seconds=POLL_SECONDS), url, threads)
        machines = Machines(sdk.client("stepfunctions", _SETTING, region=region), threads)
        tasks = Tasks(bench, queue, shutdown, screening_of(settings), settings.default_payment_method)
        yield Driven((tasks, Reports(bench, machines), WaitingTokens(bench)), (tasks.check(),))
    finally:
        threads.close()
