"""A payment in words: for every way it can stand, what is known, what is not, and what happens next and when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.acting import accept, claim, expire, look_at, try_again
from counterfoil.domain.cancelling import Cancellation, CancelReason, cancel
from counterfoil.domain.capturing import CANCELED_ON_REQUEST, ask_to_cancel, ask_to_capture
from counterfoil.domain.explanation import Ahead, Asked, Explanation, Machine, Sends, explain
from counterfoil.domain.hearing import hear
from counterfoil.domain.money import Money
from counterfoil.domain.payment import CaptureMethod, Payment
from counterfoil.domain.schedule import (
    ABSENCE_PROOF,
    ACTION_LIFE,
    CLAIM,
    DOUBT_AFTER,
    HOLD_LIFE,
    KEY_LIFE,
    LATE_EFFECT,
    MACHINE_GRACE,
)
from counterfoil.domain.states import FINAL, AttemptHappening, AttemptState, PaymentState
from counterfoil.domain.verdict import Action, Cause, Decline, FailureReason, Settling, Source, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLINE = Decline(FailureReason.CARD_DECLINED, "generic_decline", "Your card was declined.", can_retry=True)
FRAUD = Decline(FailureReason.FRAUD_SUSPECTED, "fraudulent", "Your card was declined.", can_retry=False)
EMAIL, SECRET = "ada@example.com", "src_client_secret_of_the_challenge"
URL = f"https://hooks.stripe.com/3ds/src_1?client_secret={SECRET}&customer={EMAIL}"

H = AttemptHappening


def accepted(*, claimed: bool = True) -> Payment:
    wish = Payment(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        order_id="order-1",
        event_id="event-1",
        money=Money(1999, "EUR"),
        created_at=NOW,
        customer_id="cus_1",
    )
    return accept(wish, claimed=claimed, now=NOW).payment


def said(outcome: AttemptHappening, decline: Decline = DECLINE, source: Source = Source.ANSWER) -> Verdict:
    return Verdict(
        outcome,
        Cause(source, "req_1"),
        intent_id="pi_1" if outcome is not H.UNKNOWN else None,
        charge_id="ch_1" if outcome in (H.CAPTURED, H.AUTHORIZED) else None,
        amount_captured=1999 if outcome is H.CAPTURED else None,
        decline=decline if outcome is H.DECLINED else None,
        action=Action(URL) if outcome is H.ACTION else None,
    )


def heard(outcome: AttemptHappening, decline: Decline = DECLINE) -> Payment:
    return hear(accepted(), 1, said(outcome, decline), NOW).payment


def sent(number: int = 1, *, again: timedelta = timedelta(0), claimed: bool = False) -> Sends:
    key = "event-1" if number == 1 else f"event-1:{number}"
    return Sends(key, NOW, NOW + again, NOW + CLAIM if claimed else None)


def words(payment: Payment, now: datetime = NOW, *sends: Sends, paused: str | None = None) -> Explanation:
    return explain(payment, sends or [sent()], now, paused=paused)


def whats(explanation: Explanation) -> list[str]:
    return [one.what for one in explanation.ahead]


def test_every_explanation_begins_with_the_wish() -> None:
    """What was ordered, when, and by what names."""
    first, second, *_ = words(heard(H.PROCESSING)).known
    assert first == "Order order-1 asks for 19.99 EUR; accepted 2026-03-01 12:00:00 UTC under the event event-1."
    assert second == "The processor knows the payment as pi_1."


def test_what_was_never_sent_waits_for_a_worker() -> None:
    """A queued attempt: nothing is open but when it is sent."""
    explanation = words(accepted(claimed=False), NOW, Sends("event-1", None, None, None))
    assert explanation.known[1:] == ("Attempt 1 was never sent.",)
    assert (explanation.unknown, explanation.ahead) == ((), (Ahead(NOW, "A worker sends it."),))


def test_what_is_being_sent_says_who_is_at_it_and_who_takes_over() -> None:
    """The claim, then the same request under the same key, doubt after a quarter of an hour, and the key's end."""
    explanation = words(accepted(), NOW, sent(claimed=True))
    assert explanation.known[1:] == ("Attempt 1 was sent 2026-03-01 12:00:00 UTC under the key event-1.",)
    assert explanation.unknown == (
        "Whether attempt 1 took money: since 2026-03-01 12:00:00 UTC no answer has said so or denied it.",
    )
    assert [(one.at, one.what.partition(";")[0]) for one in explanation.ahead] == [
        (NOW + CLAIM, "A process is at it"),
        (NOW + CLAIM, "The same request is sent again under the same key"),
        (NOW + DOUBT_AFTER, "If still nothing is known, it is shown as in doubt."),
        (NOW + KEY_LIFE, "The key is too old to be sent again, for the processor may forget it"),
    ]


