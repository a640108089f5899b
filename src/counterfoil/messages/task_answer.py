"""What a state machine is answered: the output of a task, or why it failed. The only place that says how these look."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from counterfoil.domain.driving import TaskStep
from counterfoil.domain.effects import EffectState
from counterfoil.domain.errors import (
    CounterfoilError,
    IdempotencyKeyReused,
    InvalidRequest,
    OrderHasPayment,
    Refused,
    named,
)
from counterfoil.domain.payment import Payment
from counterfoil.domain.schedule import TRIES_OF_OURS
from counterfoil.domain.states import PaymentState

DECLINED: Final = "PaymentDeclined"
REFUSED: Final = "PaymentRefused"
PARKED: Final = "EffectParked"
"""The errors that a machine catches by name."""

DETAIL_CHARACTERS: Final = 300
"""Two sentences: what is longer belongs in the documentation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An output, or with an ``error`` the cause of a failure."""

    body: Mapping[str, Any]
    error: str | None = None

    def text(self) -> str:
        """Return the JSON text that goes with it."""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))


def problem_of(why: CounterfoilError) -> dict[str, Any]:
    """Return an order's refusal in a few fields; never what was sent."""
    body: dict[str, Any] = {
        "problem": "invalid-request" if isinstance(why, InvalidRequest) else named(why),
        "detail": str(why)[:DETAIL_CHARACTERS],
        "field": why.field if isinstance(why, Refused) else None,
    }
    if isinstance(why, IdempotencyKeyReused):
        body["field"] = "event_id"
    if isinstance(why, OrderHasPayment):
        body["payment_id"] = why.payment_id
    return body


def refused(problem: Mapping[str, Any] | None) -> Answer:
    """Return the answer to a task whose order is refused, or whose payment there is not."""
    assert problem is not None, "what is refused says why"
    return Answer(problem, REFUSED)


def of_payment(payment: Payment) -> Answer:
    """Return the answer to a task that waited for the money of a payment: one that has ended, or is to be tried again.

    Whether the same method may be tried again is the machine's to know: it is who tries.
    """
    ended = _standing(payment)
    if payment.state in (PaymentState.SUCCEEDED, PaymentState.CANCELED):
        return Answer(ended)
    last = payment.last_attempt
    decline = last.decline if last is not None else None
    return Answer(
        ended
        | {
            "reason": decline.reason.value if decline is not None else None,
            "decline_code": decline.code if decline is not None else None,
            "can_retry": decline.can_retry if decline is not None else False,
            "retry_allowed": payment.retry_at is not None,
            "max_attempts": TRIES_OF_OURS if payment.retry_at is not None else len(payment.attempts),
        },
        DECLINED,
    )


def record_of(payment: Payment) -> Answer:
    """Return the answer to a task that asks what is on record of a payment."""
    kept = {
        "event_id": payment.event_id,
        "amount_captured": payment.amount_captured,
        "amount_refunded": payment.amount_refunded,
        "payment_intent_id": payment.intent_id,
        "version": payment.version,
    }
    return Answer({"step": TaskStep.RECORD.value, "state": "done", "reason": None} | _standing(payment) | kept)


def of_effects(payment: Payment, step: TaskStep, ended: Sequence[tuple[EffectState, str | None]]) -> Answer:
    """Return the answer to a task that waited for effects, each given by its state and reason: the worst of them.

    One that a person dropped is as good as one that was not needed.
    """
    about = {"payment_id": str(payment.id), "step": step.value}
    parked = [reason for state, reason in ended if state is EffectState.PARKED]
    if parked:
        return Answer(about | {"state": "parked", "reason": parked[0]}, PARKED)
    if any(state is EffectState.DONE for state, _ in ended):
        return Answer(about | {"state": "done", "reason": None})
    reasons = [*(reason or "a person dropped it" for _, reason in ended), f"the payment {_IS[payment.state]}"]
    return Answer(about | {"state": "skipped", "reason": reasons[0]})


def _standing(payment: Payment) -> dict[str, Any]:
    return {
        "payment_id": str(payment.id),
        "order_id": payment.order_id,
        "status": payment.state.value,
        "amount": payment.money.amount,
        "currency": payment.money.currency,
        "attempt": len(payment.attempts),
    }


_IS: Final = {
    PaymentState.SUCCEEDED: "succeeded",
    PaymentState.FAILED: "failed",
    PaymentState.CANCELED: "is canceled",
}
