"""Two books of the same payments, ours and the processor's: where they differ, and what can be done about it.

Nothing here moves a payment. What a machine can do is named, and done by the steps that do it anyhow: what the
processor says is heard, refunds are counted again, late facts are learned. The rest is said to a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final, TypeAlias
from uuid import UUID

from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import UNHEARD, Attempt, Dispute, Payment, Refund, RefundState
from counterfoil.domain.refunding import RefundHappening
from counterfoil.domain.request import Request
from counterfoil.domain.states import FINAL, MOVED_MONEY, AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Verdict

AGAIN_AFTER: Final = (timedelta(seconds=2), timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
"""When a difference is compared again: what the other side was about to say is said within seconds, what a worker has
to ask for first within minutes. What still differs after the last is told to a person."""


AFTER_SILENCE: Final = timedelta(seconds=30)
"""Where the processor did not tell a page, it is asked for again after this."""

USUAL_TIME: Final = timedelta(days=3)
"""How far back a comparison goes unless it is told: as long as the processor tries to deliver a notice."""

NIGHTLY_AT: Final = 3
"""The hour, UTC, from which on the night's comparison is asked for: when most shops are quiet."""


@unique
class Resource(StrEnum):
    """What kind of thing of the processor's is compared; their order is that of a comparison."""

    INTENT = "intent"
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"


@unique
class Stage(StrEnum):
    """How far a comparison is: all that the processor lists, what of ours was not there, what differed, once more."""

    INTENT = "intent"
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    OURS = "ours"
    AGAIN = "again"
    FINISHED = "finished"


STAGES: Final = tuple(Stage)
"""The stages in their order."""


@unique
class Standing(StrEnum):
    """How a difference stands."""

    SUSPECTED = "suspected"  # to be compared again
    SETTLED = "settled"  # it is none any more
    LEFT = "left"  # a person has to see to it
    ACKNOWLEDGED = "acknowledged"  # a person has


@unique
class Subject(StrEnum):
    """What a difference is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    FEE = "fee"


@unique
class Disagreement(StrEnum):
    """In what the two books differ."""

    OURS_MISSING = "ours_missing"  # the processor has it, and we do not
    THEIRS_MISSING = "theirs_missing"  # we have it, and the processor does not
    AMOUNT = "amount"  # both have it, with different amounts or currencies
    STATE = "state"  # both have it, and it stands differently


@unique
class Remedy(StrEnum):
    """Who brings the two together."""

    HEAR = "hear"  # the payment hears what the processor says of it
    RECOUNT = "recount"  # the refunds of its charge are counted again
    LEARN = "learn"  # its fee is taken down
    ASK = "ask"  # its disputes are asked for
    ADOPT = "adopt"  # it is brought back, for the database has forgotten it
    PERSON = "person"  # nobody but a person can


About: TypeAlias = tuple[Subject, Resource, str]
"""By what a difference is known again: of which kind of thing it is, and the processor's name for that."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the processor remembers of the order that a payment was asked for by, and of the request for it.

    That is not all that the order said, and of the request only its key and its kind.
    """

    order: Order
    request: Request


@dataclass(frozen=True, slots=True)
class TheirPayment:
    """An intent or a charge that bears our metadata, as the processor has it.

    ``name`` is the processor's. ``given_back``, ``fee`` and ``disputed`` are None where this kind of thing does not
    tell them; what was only let go of a hold is not given back. ``memory`` is there where this is all of a payment.
    """

    resource: Resource
    name: str
    payment_id: UUID
    money: Money
    verdict: Verdict
    created_at: datetime
    given_back: int | None = None
    fee: Money | None = None
    disputed: bool | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class TheirRefund:
    """A refund as the processor has it; ``payment_id`` and ``refund_id`` are what its metadata claims, if anything."""

    name: str
    money: Money
    outcome: RefundHappening
    intent_id: str | None
    charge_id: str | None
    created_at: datetime
    payment_id: UUID | None = None
    refund_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class TheirDispute:
    """A dispute as the processor has it, and the intent of its charge where that has one."""

    dispute: Dispute
    intent_id: str | None

    @property
    def name(self) -> str:
        """The processor's name for it."""
        return self.dispute.id


