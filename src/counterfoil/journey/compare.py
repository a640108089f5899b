"""Both books are compared, ours and the processor's, page by page: claim │ read │ record.

First all that the processor lists of a time is held against ours; then what of ours was not in the lists is asked for
by name; then what differed is compared again, for what moves is not the same on both sides at every moment. What a page
holds is all that is ever in memory, and where it ended is on record, so that any worker goes on there.

Nothing is moved here. What is to be heard, learned or brought back is handed to whoever runs this, for `reconcile`,
`learn` and `adopt`; what has to be asked for is made due, for `recount` and `learn`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from counterfoil.domain import comparing
from counterfoil.domain.comparing import (
    STAGES,
    About,
    Difference,
    Remedy,
    Resource,
    Stage,
    Standing,
    TheirPayment,
)
from counterfoil.domain.schedule import CLAIM
from counterfoil.processors.port import Books, Page
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.retry import again_on
from counterfoil.store import learning, ledger, payments, reconciliations, refunds
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import RIVALRY, Connection, Pool, unavailable_when_down
from counterfoil.store.reconciliations import Finding, Progress, Suspicion, Turn, Unseen

MOST_BY_NAME: Final = 20
"""Things that are asked for by name before any of them is recorded: each is a call, and a claim must outlast them."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read for a turn: things of the processor's, and what was asked for by name and why.

    ``unknown`` are the payments whose names the processor does not know.
    """

    turn: Turn
    page: Page
    unseen: tuple[Unseen, ...] = ()
    unknown: tuple[tuple[Unseen, Resource], ...] = ()
    suspicions: tuple[Suspicion, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a turn: what is to be done about which things of the processor's, and whether it is all over."""

    told: tuple[tuple[Remedy, TheirPayment], ...] = ()
    finished: bool = False


async def claim(pool: Pool, claimant: Claimant, now: datetime) -> Turn | None:
    """Take the next page of the comparison that was asked for first; None where there is nothing to do now."""
    async with unavailable_when_down(), pool.acquire() as connection:
        return await reconciliations.claim(connection, claimant, now, now + CLAIM)


async def read(pool: Pool, books: Books, turn: Turn, now: datetime) -> Read:
    """Read what the turn is about from the processor. Holds no transaction, and no connection while it asks.

    Raises:
        Untold: the processor did not tell.
        Unavailable: the store does not answer.
    """
    if turn.stage is Stage.AGAIN:
        async with unavailable_when_down(), pool.acquire() as connection:
            due = await reconciliations.due(connection, turn, now, MOST_BY_NAME)
        found = [await books.show(one.difference.resource, one.difference.reference) for one in due]
        return Read(turn, _together(found), suspicions=tuple(due))
    if turn.stage is Stage.OURS:
        async with unavailable_when_down(), pool.acquire() as connection:
            unseen = await reconciliations.unseen(connection, turn, MOST_BY_NAME)
        page, unknown = await _by_name(books, unseen)
        return Read(turn, page, unseen=tuple(unseen), unknown=tuple(unknown))
    resource = Resource(turn.stage.value)
    return Read(turn, await books.page(resource, turn.since, turn.until, turn.behind))


async def record(pool: Pool, ids: Ids, read: Read, now: datetime) -> Recorded:
    """Compare what was read with ours and put on record what differs, and how far this is, in one transaction.

    Raises:
        Unavailable: the store does not answer. Once the claim expires the page is read again.
    """
    for why in read.page.alarms:
        alarm("compare", "alarm", why=why)
    async with unavailable_when_down():
        return await again_on(RIVALRY, lambda: _record(pool, ids, read, now))


async def postpone(pool: Pool, turn: Turn, now: datetime) -> None:
    """End a turn whose page the processor did not tell; it is read again a little later."""
    async with unavailable_when_down(), pool.acquire() as connection:
        await reconciliations.postpone(connection, turn, now + comparing.AFTER_SILENCE)


