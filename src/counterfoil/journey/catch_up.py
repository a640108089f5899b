"""Events that were never delivered are found in the processor's list, and kept as if they had been.

A run looks through the list twice, page by page: first what the processor counts as undelivered, so that what an outage
cost is there first, and then all, which is what the report compares. What a page brings is kept in the transaction that
writes down where the run has got to, so nothing is counted twice and whoever comes after a crash goes on there.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from counterfoil.processors.port import EventPage, ListedEvent, NotAnEvent, NoticeReader, NotListed, Silence
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.runtime.metrics import CATCH_UP_MISSING
from counterfoil.store import catch_up, notices, payments
from counterfoil.store.catch_up import Place, Source, Standing
from counterfoil.store.notices import Delivery, NoticeId, Unreadable
from counterfoil.store.pool import NO_PARTITION, Connection, Pool, unavailable_when_down

MOST_BACK: Final = timedelta(days=30)
"""The processor lists no older events."""

EVERY: Final = timedelta(minutes=10)
"""Between runs. A lost notice waits no longer than this for its first chance; a run without news is two calls."""

OVERLAP: Final = timedelta(minutes=10)
"""How far a run goes back behind the beginning of the last one: an event may be listed a little after it was made, its
time has whole seconds, and the processor's clock is not ours."""

ON_ITS_WAY: Final = timedelta(minutes=1)
"""A younger event is kept as well, and not called missing: it may be delivered at this moment."""

CLAIM: Final = timedelta(seconds=120)
"""How long one worker may take for a page, as for any other call; then another one goes on."""

AGAIN: Final = timedelta(seconds=30)
"""Between tries while the processor gives no page."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is ours to look at, and what was missing on those before it."""

    source: Source
    place: Place
    missing: Counter[str]
    fence: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What the processor listed on it."""

    page: Page
    found: EventPage


async def take(pool: Pool, source: Source, credential: str, now: datetime) -> Page | None:
    """Claim the page that is due, the first one of a new run or the next one of a run under way; None where none is.

    Raises:
        Unavailable: the store does not answer.
    """
    async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
        standing = await catch_up.take(connection, source, credential, now)
        if standing is None:
            return None
        place, missing = standing.place, standing.missing
        if place is None:
            since = await _since(connection, source, standing, now)
            if since is None:
                await catch_up.wait(connection, source, now + EVERY)
                return None
            place, missing = Place(since, now), Counter()
            await catch_up.begin(connection, source, place)
        return Page(source, place, missing, await catch_up.claim(connection, source, now + CLAIM))


async def record(pool: Pool, reader: NoticeReader, ids: Ids, looked: Looked, now: datetime) -> int | None:
    """Keep what was missing on a page, and write down that it was looked at.

    Returns how many events were missing, or None where the claim was taken over: then nothing is recorded.

    Raises:
        Unavailable: the store does not answer; the page is looked at again.
    """
    page, found = looked.page, looked.found
    try:
        async with unavailable_when_down(), pool.acquire() as connection, connection.transaction():
            if not await catch_up.hold(connection, page.source, page.fence):
                return None
            ours = await _ours(connection, reader, found.events)
            missing = await _keep(connection, page, ours, now)
            if found.unreadable:
                await notices.quarantine(connection, [Unreadable(*one) for one in found.unreadable], ids, now)
            await _advance(connection, looked, len(ours), missing, now)
    except NO_PARTITION:  # as at the receiver: whoever tends the store mends it
        return 0
    for kind, count in missing.items():
        CATCH_UP_MISSING.labels(kind).inc(count)
    if found.unreadable:
        alarm("catch_up", "unreadable", events=len(found.unreadable))
    return missing.total()


async def put_off(pool: Pool, page: Page, why: NotListed, now: datetime) -> None:
    """Have a page that was not to be had tried again: soon, or when the next run would be where a person has to act.

    Where its place was lost, this half of the run begins again.

    Raises:
        Unavailable: the store does not answer; the page is tried again when its claim is over.
    """
    for_a_person = why.refused or why.key_refused
    if for_a_person:
        alarm("catch_up", "refused", why=str(why))
    again = now + (EVERY if for_a_person else AGAIN)
    async with unavailable_when_down():
        await catch_up.put_off(pool, page.source, page.fence, again, anew=why.place_lost)


async def _since(connection: Connection, source: Source, standing: Standing, now: datetime) -> datetime | None:
    """Return how far back a run goes; None where there is nothing that it could find.

    It begins where the last one did, else with the first payment: what was made before is none of ours.
    """
    covered, asked = standing.covered_until, standing.asked_since
    begins = covered or await catch_up.first_payment(connection, livemode=source.livemode) or asked
    if begins is None:
        return None
    oldest = now - MOST_BACK
    if covered is not None and covered < oldest:
        why = "events of that time are listed no more: a reconciliation since covered_until is needed"
        alarm("catch_up", "gap", covered_until=covered.isoformat(), listed_since=oldest.isoformat(), why=why)
    back = [begins - OVERLAP] + ([asked] if asked is not None else [])
    return max(oldest, min(back))


async def _ours(connection: Connection, reader: NoticeReader, events: tuple[ListedEvent, ...]) -> list[ListedEvent]:
    """Return the events about payments of ours, in order; what cannot be read is among them, for a person to see."""
    read = [(one, _names(reader, one)) for one in events]
    owners = await payments.owners(connection, [names or (None, None, None) for _, names in read])
    return [one for (one, names), owner in zip(read, owners, strict=True) if names is None or owner is not None]


def _names(reader: NoticeReader, event: ListedEvent) -> tuple[UUID | None, str | None, str | None] | None:
    """Return what an event calls its payment; None where it cannot be read."""
    try:
        word = reader.read(event.body)
    except NotAnEvent:
        return None
    return (None, None, None) if isinstance(word, Silence) else (word.payment_id, word.intent_id, word.charge_id)


async def _keep(connection: Connection, page: Page, ours: list[ListedEvent], now: datetime) -> Counter[str]:
    """Keep those that are not kept yet, as never delivered; return how many were missing, by type."""
    known = await catch_up.known(connection, page.source, [one.identity.event_id for one in ours])
    fresh = {one.identity.event_id: one for one in ours if one.identity.event_id not in known}
    deliveries = [
        Delivery(
            NoticeId(one.identity.account, one.identity.livemode, one.identity.event_id),
            one.identity.type,
            one.identity.object_id,
            one.body,
            count=0,
        )
        for one in fresh.values()
    ]
    kept = await notices.keep(connection, deliveries, now) if deliveries else {}
    young = page.place.started_at - ON_ITS_WAY
    new = {notice.event_id for notice, one in kept.items() if one.new}
    return Counter(one.identity.type for name, one in fresh.items() if name in new and one.created <= young)


async def _advance(connection: Connection, looked: Looked, ours: int, missing: Counter[str], now: datetime) -> None:
    """Write down where the run has got to: the next page, the second half, or its end."""
    page, found = looked.page, looked.found
    place, source = page.place, page.source
    half = place.undelivered and found.after is not None
    await catch_up.advance(
        connection,
        source,
        replace(place, undelivered=half, after=found.after),
        listed=0 if place.undelivered else len(found.events),
        expected=0 if place.undelivered else ours,
        missing=page.missing + missing,
        due_at=now,
    )
    if not place.undelivered and found.after is None:
        await catch_up.finish(connection, source, now, now + EVERY)
        _log.info("catch_up.finished", since=place.since.isoformat(), missing=(page.missing + missing).total())