Theirs: TypeAlias = TheirPayment | TheirRefund | TheirDispute


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the books differ; ``ours`` and ``theirs`` say how each has it, for a person to read.

    ``reference`` is the processor's name for the thing, where a ``resource`` of that name is found again.
    """

    subject: Subject
    verdict: Disagreement
    resource: Resource
    reference: str
    payment_id: UUID | None
    ours: str | None
    theirs: str | None
    remedy: Remedy

    @property
    def about(self) -> About:
        """By what it is known again."""
        return self.subject, self.resource, self.reference


@dataclass(frozen=True, slots=True)
class Ledger:
    """Our side of some of the processor's things, by its names for them.

    ``owners`` says which payment a thing is about; where it only claims one, that need not be in ``payments``.
    ``in_hand`` are the payments for whose answer somebody waits right now. ``restored`` says that the ledger was put
    back to an earlier moment and has not caught up: then what is not in it may be forgotten.
    """

    owners: Mapping[str, UUID]
    payments: Mapping[UUID, Payment]
    in_hand: frozenset[UUID]
    refunds: Mapping[str, Refund]
    disputes: Mapping[str, Dispute]
    restored: bool = False


def compare(theirs: Theirs, ledger: Ledger) -> list[Difference] | None:
    """Return in what a thing of the processor's differs from what we have of it; None where it is none of ours."""
    owner = ledger.owners.get(theirs.name)
    if owner is None:
        return None
    if isinstance(theirs, TheirPayment):
        return compare_payment(ledger.payments.get(owner), theirs, restored=ledger.restored)
    if isinstance(theirs, TheirRefund):
        return compare_refund(ledger.refunds.get(theirs.name), theirs, owner)
    return compare_dispute(ledger.disputes.get(theirs.name), theirs.dispute, owner)


def compare_payment(ours: Payment | None, theirs: TheirPayment, *, restored: bool = False) -> list[Difference]:
    """Return in what a payment of ours differs from the intent or the charge that bears its id; one for each subject.

    What was let go, or refused, and stands beside the one that counts is no difference: only money is never nobody's.
    """
    if ours is None:
        remedy = Remedy.ADOPT if restored and theirs.memory is not None else Remedy.PERSON
        return [_of(theirs, Disagreement.OURS_MISSING, None, _standing(theirs.verdict), remedy)]
    if theirs.resource is Resource.INTENT:
        return _compare_intent(ours, theirs)
    return _compare_charge(ours, theirs)


def missing_there(ours: Payment, resource: Resource, name: str) -> Difference:
    """Return that the processor does not know a payment by the name that we have for it."""
    state = ours.state.value
    return Difference(Subject.PAYMENT, Disagreement.THEIRS_MISSING, resource, name, ours.id, state, None, Remedy.PERSON)


def compare_refund(ours: Refund | None, theirs: TheirRefund, payment_id: UUID) -> list[Difference]:
    """Return in what a refund of one of our payments differs from the processor's."""
    subject, remedy = Subject.REFUND, Remedy.RECOUNT
    said = f"{_text(theirs.money)} {theirs.outcome.value}"
    had: str | None
    if ours is None:
        # One that failed moved nothing, and nobody waits for it.
        if theirs.outcome is RefundHappening.FAILED:
            return []
        verdict, had = Disagreement.OURS_MISSING, None
    elif ours.money != theirs.money:
        verdict, remedy, had = Disagreement.AMOUNT, Remedy.PERSON, f"{_text(ours.money)} {ours.state.value}"
    elif ours.state not in _REFUNDS_AGREE[theirs.outcome]:
        verdict, had = Disagreement.STATE, f"{_text(ours.money)} {ours.state.value}"
    else:
        return []
    return [Difference(subject, verdict, Resource.REFUND, theirs.name, payment_id, had, said, remedy)]


