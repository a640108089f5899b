"""What the gateway answers: snake_case JSON, amounts in minor units, times in UTC."""

import json
from collections.abc import Sequence
from typing import Any

from counterfoil.domain.comparing import DONE, STAGES, TO_DO, Stage, Standing
from counterfoil.domain.disputing import net, withdrawn
from counterfoil.domain.explanation import Explanation
from counterfoil.domain.money import Money
from counterfoil.domain.payment import CaptureMethod, Dispute, Funds, Payment, ScreeningMode
from counterfoil.domain.states import PaymentState
from counterfoil.domain.verdict import FailureReason, Source
from counterfoil.journey.replay import Rehearsal
from counterfoil.messages.payment_failed import REASONS
from counterfoil.store.catch_up import Report, View
from counterfoil.store.effects import EffectView
from counterfoil.store.notice_views import NoticeView, QuarantineView
from counterfoil.store.reading import AttemptView, Entry, PaymentView, PublishedFact
from counterfoil.store.reconciliations import DifferenceView, ReconciliationView
from counterfoil.store.refunds import RefundView


def status_of(payment: Payment) -> int:
    """Return the HTTP status that answers a charge: 200 settled, 402 failed, 202 anything still open."""
    held = payment.state is PaymentState.AUTHORIZED and payment.capture_method is CaptureMethod.MANUAL
    if held or payment.state in (PaymentState.SUCCEEDED, PaymentState.CANCELED):
        return 200
    return 402 if payment.state is PaymentState.FAILED else 202


def charge(payment: Payment) -> dict[str, Any]:
    """Return the body that answers a charge."""
    body: dict[str, Any] = {
        "payment_id": str(payment.id),
        "payment_intent_id": payment.intent_id,
        "order_id": payment.order_id,
        "event_id": payment.event_id,
        "status": payment.state.value,
        "amount": payment.money.amount,
        "currency": payment.money.currency,
        "amount_captured": payment.amount_captured,
    }
    if payment.retry_at is not None:
        body["retry_at"] = payment.retry_at.isoformat()
    if payment.state is PaymentState.AUTHORIZED:
        body |= {"amount_to_capture": payment.amount_to_capture, "hold_ends_at": payment.hold_ends_at}
    last = payment.last_attempt
    if last is not None and last.action is not None and payment.state is PaymentState.REQUIRES_ACTION:
        expires = last.action.expires_at
        body["action"] = {"url": last.action.url or None, "expires_at": expires.isoformat() if expires else None}
    if last is not None and last.decline is not None and payment.state is PaymentState.FAILED:
        decline = last.decline
        body |= _failure(decline.reason, decline.code, decline.message, can_retry=decline.can_retry)
    return body


def payment(view: PaymentView) -> dict[str, Any]:
    """Return a payment as ``GET /payments/{id}`` shows it."""
    last = view.attempts[-1] if view.attempts else None
    body: dict[str, Any] = {
        "payment_id": str(view.id),
        "order_id": view.order_id,
        "event_id": view.event_id,
        "customer_id": view.customer_id,
        "status": view.state,
        "amount": view.amount,
        "currency": view.currency,
        "amount_captured": view.amount_captured,
        "amount_to_capture": view.amount_to_capture,
        "amount_refunded": view.amount_refunded,
        "amount_disputed": withdrawn(view.disputes),
        "disputed": view.disputed,
        "dispute_status": view.dispute_status,
        "fee": view.fee,
        "fee_currency": view.fee_currency,
        "net": _net(view),
        "capture_method": view.capture_method,
        "payment_method": (last.payment_method if last else None) or view.payment_method,
        "payment_intent_id": view.intent_id,
        "screening": _screening(view),
        "version": view.version,
        "hold_ends_at": view.hold_ends_at,
        "next_check_at": view.next_check_at,
        "retry_at": view.retry_at,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
        "action": None,
        "attempts": [_attempt(attempt) for attempt in view.attempts],
        "disputes": [_dispute(dispute) for dispute in view.disputes],
    }
    if last is not None and last.action_url is not None and view.state == PaymentState.REQUIRES_ACTION:
        body["action"] = {"url": last.action_url or None, "expires_at": last.action_expires_at}
    if last is not None and last.decline_reason is not None and view.state == PaymentState.FAILED:
        reason = FailureReason(last.decline_reason)
        body |= _failure(reason, last.decline_code, last.decline_message, can_retry=bool(last.decline_can_retry))
    return body


def refund(view: RefundView) -> dict[str, Any]:
    """Return a refund as ``GET /refunds/{id}`` shows it."""
    return {
        "refund_id": str(view.id),
        "payment_id": str(view.payment_id),
        "amount": view.amount,
        "currency": view.currency,
        "status": view.state,
        "reason": view.reason,
        "failure_reason": view.failure_reason,
        "processor_reference": view.processor_id,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
    }


def cancelled(order_id: str, payments: Sequence[Payment]) -> dict[str, Any]:
    """Return what became of an order's payments when it was cancelled, the oldest first."""
    shown = [{"payment_id": str(one.id), "status": one.state.value} for one in payments]
    return {"order_id": order_id, "payments": shown}


