"""What kept notices come to: whose each is, what it says of its payment, and what becomes of it. No network.

`conclude` does it for all that wait, `replay` once more for one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from counterfoil.domain.acting import ask_soon
from counterfoil.domain.disputing import Docket
from counterfoil.domain.hearing import hear
from counterfoil.domain.payment import Advance
from counterfoil.domain.states import AttemptState
from counterfoil.processors.port import Aftermath, Hint, NotAnEvent, NoticeReader, Silence, Word
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.ids import Ids
from counterfoil.store import disputes, learning, notices, payments, refunds
from counterfoil.store.notices import NoticeState, Settled, Taken
from counterfoil.store.payment_rows import Held
from counterfoil.store.pool import Connection

MOST_TRIES: Final = 8
"""After this many a notice is parked: a person looks at it, or it waits for its payment."""

OWNER_WAIT: Final = timedelta(seconds=2)
"""A notice may overtake the commit of the payment it speaks of; a moment later the owner is there."""


@dataclass(slots=True)
class Batch:
    """What a batch of notices comes to: payments moved or to be counted again, disputes, and what became of each.

    ``held`` is how the payments stood before. What a person must see of it is kept until `sound`: only what is
    committed has happened.
    """

    reader: NoticeReader
    livemode: bool
    held: dict[UUID, Held] = field(default_factory=dict)
    moved: dict[UUID, Advance] = field(default_factory=dict)
    hinted: set[UUID] = field(default_factory=set)
    docket: Docket = field(default_factory=lambda: Docket({}))
    settled: list[Settled] = field(default_factory=list)
    recounted: set[UUID] = field(default_factory=set)
    alarms: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def alarm(self, what: str, **ids: str) -> None:
        """Note what a person must see."""
        self.alarms.append((what, ids))

    def sound(self) -> None:
        """Let a person see what was noted, now that it has happened."""
        for what, ids in self.alarms:
            alarm("conclude", what, **ids)


async def weigh(connection: Connection, taken: Sequence[Taken], batch: Batch, ids: Ids, now: datetime) -> None:
    """Do all that a batch comes to, in the transaction that took it."""
    if not taken:
        return
    spoken = [(notice, word) for notice in taken if (word := _word(notice, batch)) is not None]
    await _advance(connection, spoken, batch, now)
    await payments.write(connection, list(batch.moved.values()), ids, now)
    await disputes.put(connection, batch.docket.changed, now)
    await learning.ask_soon(connection, batch.hinted, now)
    await refunds.look_soon(connection, batch.recounted, now)
    await notices.settle(connection, batch.settled, now)


def _word(notice: Taken, batch: Batch) -> Word | Aftermath | None:
    """Return what the notice says of a payment; settle it where it says nothing."""
    if notice.id.livemode is not batch.livemode:
        batch.settled.append(Settled(notice.id, NoticeState.FOREIGN, "of the other mode"))
        return None
    if notice.body is None and notice.payment_id is None:
        batch.settled.append(Settled(notice.id, NoticeState.PARKED, "its body has expired"))
        return None
    if notice.body is None:
        return Word(notice.payment_id, None, None, None)
    try:
        word = batch.reader.read(notice.body)
    except NotAnEvent as error:
        batch.alarm("unreadable", event_id=notice.id.event_id, why=str(error))
        batch.settled.append(Settled(notice.id, NoticeState.PARKED, str(error)))
        return None
    if isinstance(word, Silence):
        state = NoticeState.FOREIGN if word is Silence.FOREIGN else NoticeState.DONE
        batch.settled.append(Settled(notice.id, state, word.value))
        return None
    return word


async def _advance(
    connection: Connection,
    spoken: Sequence[tuple[Taken, Word | Aftermath]],
    batch: Batch,
    now: datetime,
) -> None:
    """Lock the payments spoken of, let each hear all that is said of it, and settle the notices."""
    names = [(word.payment_id, word.intent_id, word.charge_id) for _, word in spoken]
    owners = await payments.owners(connection, names)
    held = batch.held = await payments.lock(connection, {owner for owner in owners if owner is not None})
    if any(isinstance(word, Aftermath) for _, word in spoken):
        batch.docket = Docket(await disputes.of_payments(connection, held))
    for (notice, word), owner in zip(spoken, owners, strict=True):
        if owner is None and isinstance(word, Aftermath) and word.news is not Hint.BOOKED:
            batch.settled.append(_ownerless(notice, now, _foreign(notice)))
        elif owner is None:
            batch.settled.append(_foreign(notice))
        elif owner not in held:
            batch.settled.append(_ownerless(notice, now, _parked_for(notice, owner)))
        elif held[owner].livemode is not notice.id.livemode:
            batch.alarm("mixed_modes", event_id=notice.id.event_id, payment_id=str(owner))
            batch.settled.append(Settled(notice.id, NoticeState.PARKED, "names a payment of the other mode", owner))
        elif isinstance(word, Word) and word.refunds:  # whatever it tells, only the charge that we know is asked for
            batch.recounted.add(owner)
            batch.settled.append(Settled(notice.id, NoticeState.DONE, "its charge is asked for", owner))
        else:
            so_far = batch.moved.get(owner) or Advance(held[owner].payment)
            if isinstance(word, Aftermath):
                batch.settled.append(_follow(notice, word, so_far, batch, now))
            else:
                batch.settled.append(_hear(notice, word, so_far, batch, now))


def _hear(notice: Taken, word: Word, so_far: Advance, batch: Batch, now: datetime) -> Settled:
    payment = so_far.payment
    if notice.body is None:
        return _ask(notice, so_far, batch, now)
    if payment.intent_id is not None and word.intent_id is not None and payment.intent_id != word.intent_id:
        batch.alarm("impostor", event_id=notice.id.event_id, payment_id=str(payment.id))
        why = "its metadata names a payment that belongs to another intent"
        return Settled(notice.id, NoticeState.PARKED, why, payment.id)
    if word.verdict is None or payment.may_be_old(word.verdict):
        batch.moved[payment.id] = Advance(ask_soon(payment, word.intent_id, now).payment, so_far.facts)
        unclear = "written in another API version" if word.verdict is None else "perhaps of an earlier attempt"
        return Settled(notice.id, NoticeState.DONE, f"{unclear}: its object is asked for", payment.id)
    attempt = payment.about(word.verdict)
    if attempt is None:
        return Settled(notice.id, NoticeState.DONE, "about a charge that no attempt owns", payment.id)
    if attempt.state is AttemptState.CAPTURED and word.charge_id not in (None, attempt.charge_id):
        batch.alarm("second_charge", event_id=notice.id.event_id, payment_id=str(payment.id))
        why = "about a second charge of a payment that has its money"
        return Settled(notice.id, NoticeState.PARKED, why, payment.id)
    advance = hear(payment, attempt.number, word.verdict, now)
    of_another = word.verdict.currency not in (None, payment.money.currency)
    return _moved(notice, advance, so_far, batch, parks=advance.alarm is not None and of_another)


def _follow(notice: Taken, word: Aftermath, so_far: Advance, batch: Batch, now: datetime) -> Settled:
    payment = so_far.payment
    if isinstance(word.news, Hint):
        if word.news is not Hint.BOOKED or payment.fee is None:
            batch.hinted.add(payment.id)
        return Settled(notice.id, NoticeState.DONE, f"{word.news.value}: it is asked about", payment.id)
    advance = batch.docket.hear(payment, word.news, word.cause, now)
    return _moved(notice, advance, so_far, batch, parks=advance.alarm is not None)


def _moved(notice: Taken, advance: Advance, so_far: Advance, batch: Batch, *, parks: bool) -> Settled:
    """Return what becomes of a notice that was heard, and take up what it moved unless it ``parks``."""
    payment = advance.payment
    if advance.alarm is not None:
        batch.alarm("contradiction", event_id=notice.id.event_id, payment_id=str(payment.id), why=advance.alarm)
    if parks:
        return Settled(notice.id, NoticeState.PARKED, advance.alarm, payment.id)
    batch.moved[payment.id] = Advance(payment, so_far.facts + advance.facts)
    return Settled(notice.id, NoticeState.DONE, None, payment.id)


def _ownerless(notice: Taken, now: datetime, ends: Settled) -> Settled:
    """Return what becomes of a notice whose payment we do not have, or do not have yet, or do not know by that name."""
    if notice.tries + 1 < MOST_TRIES:
        return Settled(notice.id, NoticeState.KEPT, None, None, now + OWNER_WAIT)
    return ends


def _foreign(notice: Taken) -> Settled:
    return Settled(notice.id, NoticeState.FOREIGN, Silence.FOREIGN.value)


def _parked_for(notice: Taken, owner: UUID) -> Settled:
    """Return that a notice waits for a payment that may still come: it is read again when the payment is here."""
    why = "names a payment that is not here"
    return Settled(notice.id, NoticeState.PARKED, why, owner, awaits_payment=True)


def _ask(notice: Taken, so_far: Advance, batch: Batch, now: datetime) -> Settled:
    """Have everything asked about a payment of which something was said, where what it was is not kept any more."""
    payment = so_far.payment
    batch.moved[payment.id] = Advance(ask_soon(payment, None, now).payment, so_far.facts)
    if payment.amount_captured:
        batch.recounted.add(payment.id)
        batch.hinted.add(payment.id)
    return Settled(notice.id, NoticeState.DONE, "its body has expired: its payment is asked about", payment.id)
