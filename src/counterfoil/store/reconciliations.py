"""Both books compared: how far, and in what they differ. The typed side of ``sql/reconciliations.sql``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from counterfoil.domain.comparing import (
    AGAIN_AFTER,
    Difference,
    Disagreement,
    Remedy,
    Resource,
    Stage,
    Standing,
    Subject,
)
from counterfoil.domain.errors import NotFound, NotLeft
from counterfoil.store import queries
from counterfoil.store.payment_rows import columns
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import Connection, Pool, Row

_SQL: Final = queries.load("reconciliations")

MOST_FORGOTTEN: Final = 10_000
"""Rows that are deleted in one statement once a comparison is over: some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be compared: all that was made from ``since`` to ``until``; ``night`` is set where nobody asked."""

    asked_by: str
    since: datetime
    until: datetime
    night: date | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The page of a comparison that we hold the claim to; ``behind`` is where it begins."""

    id: UUID
    stage: Stage
    behind: str | None
    since: datetime
    until: datetime
    fence: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a page brought its comparison."""

    stage: Stage
    next_at: datetime
    behind: str | None = None
    foreign: int = 0
    compared: int = 0
    reached: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """A payment that was not in the processor's lists, and the processor's name for it."""

    payment_id: UUID
    name: str
    created_at: datetime

    @property
    def place(self) -> str:
        """Where it stands among them: what a page begins behind."""
        return f"{self.created_at.isoformat()} {self.payment_id}"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A difference that is to be compared again, and how often it was."""

    id: UUID
    difference: Difference
    tries: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference after it was compared again."""

    id: UUID
    difference: Difference
    standing: Standing
    next_try_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReconciliationView:
    """A comparison as the API shows it; the last four count its differences by how they stand."""

    id: UUID
    asked_by: str
    asked_at: datetime
    since: datetime
    until: datetime
    stage: Stage
    reached: datetime | None
    compared: int
    foreign: int
    started_at: datetime | None
    finished_at: datetime | None
    suspected: int
    settled: int
    left: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class DifferenceView:
    """A difference as the API shows it."""

    id: UUID
    reconciliation_id: UUID
    difference: Difference
    standing: Standing
    found_at: datetime
    ended_at: datetime | None
    acknowledged_by: str | None
    note: str | None


async def ask(connection: Connection, wanted: Wanted, new_id: UUID, now: datetime) -> bool:
    """Put a comparison on record under that id; return False where its night has one already."""
    row = (new_id, wanted.asked_by, now, wanted.since, wanted.until, wanted.night)
    return await connection.fetchval(_SQL.ask, *row) is not None


async def is_anything_older(connection: Connection, than: datetime) -> bool:
    """Return whether there was a payment before that."""
    found: bool = await connection.fetchval(_SQL.is_anything_older, than)
    return found


async def claim(connection: Connection, claimant: Claimant, now: datetime, until: datetime) -> Turn | None:
    """Take the next page of the comparison that was asked for first; None where none is due, or somebody is at it."""
    record = await connection.fetchrow(_SQL.claim, now, claimant.name, until, claimant.credential)
    if record is None:
        return None
    stage = Stage(record["stage"])
    return Turn(record["id"], stage, record["behind"], record["since"], record["until"], record["fence"])


async def hold(connection: Connection, turn: Turn) -> bool:
    """Lock a comparison; return whether the turn is still ours."""
    return await connection.fetchval(_SQL.hold, turn.id, turn.fence) is not None


async def move_on(connection: Connection, turn: Turn, progress: Progress) -> None:
    """Put on record how far a locked comparison has come; the turn ends."""
    one = progress
    row = (one.stage.value, one.behind, one.next_at, one.foreign, one.compared, one.reached, one.finished_at)
    await connection.execute(_SQL.move_on, turn.id, *row)


async def postpone(connection: Connection, turn: Turn, until: datetime) -> None:
    """End the turn as if it had not been."""
    await connection.execute(_SQL.postpone, turn.id, turn.fence, until)


async def mark(connection: Connection, turn: Turn, payment_ids: Iterable[UUID]) -> int:
    """Remember which payments were seen; return how many were not before. Ids that are none of ours are left out."""
    return len(await connection.fetch(_SQL.mark, turn.id, list(payment_ids)))


async def unseen(connection: Connection, turn: Turn, most: int) -> list[Unseen]:
    """Return up to ``most`` payments that a comparison has not seen though it should have, in the order of time."""
    created_at, _, payment_id = (turn.behind or _FROM_THE_FIRST).partition(" ")
    place = datetime.fromisoformat(created_at), UUID(payment_id)
    records = await connection.fetch(_SQL.unseen, turn.id, turn.since, turn.until, *place, most)
    return [Unseen(record["id"], record["intent_id"], record["created_at"]) for record in records]


async def put(connection: Connection, turn: Turn, found: Sequence[tuple[UUID, Difference]], now: datetime) -> None:
    """Put differences on record, each under its id; those on record already stay as they are."""
    rows = [
        (
            difference_id,
            one.subject.value,
            one.verdict.value,
            one.resource.value,
            one.reference,
            one.payment_id,
            one.ours,
            one.theirs,
            one.remedy.value,
        )
        for difference_id, one in found
    ]
    await connection.execute(_SQL.put, turn.id, *columns(rows, 9), now, now + AGAIN_AFTER[0])


async def due(connection: Connection, turn: Turn, now: datetime, most: int) -> list[Suspicion]:
    """Return up to ``most`` differences whose time to be compared again has come."""
    records = await connection.fetch(_SQL.due, turn.id, now, most)
    return [Suspicion(record["id"], _difference(record), record["tries"]) for record in records]


async def next_try(connection: Connection, turn: Turn) -> datetime | None:
    """Return when the next difference is to be compared again; None where none is suspected any more."""
    moment: datetime | None = await connection.fetchval(_SQL.next_try, turn.id)
    return moment


async def compared(connection: Connection, findings: Sequence[Finding]) -> None:
    """Write differences that were compared again; their comparison is locked."""
    rows = [
        (
            one.id,
            one.difference.verdict.value,
            one.difference.ours,
            one.difference.theirs,
            one.difference.remedy.value,
            one.standing.value,
            one.next_try_at,
            one.ended_at,
        )
        for one in findings
    ]
    await connection.execute(_SQL.compared, *columns(rows, 8))


async def forget(connection: Connection, turn: Turn) -> bool:
    """Forget MOST_FORGOTTEN of the payments that a comparison has seen; return whether there may be more."""
    return len(await connection.fetch(_SQL.forget, turn.id, MOST_FORGOTTEN)) == MOST_FORGOTTEN


async def views(connection: Pool, behind: UUID | None, most: int) -> list[ReconciliationView]:
    """Return up to ``most`` comparisons, the newest first."""
    return [_view(record) for record in await connection.fetch(_SQL.views, behind, most)]


async def view(connection: Connection | Pool, reconciliation_id: UUID) -> ReconciliationView | None:
    """Return a comparison as it stands."""
    record = await connection.fetchrow(_SQL.view, reconciliation_id)
    return None if record is None else _view(record)


async def differences(
    connection: Pool, reconciliation_id: UUID, standing: Standing | None, behind: UUID | None, most: int
) -> list[DifferenceView]:
    """Return up to ``most`` differences of a comparison, in the order in which they were found."""
    state = None if standing is None else standing.value
    records = await connection.fetch(_SQL.differences, reconciliation_id, state, behind, most)
    return [_difference_view(record) for record in records]


async def acknowledge(pool: Pool, difference_id: UUID, by: str, note: str, now: datetime) -> DifferenceView:
    """Note that somebody has seen to a difference that is left; return it.

    Raises:
        NotFound: there is none.
        NotLeft: it is not for a person to settle.
    """
    record = await pool.fetchrow(_SQL.acknowledge, difference_id, by, note, now)
    if record is None:
        state = await pool.fetchval(_SQL.state_of, difference_id)
        raise NotFound("difference") if state is None else NotLeft(state)
    return _difference_view(record)


async def last_finished(connection: Connection) -> tuple[datetime, dict[Disagreement, int]] | None:
    """Return when the last finished comparison was asked for, and how many differences it left, by verdict."""
    record = await connection.fetchrow(_SQL.last_finished)
    if record is None:
        return None
    left = await connection.fetch(_SQL.count_left, record["id"])
    return record["asked_at"], {Disagreement(one["verdict"]): one["differing"] for one in left}


def _view(record: Row) -> ReconciliationView:
    values = dict(record.items()) | {"stage": Stage(record["stage"])}
    values["foreign"], values["left"] = values.pop("foreign_things"), values.pop("differing")
    return ReconciliationView(**values)


def _difference(record: Row) -> Difference:
    return Difference(
        Subject(record["subject"]),
        Disagreement(record["verdict"]),
        Resource(record["resource"]),
        record["reference"],
        record["payment_id"],
        record["ours"],
        record["theirs"],
        Remedy(record["remedy"]),
    )


def _difference_view(record: Row) -> DifferenceView:
    return DifferenceView(
        record["id"],
        record["reconciliation_id"],
        _difference(record),
        Standing(record["state"]),
        record["found_at"],
        record["ended_at"],
        record["acknowledged_by"],
        record["note"],
    )


_FROM_THE_FIRST: Final = f"1970-01-01T00:00:00+00:00 {UUID(int=0)}"