def test_a_resent_attempt_says_when_it_was_sent_last() -> None:
    """First and last send both stand there."""
    known = words(accepted(), NOW + CLAIM, sent(again=CLAIM)).known
    assert known[2] == "It was sent again, with the same bytes, last 2026-03-01 12:02:00 UTC."


def test_what_was_turned_away_is_certainly_not_done() -> None:
    """No doubt and no end of the key: nothing was carried out."""
    away = replace(said(H.UNKNOWN), executed=False, settling=Settling.RETRY)
    explanation = words(hear(accepted(), 1, away, NOW).payment)
    assert "Attempt 1 was certainly not carried out so far" in explanation.known[2]
    assert explanation.unknown == ()
    assert [what.partition(";")[0] for what in whats(explanation)] == [
        "The same request is sent again under the same key"
    ]


def test_doubt_says_what_is_still_done_about_it() -> None:
    """In doubt, it is sent again as before, and not announced as doubtful once more."""
    late = NOW + DOUBT_AFTER
    doubted = look_at(accepted(), late).payment
    explanation = words(doubted, late)
    assert PaymentState.IN_DOUBT is doubted.state
    assert "Whether attempt 1 took money" in explanation.unknown[0]
    assert not [what for what in whats(explanation) if "in doubt" in what]


def test_a_key_that_is_too_old_is_no_longer_sent() -> None:
    """From 23 hours on the processor is only asked, by its list, for it has told us no name."""
    late = NOW + KEY_LIFE
    doubted = look_at(accepted(), late).payment
    before, after = words(doubted, late - timedelta(seconds=1)), words(doubted, late)
    asked = "The processor is asked: its list of what was made around the sends is read, every page of it."
    assert (asked in whats(before), asked in whats(after)) == (False, True)
    assert not [what for what in whats(after) if "sent again" in what]


def test_a_first_attempt_whose_intent_is_known_is_asked_about() -> None:
    """A hint told its name, and no answer came: nothing is sent again."""
    hinted = replace(accepted(), intent_id="pi_1")
    assert "The processor is asked: how pi_1 stands." in whats(words(hinted))
    assert not [what for what in whats(words(hinted)) if "same key" in what]


def test_a_further_attempt_whose_answer_is_lost_is_sent_again() -> None:
    """Its intent would only tell the earlier one's story."""
    renewed = try_again(heard(H.DECLINED), NOW).payment
    explanation = words(renewed, NOW, sent(), sent(2))
    assert "Attempt 1 was declined: Your card was declined. (generic_decline)" in explanation.known
    assert "Attempt 2 was sent 2026-03-01 12:00:00 UTC under the key event-1:2." in explanation.known
    assert [what for what in whats(explanation) if "sent again under the same key" in what]


def test_absence_is_explained_with_its_times() -> None:
    """After an error of the processor's own it counts from 48 hours on; then twice, an hour apart."""
    lingers = replace(said(H.UNKNOWN), lingers=True, settling=Settling.ASK)
    lingering = hear(accepted(), 1, lingers, NOW).payment
    nothing = replace(said(H.UNKNOWN, source=Source.LOOK_UP), absent=True)
    once = hear(lingering, 1, nothing, NOW + LATE_EFFECT).payment
    early = words(lingering).ahead
    late = words(once, NOW + LATE_EFFECT).ahead
    assert Ahead(NOW + LATE_EFFECT, "Only from then on does it count if the processor has no trace of it.") in early
    assert (NOW + LATE_EFFECT + ABSENCE_PROOF) in [one.at for one in late if "the payment fails" in one.what]


