"""How far the processor's list of events was looked through. The typed side of ``sql/catch_up.sql``."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("catch_up")


@dataclass(frozen=True, slots=True)
class Source:
    """Whose events: an account (empty is our own), of one mode."""

    account: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run has got to: how far back it goes, at which half of it, and after which event."""

    since: datetime
    started_at: datetime
    undelivered: bool = True
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is due of a source: what is covered, what a person asked for, and the run under way, if there is one."""

    covered_until: datetime | None
    asked_since: datetime | None
    place: Place | None
    missing: Counter[str]


@dataclass(frozen=True, slots=True)
class Report:
    """What a run saw: events listed, those about payments of ours, and those of them that were not here, by type.

    ``ended_at`` is None while it is under way.
    """

    since: datetime
    started_at: datetime
    ended_at: datetime | None
    listed: int
    expected: int
    missing: Counter[str]


@dataclass(frozen=True, slots=True)
class View:
    """How catching up stands, as the API shows it."""

    due_at: datetime
    covered_until: datetime | None
    asked_at: datetime | None
    under_way: Report | None
    last: Report | None


async def take(connection: Connection, source: Source, credential: str, now: datetime) -> Standing | None:
    """Return how a source stands if something of it is due, held until the transaction ends."""
    await connection.execute(_SQL.open, source.account, source.livemode, now)
    record = await connection.fetchrow(_SQL.take, source.account, source.livemode, now, credential)
    if record is None:
        return None
    place = None
    if record["since"] is not None:
        place = Place(record["since"], record["started_at"], record["undelivered"], record["after"])
    return Standing(record["covered_until"], record["asked_since"], place, Counter(json.loads(record["missing"])))


async def first_payment(connection: Connection, *, livemode: bool) -> datetime | None:
    """Return when the first payment of a mode was accepted."""
    first: datetime | None = await connection.fetchval(_SQL.first_payment, livemode)
    return first


async def wait(connection: Connection, source: Source, until: datetime) -> None:
    """Have nothing due of a held source until then."""
    await connection.execute(_SQL.wait, source.account, source.livemode, until)


async def begin(connection: Connection, source: Source, place: Place) -> None:
    """Begin a run of a held source."""
    await connection.execute(_SQL.begin, source.account, source.livemode, place.since, place.started_at)


async def claim(connection: Connection, source: Source, until: datetime) -> int:
    """Claim the next page of a held source; return the fence."""
    fence: int = await connection.fetchval(_SQL.claim, source.account, source.livemode, until)
    return fence


async def hold(connection: Connection, source: Source, fence: int) -> bool:
    """Return whether a claim is still ours; if so nobody else takes it until the transaction ends."""
    return bool(await connection.fetchval(_SQL.hold, source.account, source.livemode, fence))


async def known(connection: Connection, source: Source, event_ids: Sequence[str]) -> set[str]:
    """Return which of these events are kept already."""
    return {
        record["event_id"]
        for record in await connection.fetch(_SQL.known, source.account, source.livemode, list(event_ids))
    }


async def advance(  # noqa: PLR0913 - where it has got to, and what it saw on the way
    connection: Connection,
    source: Source,
    place: Place,
    *,
    listed: int,
    expected: int,
    missing: Counter[str],
    due_at: datetime,
) -> None:
    """Write down where the run of a held source has got to; ``missing`` is of the whole run, the other two are more."""
    told = json.dumps(missing)
    half, after = place.undelivered, place.after
    await connection.execute(_SQL.advance, source.account, source.livemode, half, after, listed, expected, told, due_at)


async def finish(connection: Connection, source: Source, now: datetime, next_at: datetime) -> None:
    """End the run of a held source."""
    await connection.execute(_SQL.finish, source.account, source.livemode, now, next_at)


async def put_off(
    connection: Connection | Pool, source: Source, fence: int, until: datetime, *, anew: bool = False
) -> None:
    """Have a claimed page tried again at a time, where the claim is still ours; ``anew`` begins its list again."""
    await connection.execute(_SQL.put_off, source.account, source.livemode, fence, until, anew)


async def ask(connection: Connection | Pool, source: Source, since: datetime | None, now: datetime) -> None:
    """Have a run that goes back that far at least, at once, or after the one under way."""
    await connection.execute(_SQL.ask, source.account, source.livemode, now, since)


async def shown(connection: Connection | Pool, source: Source) -> View | None:
    """Return how catching up stands; None where nobody has begun."""
    record = await connection.fetchrow(_SQL.shown, source.account, source.livemode)
    if record is None:
        return None
    under_way, last = None, None
    if record["since"] is not None:
        under_way = _report({**record, "ended_at": None, "missing": json.loads(record["missing"])})
    if record["last_report"] is not None:
        told = json.loads(record["last_report"])
        moments = {name: datetime.fromisoformat(told[name]) for name in ("since", "started_at", "ended_at")}
        last = _report({**told, **moments})
    return View(record["due_at"], record["covered_until"], record["asked_at"], under_way, last)


def _report(told: dict[str, Any]) -> Report:
    return Report(
        told["since"],
        told["started_at"],
        told["ended_at"],
        told["listed"],
        told["expected"],
        Counter(told["missing"]),
    )
