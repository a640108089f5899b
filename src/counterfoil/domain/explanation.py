"""A payment in words: what is known of it, what is not, and what happens next and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from counterfoil.domain.cancelling import CancelReason
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Attempt, DisputeStatus, FraudDecision, Payment
from counterfoil.domain.schedule import ABSENCE_PROOF, DOUBT_AFTER, KEY_LIFE, MACHINE_GRACE, TRIES_OF_OURS
from counterfoil.domain.states import FINAL, AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Settling


@dataclass(frozen=True, slots=True)
class Sends:
    """What is on record of an attempt's sending: its key, when bytes may have left, and until when it is claimed."""

    key: str
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    claim_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A step that a state machine asked for, and how its token ended: None while it lives."""

    step: str
    execution: str
    received_at: datetime
    settled_at: datetime | None
    outcome: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """A state machine that drives the payment, or drove it until it was given back; what it asked for, in order."""

    given_back_at: datetime | None
    asked: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Something that happens next; ``at`` is None where it happens when it happens."""

    at: datetime | None
    what: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Sentences for a person, in the order in which they should be read."""

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    ahead: tuple[Ahead, ...]


def explain(
    payment: Payment,
    sends: Sequence[Sends],
    now: datetime,
    *,
    paused: str | None = None,
    machine: Machine | None = None,
) -> Explanation:
    """Return a payment in words.

    Args:
        payment: as it stands.
        sends: of each of its attempts, in order.
        now: the time to explain it at.
        paused: why nothing is sent at the moment, if that is so.
        machine: what drives the payment, where anything does beside ourselves.
    """
    tried = list(zip(payment.attempts, sends, strict=True))
    ahead = [one for attempt, sent in tried for one in _ahead(payment, attempt, sent, now)]
    ahead += _trying_anew(payment, machine)
    ahead += _giving_back(payment)
    if paused is not None and payment.next_check_at is not None:
        ahead = [
            Ahead(None, f"Workers send and ask nothing until a person has acted: {paused}. Then what is due is done.")
        ]
    ahead += _decision_ahead(payment)
    ahead += _awaited_by(machine)
    return Explanation(
        known=(
            *_wish(payment),
            *_decided(payment),
            *(line for attempt, sent in tried for line in _known(payment, attempt, sent)),
            *_given_back(payment),
            *_afterwards(payment),
            *_driven(machine),
        ),
        unknown=(*_undecided(payment), *(line for attempt in payment.attempts for line in _unknown(attempt))),
        ahead=tuple(sorted(ahead, key=lambda one: (one.at is not None, one.at or now))) or (_nothing(payment),),
    )


def _wish(payment: Payment) -> Iterator[str]:
    yield (
        f"Order {payment.order_id} asks for {payment.money.format()}; "
        f"accepted {_time(payment.created_at)} under the event {payment.event_id}."
    )
    if payment.intent_id is not None:
        yield f"The processor knows the payment as {payment.intent_id}."


def _decided(payment: Payment) -> Iterator[str]:
    if payment.fraud_decision is FraudDecision.APPROVED:
        yield "Its fraud screening approved it."
    elif payment.fraud_decision is FraudDecision.DECLINED:
        yield "Its fraud screening declined it."


def _undecided(payment: Payment) -> Iterator[str]:
    if payment.screening and payment.state not in FINAL:
        yield f"Whether {'the person who reviews it' if payment.reviewing else 'the fraud check'} approves it."


def _decision_ahead(payment: Payment) -> Iterator[Ahead]:
    if not payment.screening or payment.state in FINAL:
        return
    yield Ahead(None, "Once it is approved it goes on; once it is declined it fails, and nothing is taken.")
    if payment.reviewing:
        yield Ahead(payment.decide_by, "If no person has decided by then, it is declined.")
    else:
        yield Ahead(payment.decide_by, "If no fraud check has decided by then, a person is asked.")


def _given_back(payment: Payment) -> Iterator[str]:
    if payment.cancel_requested_at is not None and payment.cancel_reason in set(CancelReason):
        yield f"Its order was cancelled {_time(payment.cancel_requested_at)}: {payment.cancel_reason}."
    if payment.amount_refunded:
        yield f"{Money(payment.amount_refunded, payment.money.currency).format()} of it was given back."


def _giving_back(payment: Payment) -> Iterator[Ahead]:
    if payment.amount_refund_reserved:
        amount = Money(payment.amount_refund_reserved, payment.money.currency).format()
        yield Ahead(
            None, f"{amount} was asked back, and is sent or asked about until the processor says what became of it."
        )


def _known(payment: Payment, attempt: Attempt, sent: Sends) -> Iterator[str]:
    name = f"Attempt {attempt.number}"
    if sent.first_sent_at is None or sent.last_sent_at is None:
        yield f"{name} was never sent."
        return
    yield f"{name} was sent {_time(sent.first_sent_at)} under the key {sent.key}."
    if sent.last_sent_at != sent.first_sent_at:
        yield f"It was sent again, with the same bytes, last {_time(sent.last_sent_at)}."
    match attempt.state:
        case AttemptState.SENT if not attempt.exposed:
            yield f"{name} was certainly not carried out so far: the processor turned it away, or was not reached."
        case AttemptState.REQUIRES_ACTION if attempt.action is not None:
            yield from _waiting(payment, attempt, attempt.action)
        case AttemptState.PROCESSING:
            yield "The processor took it and waits for the bank."
        case AttemptState.AUTHORIZED:
            yield f"The money is held by the charge {attempt.charge_id}, and not taken."
        case AttemptState.DECLINED if attempt.decline is not None:
            yield f"{name} was declined: {attempt.decline.message or 'no reason given'} ({attempt.decline.code})"
        case AttemptState.CANCELED:
            yield f"{name} was canceled{_why_canceled(payment, attempt)}."
        case AttemptState.CAPTURED:
            captured = Money(payment.amount_captured, payment.money.currency)
            yield f"{name} took {captured.format()} with the charge {attempt.charge_id}."


def _waiting(payment: Payment, attempt: Attempt, action: Action) -> Iterator[str]:
    # Whoever has the whole address acts as the customer, and a sentence is passed on: the host is enough.
    place = urlsplit(action.url).hostname or "an address it did not name"
    yield f"The processor waits for the customer, at {place}."
    if attempt.expired_at is not None and payment.cancel_requested_at is None:
        yield f"The customer's time was over {_time(attempt.expired_at)}; since then it is being canceled."


def _why_canceled(payment: Payment, attempt: Attempt) -> str:
    if payment.cancel_requested_at is not None:
        return f", as was asked for {_time(payment.cancel_requested_at)}"
    if attempt.expired_at is None:
        return ""
    return ", for its hold had ended" if attempt.charge_id is not None else ", for its customer did not act in time"


def _afterwards(payment: Payment) -> Iterator[str]:
    if payment.fee is not None:
        yield f"The processor keeps {payment.fee.format()} of it."
    match payment.dispute_status:
        case DisputeStatus.OPENED:
            yield "The customer's bank wants money back, and the dispute is open: answer it at the processor."
        case DisputeStatus.WON:
            yield "The customer's bank wanted money back, and the dispute is won."
        case DisputeStatus.LOST:
            yield "The customer's bank took money back, and the dispute is lost."


def _driven(machine: Machine | None) -> Iterator[str]:
    if machine is None:
        return
    for execution in dict.fromkeys(one.execution for one in machine.asked):
        yield f"A state machine asked for it: {execution}."
    if machine.given_back_at is not None:
        yield f"Since {_time(machine.given_back_at)} no machine waits for it any more, and workers do what is left."
    for one in machine.asked:
        if one.outcome is not None and one.settled_at is not None:
            why = f": {one.reason}" if one.reason is not None else ""
            yield f"Its step {one.step}, asked for {_time(one.received_at)}, {_ENDED[one.outcome]}{why}."


def _awaited_by(machine: Machine | None) -> Iterator[Ahead]:
    for one in machine.asked if machine is not None else ():
        if one.outcome is None:
            yield Ahead(None, f"A state machine waits for step {one.step}, and is told how it ends.")


_ENDED: Final = {
    "succeeded": "was answered with success",
    "failed": "was answered with a failure",
    "dead": "has nobody waiting for it any more, and was settled quietly",
    "parked": "could not be answered",
}


def _unknown(attempt: Attempt) -> Iterator[str]:
    name = f"attempt {attempt.number}"
    match attempt.state:
        case AttemptState.SENT if attempt.unknown_since is not None:
            yield f"Whether {name} took money: since {_time(attempt.unknown_since)} no answer has said so or denied it."
            if attempt.settling is Settling.STOP:
                yield f"Which request the processor holds under the key of {name}: it says that it is another one."
        case AttemptState.REQUIRES_ACTION:
            yield "Whether the customer will act."
        case AttemptState.PROCESSING:
            yield "Whether the bank will pay; that can take days."


def _ahead(payment: Payment, attempt: Attempt, sent: Sends, now: datetime) -> Iterator[Ahead]:
    """Yield what is to come of an attempt; nothing where it has ended."""
    due = payment.next_check_at
    if attempt.state is AttemptState.SENT and sent.claim_expires_at is not None and sent.claim_expires_at > now:
        yield Ahead(sent.claim_expires_at, "A process is at it; should it die, another one takes over then.")
    match attempt.state:
        case AttemptState.QUEUED if payment.state is not PaymentState.SCREENING:
            yield Ahead(due, "A worker sends it.")
        case AttemptState.SENT if _is_sent_again(payment, attempt, sent, now):
            yield Ahead(due, "The same request is sent again under the same key; the processor answers as at first.")
            yield from _key_ends(attempt, sent)
            yield from _doubt(attempt, now)
        case AttemptState.SENT:
            yield Ahead(due, f"The processor is asked: {_question(payment)}.")
            yield from _absence(attempt, now)
            yield from _doubt(attempt, now)
        case AttemptState.REQUIRES_ACTION:
            yield Ahead(None, "The processor tells by webhook what the customer did.")
            yield from _letting_go(payment, due, now)
        case AttemptState.AUTHORIZED if payment.amount_to_capture is not None:
            wanted = Money(payment.amount_to_capture, payment.money.currency)
            taken = f"{wanted.format()} of it is taken"
            yield Ahead(due, f"{taken}: the processor is asked to, until it says what became of it.")
        case AttemptState.PROCESSING | AttemptState.AUTHORIZED:
            yield Ahead(None, "The processor tells by webhook how it went on.")
            yield from _letting_go(payment, due, now)


def _trying_anew(payment: Payment, machine: Machine | None) -> Iterator[Ahead]:
    if payment.retry_at is None:
        return
    number = f"attempt {len(payment.attempts) + 1} of at most {TRIES_OF_OURS}"
    what = f"The same method is charged once more, without its customer: {number}."
    if machine is None or machine.given_back_at is not None:
        yield Ahead(payment.retry_at, what)
    else:
        yield Ahead(payment.retry_at + MACHINE_GRACE, f"{what} Or before that, as soon as its machine asks for it.")


def _is_sent_again(payment: Payment, attempt: Attempt, sent: Sends, now: datetime) -> bool:
    too_old = attempt.exposed and sent.first_sent_at is not None and now - sent.first_sent_at >= KEY_LIFE
    known = payment.intent_id is not None and attempt.number == 1
    return attempt.settling in _SENDING and not too_old and not known


def _letting_go(payment: Payment, due: datetime | None, now: datetime) -> Iterator[Ahead]:
    if payment.let_go_at is not None and payment.let_go_at <= now:
        yield Ahead(due, "It is let go: the processor is asked to cancel it, until it says what became of it.")
        return
    yield Ahead(due, f"If it has not told, it is asked about {payment.intent_id}.")
    if payment.let_go_at is not None:
        yield Ahead(payment.let_go_at, "If nothing has come of it, it is let go: the processor is asked to cancel it.")


def _key_ends(attempt: Attempt, sent: Sends) -> Iterator[Ahead]:
    if attempt.exposed and sent.first_sent_at is not None:
        yield Ahead(
            sent.first_sent_at + KEY_LIFE,
            "The key is too old to be sent again, for the processor may forget it; from then on it is only asked.",
        )


def _doubt(attempt: Attempt, now: datetime) -> Iterator[Ahead]:
    if attempt.unknown_since is not None and now - attempt.unknown_since < DOUBT_AFTER:
        yield Ahead(attempt.unknown_since + DOUBT_AFTER, "If still nothing is known, it is shown as in doubt.")


def _absence(attempt: Attempt, now: datetime) -> Iterator[Ahead]:
    if attempt.may_appear_until is not None and attempt.may_appear_until > now:
        yield Ahead(attempt.may_appear_until, "Only from then on does it count if the processor has no trace of it.")
    elif attempt.absent_since is not None and attempt.settling is not Settling.STOP:
        when = attempt.absent_since + ABSENCE_PROOF
        yield Ahead(when, "If the processor has no trace of it then either, nothing was done, and the payment fails.")


def _question(payment: Payment) -> str:
    if payment.intent_id is not None:
        return f"how {payment.intent_id} stands"
    return "its list of what was made around the sends is read, every page of it"


def _nothing(payment: Payment) -> Ahead:
    if payment.state is PaymentState.FAILED and payment.last_attempt is not None:
        decline = payment.last_attempt.decline
        if decline is not None and decline.can_retry:
            return Ahead(None, "Nothing, unless the customer tries another method, and the order is still unpaid.")
    return Ahead(None, "Nothing: it is final.")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


_SENDING: Final = frozenset({Settling.RESEND, Settling.RETRY})