def compare_dispute(ours: Dispute | None, theirs: Dispute, payment_id: UUID) -> list[Difference]:
    """Return in what a dispute of one of our payments differs from the processor's."""
    said = f"{_text(theirs.money)} {theirs.status.value}, {theirs.funds.value}"
    had = None if ours is None else f"{_text(ours.money)} {ours.status.value}, {ours.funds.value}"
    if had == said:
        return []
    if ours is None:
        verdict = Disagreement.OURS_MISSING
    elif ours.money != theirs.money:
        verdict = Disagreement.AMOUNT
    else:
        verdict = Disagreement.STATE
    remedy = Remedy.ASK
    return [Difference(Subject.DISPUTE, verdict, Resource.DISPUTE, theirs.id, payment_id, had, said, remedy)]


def judge(after: Difference | None, tries: int) -> tuple[Standing, timedelta | None]:
    """Return how a difference stands that was compared again so many times, and after what time it is once more.

    It is settled where it is none any more, and left to a person once it was compared often enough: what only a person
    can settle will not be otherwise by waiting.
    """
    if after is None:
        return Standing.SETTLED, None
    if tries >= (1 if after.remedy is Remedy.PERSON else len(AGAIN_AFTER)):
        return Standing.LEFT, None
    return Standing.SUSPECTED, AGAIN_AFTER[tries]


def _compare_intent(ours: Payment, theirs: TheirPayment) -> list[Difference]:
    outcome = theirs.verdict.outcome
    if ours.intent_id not in (None, theirs.name):
        # Only after the processor called one canceled did we make another; whatever may still bring money is too many.
        if outcome in _HARMLESS:
            return []
        return [_of(theirs, Disagreement.OURS_MISSING, ours.intent_id, _standing(theirs.verdict), Remedy.PERSON)]
    if not _agree(ours, outcome):
        return [_of(theirs, Disagreement.STATE, ours.state.value, _standing(theirs.verdict), Remedy.HEAR)]
    if outcome is AttemptHappening.CAPTURED and ours.amount_captured != theirs.verdict.amount_captured:
        return [_captured_otherwise(ours, theirs)]
    if ours.money != theirs.money:
        return [_of(theirs, Disagreement.AMOUNT, _text(ours.money), _text(theirs.money), Remedy.PERSON)]
    return []


def _compare_charge(ours: Payment, theirs: TheirPayment) -> list[Difference]:
    """Compare a charge; its state only where it moved money, or where it is all that the processor has of a payment.

    Each attempt makes a charge of its own, so that a refused one says nothing of the payment.
    """
    outcome, alone = theirs.verdict.outcome, theirs.verdict.intent_id in (None, theirs.name)
    owner = next((one for one in ours.attempts if one.charge_id == theirs.name), None)
    said, has_money = _standing(theirs.verdict), owner is not None and owner.state in _MONEY
    if outcome is AttemptHappening.CAPTURED and ours.state is PaymentState.SUCCEEDED:
        ours_by = [one.charge_id for one in ours.attempts if one.state is AttemptState.CAPTURED]
        if theirs.name not in ours_by and None not in ours_by:
            return [_of(theirs, Disagreement.OURS_MISSING, ", ".join(map(str, ours_by)), said, Remedy.PERSON)]
        return _compare_aftermath(ours, theirs)
    differs = outcome in MOVED_MONEY or has_money or (alone and _is_unheard(ours, owner))
    if not differs or _agree(ours, outcome):
        return []
    return [_of(theirs, Disagreement.STATE, ours.state.value, said, Remedy.HEAR)]