def test_a_key_known_for_another_request_says_so() -> None:
    """What is not known is more than the outcome."""
    stopped = hear(accepted(), 1, replace(said(H.UNKNOWN), settling=Settling.STOP), NOW).payment
    explanation = words(stopped)
    assert "it says that it is another one" in explanation.unknown[1]
    assert [what for what in whats(explanation) if what.startswith("The processor is asked")]


def test_a_customer_who_is_waited_for_is_told_of_with_the_end_of_their_time() -> None:
    """Where, until when, and what happens then."""
    explanation = words(heard(H.ACTION))
    assert explanation.known[-1] == "The processor waits for the customer, at hooks.stripe.com."
    assert explanation.unknown == ("Whether the customer will act.",)
    lets_go = "If nothing has come of it, it is let go: the processor is asked to cancel it."
    assert explanation.ahead[-1] == Ahead(NOW + ACTION_LIFE, lets_go)


def test_a_customer_whose_time_is_over_is_being_let_go() -> None:
    """Nothing speaks of a time that has passed."""
    late = NOW + ACTION_LIFE
    leaving = expire(heard(H.ACTION), 1, late).payment
    explanation = words(leaving, late)
    over = "The customer's time was over 2026-03-02 12:00:00 UTC; since then it is being canceled."
    cancels = "It is let go: the processor is asked to cancel it, until it says what became of it."
    assert (explanation.known[-1], explanation.ahead[-1]) == (over, Ahead(late + CLAIM, cancels))
    assert not [one for one in explanation.ahead if one.at is not None and one.at <= late]


@pytest.mark.parametrize(
    ("outcome", "known", "unknown"),
    [
        (
            H.PROCESSING,
            "The processor took it and waits for the bank.",
            ("Whether the bank will pay; that can take days.",),
        ),
        (H.AUTHORIZED, "The money is held by the charge ch_1, and not taken.", ()),
    ],
)
def test_what_the_processor_has_is_told_by_webhook_or_asked_for(
    outcome: AttemptHappening, known: str, unknown: tuple[str, ...]
) -> None:
    """The webhook is the rule; the look-up has its time."""
    payment = heard(outcome)
    explanation = words(payment)
    assert (explanation.known[-1], explanation.unknown) == (known, unknown)
    assert explanation.ahead[:2] == (
        Ahead(None, "The processor tells by webhook how it went on."),
        Ahead(payment.next_check_at, "If it has not told, it is asked about pi_1."),
    )


def test_a_hold_is_told_of_with_its_end() -> None:
    """When it is let go, unless it is taken before; what is asked for is told instead, and then what became of it."""
    payment = heard(H.AUTHORIZED)
    lets_go = "If nothing has come of it, it is let go: the processor is asked to cancel it."
    assert words(payment).ahead[-1] == Ahead(NOW + HOLD_LIFE, lets_go)
    asked = ask_to_capture(replace(payment, capture_method=CaptureMethod.MANUAL), 500, NOW).payment
    takes = "5.00 EUR of it is taken: the processor is asked to, until it says what became of it."
    assert words(asked).ahead == (Ahead(NOW, takes),)


@pytest.mark.parametrize(
    ("asked", "why"), [(True, ", as was asked for 2026-03-01 12:00:00 UTC."), (False, ", for its hold had ended.")]
)
def test_a_hold_that_was_let_go_is_told_of_with_the_reason(why: str, *, asked: bool) -> None:
    """Somebody asked for it, or its time was over."""
    payment = heard(H.AUTHORIZED)
    leaving = ask_to_cancel(payment, CANCELED_ON_REQUEST, NOW).payment if asked else payment
    ended = hear(expire(leaving, 1, NOW).payment, 1, said(H.CANCELED), NOW).payment
    assert words(ended).known[-1] == f"Attempt 1 was canceled{why}"


