"""How many calls the processor takes: one budget in the store, that all processes spend by the order of their priority.

Tokens are taken from the store for several calls at once, and ahead of charges that are likely to come, so that a
charge waits for no row that others hold. A token that nobody spends is good for a moment only: else those that idle
processes hold would be spent all at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

import structlog

from counterfoil.domain.errors import Unavailable
from counterfoil.processors.port import Priority
from counterfoil.processors.stripe.limits import ENDPOINT_PER_SECOND
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.metrics import BUDGET_TOKENS, BUDGET_WAITS, OVERDRAWN, RATE_LIMITED
from counterfoil.store import budget
from counterfoil.store.budget import Account, Bucket, Lease, Terms, Wanted
from counterfoil.store.pool import Pool, unavailable_when_down

LEASE_SECONDS: Final = 0.125
"""How long a token may be spent. With what `terms_of` fills and holds, no second sees more calls than the limit: a
tenth of it that was there, and eight tenths for the second and for the eighth of one that tokens may be old."""

CHARGE_SECONDS: Final = 2.0
"""What a charge waits at most. Then it goes: a 429 does it no harm, as it proves that nothing was done and it is sent
again, and to hold it back any longer would."""

QUESTION_SECONDS: Final = 20.0
"""What a question waits at most; then it is asked another time, by its own schedule, and its claim has not run out."""

STORE_SECONDS: Final = 0.5
"""What the store may take. Where it does not answer, charges go: whoever sends one has its claim on record, and without
the store nobody reads notices or asks questions that could use the limit up."""

AGAIN_SECONDS: Final = 0.05
"""Between tries while somebody waits: some tokens each time, and no more than twenty small statements a second."""

STREAM: Final = 4
"""So many charges within the life of a lease are a stream, of which more are to come; tokens are taken ahead for it."""

PAUSE: Final = timedelta(seconds=1)
"""After a 429 nothing is taken for so long: the second in which it was too much has passed by then."""

_log = structlog.get_logger()


def terms_of(limit_per_second: int) -> Terms:
    """Return how a limit is shared out: eight tenths of it are spent, the rest is for what we cannot see.

    Questions have shares of these, in the order of their priority six, three and one tenth, and none more than one
    endpoint takes. Each leaves some tokens where charges find them.
    """
    total = Bucket(limit_per_second * 4 // 5, limit_per_second / 10)
    endpoint = ENDPOINT_PER_SECOND * 4 // 5

    def share(tenths: int) -> Bucket:
        per_second = min(endpoint, total.per_second * tenths // 10)
        return Bucket(per_second, max(1.0, per_second / 8))

    leaves = (total.capacity * 0.4, total.capacity * 0.5, total.capacity * 0.6)
    return Terms(total, share(6), share(3), share(1), leaves)


class Rationing:
    """The part that one process has in the budget of an account."""

    def __init__(  # noqa: PLR0913 - whose budget it is, and how long who waits for it
        self,
        pool: Pool,
        clock: Clock,
        account: Account,
        terms: Terms,
        *,
        charge_seconds: float = CHARGE_SECONDS,
        question_seconds: float = QUESTION_SECONDS,
    ) -> None:
        self._pool, self._clock, self._account, self._terms = pool, clock, account, terms
        self._patience = dict.fromkeys(Priority, question_seconds) | {Priority.CHARGE: charge_seconds}
        self._waiting: dict[Priority, deque[asyncio.Future[None]]] = {priority: deque() for priority in Priority}
        self._ready: dict[Priority, deque[float]] = {priority: deque() for priority in Priority}
        """Until when each token may be spent, by what it was taken for."""
        self._charged: deque[float] = deque()
        """When charges were let go, within the life of a lease."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def take(self, priority: Priority) -> None:
        """Return once a call may be made; a charge after a moment in any case.

        Raises:
            Unavailable: there was nothing left for this question, for all the time that it may wait.
        """
        began = self._clock.monotonic()
        try:
            if not self._spend(priority):
                await self._wait(priority)
        finally:
            BUDGET_WAITS.labels(priority.name.lower()).observe(self._clock.monotonic() - began)
        if priority is Priority.CHARGE:
            self._charged.append(self._clock.monotonic())
            if self._to_come() > len(self._ready[priority]):
                self._run("lease", self._lease)

    def note_refusal(self, reason: str) -> None:
        """Count a 429; where it is about all calls of the account, nobody calls for a moment."""
        RATE_LIMITED.labels(reason).inc()
        if reason.startswith("global"):
            for tokens in self._ready.values():
                tokens.clear()
            self._run("empty", self._empty)

    async def close(self) -> None:
        """Leave what is under way; tokens that were taken are lost."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spend(self, priority: Priority) -> bool:
        """Spend a token taken for this priority, or for one that comes after it; return whether there is one."""
        if self._waiting[priority]:
            return False
        now = self._clock.monotonic()
        for other in Priority:
            tokens = self._ready[other]
            while tokens and tokens[0] <= now:
                tokens.popleft()
            if other >= priority and tokens:
                tokens.popleft()
                return True
        return False

    async def _wait(self, priority: Priority) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[priority].append(turn)
        self._run("lease", self._lease)
        try:
            async with asyncio.timeout(self._patience[priority]):
                await turn
        except TimeoutError:
            if priority is not Priority.CHARGE:
                raise Unavailable("processor") from None
            OVERDRAWN.inc()

    def _to_come(self) -> int:
        """Return how many charges are likely within the life of a lease: as many as were within the last one."""
        since = self._clock.monotonic() - LEASE_SECONDS
        while self._charged and self._charged[0] <= since:
            self._charged.popleft()
        return len(self._charged) if len(self._charged) >= STREAM else 0

    def _run(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let a work go on by itself, unless it is under way."""
        before = self._tasks.get(name)
        if before is None or before.done():
            self._tasks[name] = asyncio.create_task(work())

    async def _lease(self) -> None:
        """Take from the store what is wanted, until nobody waits."""
        while True:
            asked_at = self._clock.monotonic()
            try:
                async with unavailable_when_down(), asyncio.timeout(STORE_SECONDS):
                    lease = await budget.lease(self._pool, self._account, self._terms, self._wanted())
            except Unavailable:
                left = self._let_go(Priority.CHARGE, len(self._waiting[Priority.CHARGE]))
                OVERDRAWN.inc(left)
                _log.warning("budget.unknown", charges=left)
            else:
                self._hand_out(lease, asked_at + LEASE_SECONDS)
            if not any(self._waiting.values()):
                return
            await self._clock.sleep(AGAIN_SECONDS)

    async def _empty(self) -> None:
        """Leave nothing to anybody for a moment."""
        try:
            async with unavailable_when_down(), asyncio.timeout(STORE_SECONDS):
                await budget.empty(self._pool, self._account, PAUSE)
        except Unavailable:
            _log.warning("budget.not_emptied")

    def _wanted(self) -> Wanted:
        for turns in self._waiting.values():
            while turns and turns[0].done():  # given up
                turns.popleft()
        charges, *questions = (len(self._waiting[priority]) for priority in Priority)
        return Wanted(charges, max(0, self._to_come() - len(self._ready[Priority.CHARGE])), *questions)

    def _hand_out(self, lease: Lease, until: float) -> None:
        """Let those go who were granted a token; keep what is left for who comes within its life."""
        BUDGET_TOKENS.set(lease.left)
        got = lease.granted
        counts = (got.charges + got.to_come, got.look_ups, got.reconciliations, got.catch_ups)
        for priority, count in zip(Priority, counts, strict=True):
            unspent = count - self._let_go(priority, count)
            self._ready[priority].extend([until] * unspent)

    def _let_go(self, priority: Priority, most: int) -> int:
        """Let up to so many go that wait; return how many there were."""
        turns, gone = self._waiting[priority], 0
        while turns and gone < most:
            turn = turns.popleft()
            if not turn.done():
                turn.set_result(None)
                gone += 1
        return gone