def explanation(payment: Payment, explained: Explanation) -> dict[str, Any]:
    """Return a payment in words, as ``GET /payments/{id}/explanation`` gives them."""
    return {
        "payment_id": str(payment.id),
        "status": payment.state.value,
        "known": explained.known,
        "unknown": explained.unknown,
        "ahead": [{"at": one.at, "what": one.what} for one in explained.ahead],
    }


def entry(line: Entry) -> dict[str, Any]:
    """Return a line of a payment's timeline."""
    if line.kind == "fee":
        fee = {"amount": line.sequence, "currency": line.source, "cause": f"{Source.LOOK_UP.value} {line.reference}"}
        return {"at": line.at, "kind": line.kind, "name": line.name, "details": fee}
    if line.kind == "task":
        told = json.loads(line.grounds) if line.grounds is not None else {}
        task = {"execution": line.reference, "outcome": line.source, **told}
        return {"at": line.at, "kind": line.kind, "name": line.name, "details": task}
    details = {"request": "idempotency_key", "notice": "event_id", "check": "reference", "fact": "cause"}
    cause = f"{line.source} {line.reference}" if line.kind == "fact" else line.reference
    body: dict[str, Any] = {"at": line.at, "kind": line.kind, "name": line.name, "details": {details[line.kind]: cause}}
    if line.kind == "notice":
        body["details"] |= {"deliveries": line.sequence, "state": line.source}
    elif line.kind == "check":
        told = json.loads(line.grounds) if line.grounds is not None else {}
        body["details"] |= {"risk_score": float(line.source) if line.source is not None else None, **told}
    else:
        body["sequence"] = line.sequence
    return body


def fact(published: PublishedFact) -> dict[str, Any]:
    """Return a published fact as ``/events`` shows it."""
    return {
        "position": published.position,
        "id": str(published.id),
        "type": published.name,
        "version": published.schema_version,
        "payment_id": str(published.payment_id),
        "sequence": published.version,
        "time": published.occurred_at,
        "data": {_snake(key): value for key, value in json.loads(published.body).items()},
    }


def effect(view: EffectView) -> dict[str, Any]:
    """Return what followed from a payment's end; ``id`` names it to a person and to the command line."""
    return {
        "id": f"{view.payment_id}/{view.kind}",
        "payment_id": str(view.payment_id),
        "kind": view.kind,
        "state": view.state,
        "reason": view.reason,
        "tries": view.tries,
        "next_try_at": view.next_try_at,
        "created_at": view.created_at,
        "ended_at": view.ended_at,
    }


def notice(view: NoticeView) -> dict[str, Any]:
    """Return a notice and what became of it; ``id`` is what the routes take."""
    return {
        "id": view.id.event_id,
        "account": view.id.account or None,
        "livemode": view.id.livemode,
        "type": view.type,
        "object_id": view.object_id,
        "state": view.state,
        "reason": view.reason,
        "payment_id": str(view.payment_id) if view.payment_id else None,
        "awaits_payment": view.awaits_payment,
        "deliveries": view.deliveries,
        "tries": view.tries,
        "received_at": view.received_at,
        "concluded_at": view.concluded_at,
        "next_try_at": view.next_try_at,
        "body_kept": view.body_kept,
    }


def quarantined(view: QuarantineView) -> dict[str, Any]:
    """Return what carried a good signature and is no event, as far as it can be said of it."""
    return {
        "id": str(view.id),
        "state": "quarantined",
        "reason": view.reason,
        "received_at": view.received_at,
        "size_bytes": view.size_bytes,
        "body_kept": True,
    }


def rehearsal(would_be: Rehearsal) -> dict[str, Any]:
    """Return what would come of reading a notice once more."""
    settled = would_be.settled
    return {
        "would_be": {
            "state": settled.state.value,
            "reason": settled.reason,
            "payment_id": str(settled.payment_id) if settled.payment_id else None,
        },
        "before": _standing(would_be.before) if would_be.before else None,
        "after": _standing(would_be.after) if would_be.after else None,
        "facts": [{"type": name, "sequence": number} for name, number in would_be.facts],
        "alarms": list(would_be.alarms),
    }


def _standing(payment: Payment) -> dict[str, Any]:
    return {
        "status": payment.state.value,
        "version": payment.version,
        "payment_intent_id": payment.intent_id,
        "currency": payment.money.currency,
        "amount_captured": payment.amount_captured,
        "amount_refunded": payment.amount_refunded,
        "disputed": payment.disputed,
        "next_check_at": payment.next_check_at,
        "attempts": [
            {"number": one.number, "state": one.state.value, "charge_id": one.charge_id} for one in payment.attempts
        ],
    }