@pytest.mark.parametrize(
    ("payment", "known", "ahead"),
    [
        (heard(H.CAPTURED), "Attempt 1 took 19.99 EUR with the charge ch_1.", "Nothing: it is final."),
        (heard(H.CANCELED), "Attempt 1 was canceled.", "Nothing: it is final."),
        (
            heard(H.DECLINED),
            "Attempt 1 was declined: Your card was declined. (generic_decline)",
            "Nothing, unless the customer tries another method, and the order is still unpaid.",
        ),
        (
            heard(H.DECLINED, FRAUD),
            "Attempt 1 was declined: Your card was declined. (fraudulent)",
            "Nothing: it is final.",
        ),
    ],
    ids=["succeeded", "canceled", "failed", "not to be retried"],
)
def test_what_is_final_has_nothing_ahead(payment: Payment, known: str, ahead: str) -> None:
    """All is known, and nothing comes by itself."""
    explanation = words(payment)
    assert (explanation.known[-1], explanation.unknown, whats(explanation)) == (known, (), [ahead])


def test_what_goes_back_to_a_cancelled_order_is_told_of_until_it_is_there() -> None:
    """Why, how much is on its way, and, once it arrived, that it did."""
    cancellation = Cancellation("order-1", CancelReason.OUT_OF_STOCK)
    asked = cancel(heard(H.CAPTURED), cancellation, UUID(int=7), NOW).payment
    there = replace(asked, amount_refunded=1999, amount_refund_reserved=0)

    cancelled = "Its order was cancelled 2026-03-01 12:00:00 UTC: OUT_OF_STOCK."
    on_its_way = "19.99 EUR was asked back, and is sent or asked about until the processor says what became of it."
    assert (words(asked).known[-1], whats(words(asked))) == (cancelled, [on_its_way])
    assert words(there).known[-2:] == (cancelled, "19.99 EUR of it was given back.")
    assert whats(words(there)) == ["Nothing: it is final."]


def test_an_expired_payment_says_why_it_was_canceled() -> None:
    """Not by a person, but because nobody came."""
    canceled = hear(expire(heard(H.ACTION), 1, NOW).payment, 1, said(H.CANCELED), NOW).payment
    assert words(canceled).known[-1] == "Attempt 1 was canceled, for its customer did not act in time."


