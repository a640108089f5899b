"""A kept notice is read once more, because a person wants it; or it is shown what would come of that."""

from dataclasses import dataclass, replace
from datetime import datetime

from counterfoil.domain.errors import NotFound, NotReplayable
from counterfoil.domain.payment import Payment
from counterfoil.journey.weighing import MOST_TRIES, Batch, weigh
from counterfoil.processors.port import NoticeReader
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.retry import again_on
from counterfoil.store import notices, payments, reading
from counterfoil.store.notice_views import NoticeView
from counterfoil.store.notices import NoticeState, Settled, Taken
from counterfoil.store.pool import DATA_ERRORS, RIVALRY, Connection, Pool, unavailable_when_down


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would come of reading a notice now: what would become of it, and of its payment.

    ``before`` and ``after`` are None where it is about no payment of ours. ``facts`` are those that would be written,
    by name and number, ``alarms`` what a person would be told.
    """

    settled: Settled
    before: Payment | None = None
    after: Payment | None = None
    facts: tuple[tuple[str, int], ...] = ()
    alarms: tuple[str, ...] = ()


async def run(pool: Pool, notice: NoticeView, now: datetime) -> None:
    """Let a notice be read once more by the next worker; what was read before changes nothing again.

    Raises:
        NotReplayable: its body has expired. Its payment, if it is known, is asked about instead.
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down():
        body_kept = await again_on(RIVALRY, lambda: notices.put_back(pool, notice.id, now))
    if body_kept is not True:
        raise NotReplayable(notice.state, _EXPIRED + (_ASKED if body_kept is not None else _NAMELESS))


async def rehearse(  # noqa: PLR0913 - what conclude works with, and of which notice
    pool: Pool, reader: NoticeReader, ids: Ids, notice: NoticeView, now: datetime, *, livemode: bool
) -> Rehearsal:
    """Return what would come of reading a notice now. It is read as ever, in a transaction that is taken back.

    Raises:
        NotReplayable: its body has expired.
        Unavailable: the store does not answer.
    """

    async def work() -> Rehearsal:
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                taken = await _taken(connection, notice)
                return await _rehearsed(connection, taken, Batch(reader, livemode), ids, now)
            except DATA_ERRORS as error:
                why = f"cannot be recorded ({type(error).__name__})"
                return Rehearsal(Settled(notice.id, NoticeState.PARKED, why))
            finally:
                await transaction.rollback()

    async with unavailable_when_down():
        return await again_on(RIVALRY, work)


async def _taken(connection: Connection, notice: NoticeView) -> Taken:
    taken = await notices.take_one(connection, notice.id)
    if taken is None:
        raise NotFound("notice")
    if taken.body is None:
        raise NotReplayable(notice.state, _EXPIRED + (_WOULD_BE_ASKED if taken.payment_id else _NAMELESS))
    return replace(taken, tries=MOST_TRIES - 1)  # where its payment is not here it would wait a little, then be parked


async def _rehearsed(connection: Connection, taken: Taken, batch: Batch, ids: Ids, now: datetime) -> Rehearsal:
    await weigh(connection, [taken], batch, ids, now)
    (settled,) = batch.settled
    before = next(iter(batch.held.values()), None)
    alarms = tuple(ids_of.get("why", what) for what, ids_of in batch.alarms)
    if before is None:
        return Rehearsal(settled, alarms=alarms)
    payment = before.payment
    after = await payments.read(connection, [payment.id])
    written = await reading.timeline(connection, payment.id)
    facts = ((line.name, line.sequence) for line in written if line.kind == "fact" and line.sequence > payment.version)
    return Rehearsal(settled, payment, after[payment.id].payment, tuple(facts), alarms)


_EXPIRED = "its body has expired, "
_ASKED = "so its payment is asked about instead"
_WOULD_BE_ASKED = "and its payment would be asked about instead"
_NAMELESS = "and no payment of ours is known to ask about"