def catching_up(view: View | None) -> dict[str, Any]:
    """Return how far Stripe's list of events was looked through, and what the last run found."""
    if view is None:
        return dict.fromkeys(("covered_until", "next_run_at", "asked_at", "under_way", "last"))
    return {
        "covered_until": view.covered_until,
        "next_run_at": view.due_at if view.under_way is None else None,
        "asked_at": view.asked_at,
        "under_way": None if view.under_way is None else _report(view.under_way),
        "last": None if view.last is None else _report(view.last),
    }


def _report(report: Report) -> dict[str, Any]:
    missing = report.missing.total()
    return {
        "since": report.since,
        "started_at": report.started_at,
        "ended_at": report.ended_at,
        "listed": report.listed,
        "expected": report.expected,
        "found": max(0, report.expected - missing),  # while undelivered events are listed, none is expected yet
        "missing": missing,
        "missing_by_type": dict(report.missing),
    }


def reconciliation(view: ReconciliationView) -> dict[str, Any]:
    """Return a comparison of both books; ``progress`` is how much of it is done, from 0 to 1, as far as can be told."""
    return {
        "reconciliation_id": str(view.id),
        "asked_by": view.asked_by,
        "since": view.since,
        "until": view.until,
        "stage": view.stage.value,
        "progress": round(_progress(view), 3),
        "payments_compared": view.compared,
        "foreign": view.foreign,
        "differences": {
            "suspected": view.suspected,
            "settled": view.settled,
            "left": view.left,
            "acknowledged": view.acknowledged,
        },
        "asked_at": view.asked_at,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
    }


def difference(view: DifferenceView) -> dict[str, Any]:
    """Return one thing in which the books differ; ``remedy`` says what was done about it, or what can be."""
    one = view.difference
    left = view.standing in {Standing.LEFT, Standing.ACKNOWLEDGED}
    remedy = TO_DO.get((one.subject, one.verdict)) if left else DONE[one.remedy]
    return {
        "difference_id": str(view.id),
        "reconciliation_id": str(view.reconciliation_id),
        "subject": one.subject.value,
        "verdict": one.verdict.value,
        "state": view.standing.value,
        "payment_id": str(one.payment_id) if one.payment_id else None,
        "processor_reference": one.reference,
        "ours": one.ours,
        "theirs": one.theirs,
        "remedy": remedy,
        "acknowledged_by": view.acknowledged_by,
        "note": view.note,
        "found_at": view.found_at,
        "ended_at": view.ended_at,
    }


def _progress(view: ReconciliationView) -> float:
    """Return how much of a comparison is done: each stage counts the same, and in it the time that was gone through."""
    stage = STAGES.index(view.stage)
    within = 0.0
    if view.reached is not None and view.stage not in {Stage.AGAIN, Stage.FINISHED}:
        whole = (view.until - view.since).total_seconds()
        gone = (view.reached - view.since) if view.stage is Stage.OURS else (view.until - view.reached)
        within = min(max(gone.total_seconds() / whole, 0.0), 1.0)
    return (stage + within) / (len(STAGES) - 1)


def _attempt(view: AttemptView) -> dict[str, Any]:
    return {
        "number": view.number,
        "state": view.state,
        "payment_method": view.payment_method,
        "charge_id": view.charge_id,
        "decline_code": view.decline_code,
        "first_sent_at": view.first_sent_at,
        "last_sent_at": view.last_sent_at,
    }


def _screening(view: PaymentView) -> dict[str, Any] | None:
    """Return how a payment's fraud screening stands; None where it has none."""
    if view.screening_mode == ScreeningMode.NONE and view.fraud_decision is None:
        return None
    open_still = view.screening and view.next_check_at is not None
    return {
        "mode": view.screening_mode,
        "decision": view.fraud_decision,
        "awaits": ("review" if view.reviewing else "fraud_check") if open_still else None,
        "decide_by": view.decide_by if open_still else None,
    }


def _dispute(dispute: Dispute) -> dict[str, Any]:
    return {
        "dispute_id": dispute.id,
        "status": dispute.status.value,
        "amount": dispute.money.amount,
        "currency": dispute.money.currency,
        "reason": dispute.reason,
        "funds": dispute.funds.value,
        "fee": dispute.fee.amount if dispute.fee else None,
        "fee_currency": dispute.fee.currency if dispute.fee else None,
        "opened_at": dispute.opened_at,
    }


def _net(view: PaymentView) -> int | None:
    """Return what the payment leaves us with, as long as it is known what the processor keeps."""
    fee = Money(view.fee, view.fee_currency) if view.fee is not None and view.fee_currency is not None else None
    asked = [dispute.fee for dispute in view.disputes if dispute.funds is not Funds.UNTOUCHED]
    left = view.amount_captured - view.amount_refunded - withdrawn(view.disputes)
    return net(left, view.currency, [fee, *asked])


def _failure(reason: FailureReason, code: str | None, message: str | None, *, can_retry: bool) -> dict[str, Any]:
    return {
        "reason": REASONS[reason].value,
        "failure_reason": reason.value,
        "decline_code": code,
        "failure_message": message,
        "can_retry": can_retry,
    }


def _snake(camel: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in camel)