def test_a_pause_is_all_that_is_ahead_of_what_is_open() -> None:
    """No time is promised until a person has acted; what is final is not held up by it."""
    why = "Stripe refuses our key"
    waits = f"Workers send and ask nothing until a person has acted: {why}. Then what is due is done."
    assert words(accepted(), paused=why).ahead == (Ahead(None, waits),)
    assert whats(words(heard(H.CAPTURED), paused=why)) == ["Nothing: it is final."]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that befalls a payment, so long after the step before."""

    verdict: Verdict
    after: timedelta


def steps() -> st.SearchStrategy[list[Step]]:
    unknown = st.builds(
        replace,
        st.just(said(H.UNKNOWN)),
        settling=st.sampled_from(Settling),
        executed=st.booleans(),
        lingers=st.booleans(),
        absent=st.booleans(),
    )
    definite = st.sampled_from([said(outcome) for outcome in H if outcome not in (H.CLAIMED, H.UNKNOWN)])
    waits = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=30))
    return st.lists(st.builds(Step, st.one_of(unknown, definite), waits), max_size=8)


def lived(story: Sequence[Step]) -> tuple[Payment, list[Sends], datetime]:
    """A payment after a story: heard, claimed, expired and tried again wherever it can be."""
    payment, now, sends = accepted(), NOW, [sent()]
    for step in story:
        now += step.after
        number = len(payment.attempts)
        if payment.state is PaymentState.FAILED:
            payment = try_again(payment, now).payment
            sends.append(Sends(f"event-1:{number + 1}", now, now, now + CLAIM))
            continue
        if payment.to_let_go(now) is not None:
            payment = expire(payment, number, now).payment
        elif payment.attempts[-1].state is AttemptState.SENT and payment.attempts[-1].settling is Settling.RESEND:
            payment = claim(payment, number, now).payment
        payment = hear(payment, number, step.verdict, now).payment
    return payment, sends, now


@given(steps(), st.sampled_from([None, "Stripe refuses our key"]))
def test_every_open_payment_has_something_ahead_with_a_time(story: list[Step], paused: str | None) -> None:
    """However it came to stand, who asks is told when it goes on, unless that is for a person to say."""
    payment, sends, now = lived(story)
    explanation = explain(payment, sends, now, paused=paused)
    timed = [one for one in explanation.ahead if one.at is not None]
    assert bool(timed) == (payment.state not in FINAL and paused is None)
    assert explanation.known
    assert bool(explanation.ahead)


@given(steps(), st.sampled_from([None, "Stripe refuses our key"]))
def test_no_sentence_carries_a_secret_or_an_address_of_a_person(story: list[Step], paused: str | None) -> None:
    """The link of a challenge acts as the customer, and may name them: only its host is told."""
    payment, sends, now = lived(story)
    explanation = explain(payment, sends, now, paused=paused)
    text = " ".join((*explanation.known, *explanation.unknown, *whats(explanation)))
    assert (SECRET in text, EMAIL in text, "secret" in text) == (False, False, False)
    assert "cus_1" not in text


QUIETLY = "has nobody waiting for it any more, and was settled quietly"


def asked(step: str, outcome: str | None = None, reason: str | None = None) -> Asked:
    """A step that a machine asked for, and how its token ended five minutes later, if it did."""
    ended = NOW + timedelta(minutes=5) if outcome is not None else None
    return Asked(step, "arn:of-the-execution", NOW, ended, outcome, reason)


def test_a_machine_that_waits_is_named_with_what_it_waits_for() -> None:
    """Once, whatever it asks for; what is answered is known, and what is not is ahead."""
    sends = [Sends("event-1", NOW, NOW, None)]
    machine = Machine(None, (asked("payment"), asked("record", "succeeded")))
    explained = explain(accepted(), sends, NOW, machine=machine)
    assert explained.known[-2:] == (
        "A state machine asked for it: arn:of-the-execution.",
        "Its step record, asked for 2026-03-01 12:00:00 UTC, was answered with success.",
    )
    assert Ahead(None, "A state machine waits for step payment, and is told how it ends.") in explained.ahead


def test_a_machine_that_has_gone_is_told_of_with_its_tokens() -> None:
    """Since when workers do what is left, and what became of each token, why included."""
    sends = [Sends("event-1", NOW, NOW, None)]
    dead, parked = asked("payment", "dead", "its task has timed out"), asked("record", "parked", "AWS refuses it (No)")
    explained = explain(accepted(), sends, NOW, machine=Machine(NOW, (dead, parked)))
    assert explained.known[-3:] == (
        "Since 2026-03-01 12:00:00 UTC no machine waits for it any more, and workers do what is left.",
        f"Its step payment, asked for 2026-03-01 12:00:00 UTC, {QUIETLY}: its task has timed out.",
        "Its step record, asked for 2026-03-01 12:00:00 UTC, could not be answered: AWS refuses it (No).",
    )


@pytest.mark.parametrize("given_back_at", [None, NOW])
def test_a_retry_is_its_machines_until_its_time_is_over(given_back_at: datetime | None) -> None:
    """Then it is a worker's, and at once where no machine waits."""
    planned = replace(accepted(), retry_at=NOW)
    sends = [Sends("event-1", NOW, NOW, None)]
    ahead = explain(planned, sends, NOW, machine=Machine(given_back_at, ())).ahead
    (retry,) = [one for one in ahead if "charged once more" in one.what]
    assert retry.at == (NOW if given_back_at is not None else NOW + MACHINE_GRACE)
    assert ("as soon as its machine asks" in retry.what) == (given_back_at is None)