async def _record(pool: Pool, ids: Ids, read: Read, now: datetime) -> Recorded:
    turn, shown = read.turn, read.page.shown
    async with pool.acquire() as connection, connection.transaction():
        if not await reconciliations.hold(connection, turn):
            return Recorded()
        ours = await ledger.read(connection, shown, now)
        compared = [comparing.compare(one, ours) for one in shown]
        found = {one.about: one for differences in compared for one in differences or ()}
        if turn.stage is Stage.AGAIN:
            there = {one.name for one in shown}
            findings = [_judged(one, found, there, now) for one in read.suspicions]
            await reconciliations.compared(connection, findings)
            differing = [one.difference for one in findings if one.standing is Standing.SUSPECTED]
        else:
            differing = [*found.values(), *await _missing(connection, read)]
            await reconciliations.put(connection, turn, [(ids.new(), one) for one in differing], now)
        await _remedy(connection, differing, now)
        progress = await _progress(connection, read, now)
        if turn.stage in _OF_PAYMENTS:
            seen = {ours.owners[one.name] for one in shown} | {one.payment_id for one in read.unseen}
            progress = replace(progress, compared=await reconciliations.mark(connection, turn, seen))
        progress = replace(progress, foreign=read.page.foreign + compared.count(None))
        await reconciliations.move_on(connection, turn, progress)
    named = {one.name: one for one in shown if isinstance(one, TheirPayment) and one.payment_id not in ours.in_hand}
    told = tuple((one.remedy, named[one.reference]) for one in differing if one.reference in named)
    return Recorded(told, progress.finished_at is not None)


async def _by_name(books: Books, unseen: Iterable[Unseen]) -> tuple[Page, list[tuple[Unseen, Resource]]]:
    """Return payments asked for by name, each with the charge that it speaks of; and those that are not known."""
    pages: list[Page] = []
    unknown: list[tuple[Unseen, Resource]] = []
    for one in unseen:
        resource = books.resource_of(one.name)
        pages.append(await books.show(resource, one.name))
        unknown += [] if pages[-1].shown or pages[-1].alarms else [(one, resource)]
        charges = {found.verdict.charge_id for found in pages[-1].shown if isinstance(found, TheirPayment)}
        pages += [await books.show(Resource.CHARGE, charge) for charge in charges - {None, one.name} if charge]
    return _together(pages), unknown


def _together(pages: Iterable[Page]) -> Page:
    found = list(pages)
    return Page(
        tuple(one for page in found for one in page.shown), alarms=tuple(one for page in found for one in page.alarms)
    )


async def _missing(connection: Connection, read: Read) -> list[Difference]:
    held = await payments.read(connection, [one.payment_id for one, _ in read.unknown]) if read.unknown else {}
    return [comparing.missing_there(held[one.payment_id].payment, kind, one.name) for one, kind in read.unknown]


def _judged(suspicion: Suspicion, found: Mapping[About, Difference], there: Collection[str], now: datetime) -> Finding:
    """Return how a difference stands now; where the processor does not show the thing, as it stood."""
    before = suspicion.difference
    after = found.get(before.about) if before.reference in there else before
    standing, wait = comparing.judge(after, suspicion.tries + 1)
    next_at, ended_at = (now + wait, None) if wait is not None else (None, now)
    return Finding(suspicion.id, after or before, standing, next_at, ended_at)


async def _remedy(connection: Connection, differing: Sequence[Difference], now: datetime) -> None:
    """Make due what the other steps do about differences anyhow."""
    recount = {one.payment_id for one in differing if one.remedy is Remedy.RECOUNT and one.payment_id is not None}
    learn = {one.payment_id for one in differing if one.remedy is Remedy.ASK and one.payment_id is not None}
    if recount or learn:
        await payments.lock(connection, recount | learn)
        await refunds.look_soon(connection, recount, now)
        await learning.ask_soon(connection, learn, now)


async def _progress(connection: Connection, read: Read, now: datetime) -> Progress:
    """Return where the next page begins; once nothing is suspected any more, what was seen is forgotten."""
    turn = read.turn
    if turn.stage is Stage.AGAIN:
        next_at = await reconciliations.next_try(connection, turn)
        if next_at is not None:
            return Progress(Stage.AGAIN, max(next_at, now))
        if await reconciliations.forget(connection, turn):
            return Progress(Stage.AGAIN, now)
        return Progress(Stage.FINISHED, now, finished_at=now)
    if turn.stage is Stage.OURS and len(read.unseen) == MOST_BY_NAME:
        return Progress(Stage.OURS, now, read.unseen[-1].place, reached=read.unseen[-1].created_at)
    if read.page.last is not None:
        return Progress(turn.stage, now, read.page.last, reached=read.page.reached)
    return Progress(STAGES[STAGES.index(turn.stage) + 1], now)


_OF_PAYMENTS: Final = frozenset({Stage.INTENT, Stage.CHARGE, Stage.OURS})
"""Where payments are compared, and so are seen; a refund or a dispute alone tells little of its payment."""