def _compare_aftermath(ours: Payment, theirs: TheirPayment) -> list[Difference]:
    """Compare what came of a charge that both have as captured: how much, what was given back, kept, and disputed."""
    found: list[Difference] = []
    currency = ours.money.currency
    if (ours.amount_captured, currency) != (theirs.verdict.amount_captured, theirs.money.currency):
        found.append(_captured_otherwise(ours, theirs))
    if theirs.given_back is not None:
        # What is under way the processor may count already or not yet.
        most = ours.amount_refunded + ours.amount_refund_reserved
        if not ours.amount_refunded <= theirs.given_back <= most:
            had, said = _text(Money(ours.amount_refunded, currency)), _text(Money(theirs.given_back, currency))
            found.append(_of(theirs, Disagreement.AMOUNT, had, said, Remedy.RECOUNT, Subject.REFUND))
    if theirs.fee != ours.fee:
        found.append(_kept_otherwise(ours.fee, theirs))
    if theirs.disputed is False and ours.disputed:
        status = ours.dispute_status.value if ours.dispute_status else None
        found.append(_of(theirs, Disagreement.THEIRS_MISSING, status, None, Remedy.PERSON, Subject.DISPUTE))
    return found


def _kept_otherwise(ours: Money | None, theirs: TheirPayment) -> Difference:
    had, said = (None if fee is None else _text(fee) for fee in (ours, theirs.fee))
    if had is None:
        return _of(theirs, Disagreement.OURS_MISSING, had, said, Remedy.LEARN, Subject.FEE)
    verdict = Disagreement.THEIRS_MISSING if said is None else Disagreement.AMOUNT
    return _of(theirs, verdict, had, said, Remedy.PERSON, Subject.FEE)


def _captured_otherwise(ours: Payment, theirs: TheirPayment) -> Difference:
    had = _text(Money(ours.amount_captured, ours.money.currency))
    said = f"{theirs.verdict.amount_captured} {theirs.money.currency}"
    return _of(theirs, Disagreement.AMOUNT, f"{had} captured", f"{said} captured", Remedy.PERSON)


def _agree(ours: Payment, outcome: AttemptHappening) -> bool:
    """Return whether a payment stands as the processor says.

    While a further attempt is ahead or under way, what is heard of the intent is still the refusal before it.
    """
    if ours.state in _AGREE[outcome]:
        return True
    further = ours.retry_at is not None or len(ours.attempts) > 1
    return outcome is AttemptHappening.DECLINED and further and ours.state not in FINAL


def _is_unheard(ours: Payment, owner: Attempt | None) -> bool:
    last = ours.last_attempt
    if owner is not None:
        return owner.state in UNHEARD
    return last is not None and last.state in UNHEARD and last.charge_id is None


def _of(  # noqa: PLR0913, PLR0917  all that a difference is made of
    theirs: TheirPayment,
    verdict: Disagreement,
    ours: str | None,
    said: str | None,
    remedy: Remedy,
    subject: Subject = Subject.PAYMENT,
) -> Difference:
    return Difference(subject, verdict, theirs.resource, theirs.name, theirs.payment_id, ours, said, remedy)


def _standing(verdict: Verdict) -> str:
    if verdict.decline is not None:
        return f"{verdict.outcome.value}: {verdict.decline.code}"
    return verdict.outcome.value


def _text(money: Money) -> str:
    return f"{money.amount} {money.currency}"


_MONEY: Final = frozenset({AttemptState.AUTHORIZED, AttemptState.CAPTURED})

_HARMLESS: Final = frozenset({AttemptHappening.DECLINED, AttemptHappening.CANCELED, AttemptHappening.UNKNOWN})

_OPEN: Final = frozenset(
    {PaymentState.REQUESTED, PaymentState.SCREENING, PaymentState.PROCESSING, PaymentState.IN_DOUBT}
)

