"""Kept notices are read, and the payments they speak of advance. One transaction for a whole batch; no network."""

from collections import Counter
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from counterfoil.journey.weighing import Batch, weigh
from counterfoil.processors.port import NoticeReader
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.store import notices
from counterfoil.store.notices import Awaiting, NoticeState, Settled, Taken
from counterfoil.store.pool import RIVALRY, UNREACHABLE, Pool, unavailable_when_down

MOST_AT_ONCE: Final = 500
"""Notices in one transaction; more would only hold the rows of their payments for longer."""

MOST_LOOKED_THROUGH: Final = 1000
"""Of those that wait for their payments, in one round: another database's on the same account may be without end."""

_log = structlog.get_logger()


async def run(pool: Pool, reader: NoticeReader, ids: Ids, now: datetime, *, livemode: bool) -> Counter[NoticeState]:
    """Read the notices that wait, advance their payments, and return how many ended how.

    Raises:
        Unavailable: the store does not answer; the notices wait on.
    """
    taken: list[Taken] = []
    batch = Batch(reader, livemode)
    async with unavailable_when_down():
        try:
            async with pool.acquire() as connection, connection.transaction():
                taken = await notices.take(connection, now, MOST_AT_ONCE)
                await weigh(connection, taken, batch, ids, now)
        except UNREACHABLE:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one notice brings about, the others must be read
            _log.warning("conclude.one_by_one", notices=len(taken), why=type(error).__name__)
            batch = Batch(reader, livemode)
            for notice in taken:
                await _alone(pool, notice, batch, ids, now)
    batch.sound()
    return Counter(settled.state for settled in batch.settled)


async def claim_parked(pool: Pool, behind: Awaiting | None, now: datetime) -> Awaiting | None:
    """Let notices that were parked for want of their payment be read, where it is here by now.

    Looks through some of them, ``behind`` one where one is given; returns where the next call goes on, None where it
    begins anew.

    Raises:
        Unavailable: the store does not answer; they wait on.
    """
    async with unavailable_when_down():
        looked = await notices.claim_owned(pool, behind, MOST_LOOKED_THROUGH, now)
    if looked.claimed:
        _log.info("conclude.claimed", notices=looked.claimed)
    return looked.last if looked.count == MOST_LOOKED_THROUGH else None


async def _alone(pool: Pool, notice: Taken, outcome: Batch, ids: Ids, now: datetime) -> None:
    """Conclude one notice by itself, after the store refused a batch it was in; park it if it is the culprit."""
    try:
        batch = Batch(outcome.reader, outcome.livemode)
        async with pool.acquire() as connection, connection.transaction():
            await weigh(connection, await notices.take_these(connection, [notice.id], now), batch, ids, now)
    except (*UNREACHABLE, *RIVALRY, asyncpg.LockNotAvailableError):
        raise  # not this notice's fault: it waits on
    except Exception as error:  # noqa: BLE001 - the culprit is parked, whatever it brings about
        alarm("conclude", "unrecordable", event_id=notice.id.event_id, why=type(error).__name__)
        batch = Batch(outcome.reader, outcome.livemode)
        batch.settled.append(Settled(notice.id, NoticeState.PARKED, f"cannot be recorded ({type(error).__name__})"))
        async with pool.acquire() as connection:
            await notices.settle(connection, batch.settled, now)
    outcome.settled.extend(batch.settled)
    outcome.alarms.extend(batch.alarms)