_AGREE: Final[Mapping[AttemptHappening, frozenset[PaymentState]]] = MappingProxyType(
    {
        AttemptHappening.CAPTURED: frozenset({PaymentState.SUCCEEDED}),
        AttemptHappening.AUTHORIZED: frozenset({PaymentState.AUTHORIZED}),
        AttemptHappening.ACTION: frozenset({PaymentState.REQUIRES_ACTION}),
        AttemptHappening.PROCESSING: frozenset({PaymentState.PROCESSING}),
        AttemptHappening.DECLINED: frozenset({PaymentState.FAILED, PaymentState.CANCELED}),
        AttemptHappening.CANCELED: frozenset({PaymentState.CANCELED, PaymentState.FAILED}),
        AttemptHappening.UNKNOWN: _OPEN | {PaymentState.FAILED, PaymentState.CANCELED},
    }
)
"""How a payment may stand when the processor says that. Without money, failed and canceled are one: a decline outranks
the cancellation after it, and a fraud check's decline has the hold let go."""

_REFUNDS_AGREE: Final[Mapping[RefundHappening, frozenset[RefundState]]] = MappingProxyType(
    {
        RefundHappening.UNKNOWN: frozenset({RefundState.REQUESTED, RefundState.PENDING}),
        RefundHappening.PENDING: frozenset({RefundState.PENDING}),
        RefundHappening.PROCESSED: frozenset({RefundState.PROCESSED}),
        RefundHappening.FAILED: frozenset({RefundState.FAILED}),
    }
)

DONE: Final[Mapping[Remedy, str]] = MappingProxyType(
    {
        Remedy.HEAR: "the payment was told what the processor says of it",
        Remedy.RECOUNT: "the refunds of its charge were counted again",
        Remedy.LEARN: "its fee was taken down",
        Remedy.ASK: "its disputes were asked for",
        Remedy.ADOPT: "the payment was brought back",
        Remedy.PERSON: "it was compared again",
    }
)
"""What was done about a difference that is none any more."""

TO_DO: Final[Mapping[tuple[Subject, Disagreement], str]] = MappingProxyType(
    {
        (Subject.PAYMENT, Disagreement.OURS_MISSING): "no payment here accounts for it: find out who asked for it, and "
        "give it back at the processor if nobody did; where this database was restored, see the page on that",
        (
            Subject.PAYMENT,
            Disagreement.THEIRS_MISSING,
        ): "the processor does not know this name: see whether this database "
        "and STRIPE_KEY belong to the same account and mode",
        (
            Subject.PAYMENT,
            Disagreement.AMOUNT,
        ): "see `counterfoil show` and the processor's page; give back what was taken "
        "too much with `counterfoil refund`",
        (
            Subject.PAYMENT,
            Disagreement.STATE,
        ): "`counterfoil explain` says what is known; where the processor is right, "
        "refund or cancel there, and compare again",
        (
            Subject.REFUND,
            Disagreement.OURS_MISSING,
        ): "a refund made elsewhere that could not be taken down: see the alarms of `recount`",
        (Subject.REFUND, Disagreement.AMOUNT): "compare `counterfoil show` with the processor's list of refunds",
        (Subject.REFUND, Disagreement.STATE): "see the alarms of `recount`; the processor's word counts",
        (
            Subject.DISPUTE,
            Disagreement.OURS_MISSING,
        ): "see the alarms of `learn`, and answer it at the processor",
        (Subject.DISPUTE, Disagreement.AMOUNT): "the processor's amount counts: answer the dispute there",
        (Subject.DISPUTE, Disagreement.STATE): "the processor's word counts: see the dispute there",
        (Subject.DISPUTE, Disagreement.THEIRS_MISSING): "see at the processor whether the dispute was withdrawn",
        (Subject.FEE, Disagreement.OURS_MISSING): "it is asked for by itself once it is booked; then compare again",
        (Subject.FEE, Disagreement.THEIRS_MISSING): "see the charge's balance transaction at the processor",
        (Subject.FEE, Disagreement.AMOUNT): "a fee on record never changes: correct it in your accounts",
    }
)
"""What a person can do about a difference that is left."""
