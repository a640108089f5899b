"""What Stripe has on record, read for comparing: PaymentIntents, charges, refunds and disputes, page by page.

Stripe lists each by the time it was made, the newest first. Of charges the lists tell what was given back, and with
their balance transactions what Stripe kept; so intents are read for how payments stand, charges for the money.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import stripe

from counterfoil.domain.comparing import Memory, Resource, TheirDispute, TheirPayment, TheirRefund, Theirs
from counterfoil.domain.errors import InvalidRequest
from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.domain.verdict import Cause, Source, Verdict
from counterfoil.processors.port import Page, Priority, Untold
from counterfoil.processors.stripe import aftermath, charges, notices, refunds, requests, verdicts
from counterfoil.processors.stripe.transport import Turns

PAGE: Final = 100
"""The most that Stripe gives on a page; no more than this is ever held."""

_EXPANDED: Final[Mapping[Resource, tuple[str, ...]]] = MappingProxyType(
    {Resource.INTENT: ("latest_charge",), Resource.CHARGE: ("balance_transaction",)}
)
"""What is wanted with a thing: until when an intent's charge holds its money, and what was kept of a charge."""

_UNREADABLE: Final = (
    AssertionError,
    AttributeError,
    InvalidRequest,
    KeyError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
    aftermath.Undocumented,
)
"""What reading raises where an object is not what Stripe documents."""

Silence = Callable[[Exception], Verdict]
"""What a question that failed tells."""

_Ask = Callable[..., Awaitable[Any]]
"""A question to Stripe, as its SDK has it."""


class StripeBooks:
    """Stripe's books, over its API; client and turns of calls are the processor's own."""

    def __init__(self, client: stripe.StripeClient, turns: Turns, silence: Silence) -> None:
        self._turns, self._silence = turns, silence
        self._lists: dict[Resource, _Ask] = {
            Resource.INTENT: client.payment_intents.list_async,
            Resource.CHARGE: client.charges.list_async,
            Resource.REFUND: client.refunds.list_async,
            Resource.DISPUTE: client.disputes.list_async,
        }
        self._shows: dict[Resource, _Ask] = {
            Resource.INTENT: client.payment_intents.retrieve_async,
            Resource.CHARGE: client.charges.retrieve_async,
            Resource.REFUND: client.refunds.retrieve_async,
            Resource.DISPUTE: client.disputes.retrieve_async,
        }

    async def page(self, resource: Resource, since: datetime, until: datetime, behind: str | None) -> Page:
        """Return a page of what was made from ``since`` to ``until``, to the second, the newest first.

        Raises:
            Untold: Stripe did not answer, or not with a page.
        """
        window = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        parameters: dict[str, Any] = {"created": window, "limit": PAGE}
        if behind is not None:
            parameters["starting_after"] = behind
        expanded = [f"data.{field}" for field in _EXPANDED.get(resource, ())]
        if expanded:
            parameters["expand"] = expanded
        listed = await self._asked(lambda: self._lists[resource](parameters))
        found = _page(resource, listed.data, Cause(Source.LOOK_UP, _request_id(listed)))
        last = listed.data[-1] if listed.data else None
        if last is None:
            return found
        goes_on = bool(listed.has_more) and last.id != behind
        return replace(found, last=last.id if goes_on else None, reached=datetime.fromtimestamp(last.created, UTC))

    def resource_of(self, name: str) -> Resource:
        """Return whether a payment of that name goes by a PaymentIntent or by its charge."""
        return Resource.CHARGE if name.startswith(charges.PREFIXES) else Resource.INTENT

    async def show(self, resource: Resource, name: str) -> Page:
        """Return a page of one thing as it stands now; of none where Stripe does not know it, or it is not ours.

        Raises:
            Untold: Stripe did not answer.
        """
        expanded = list(_EXPANDED.get(resource, ()))
        parameters: dict[str, Any] = {"expand": expanded} if expanded else {}
        try:
            thing = await self._asked(lambda: self._shows[resource](name, parameters))
        except Untold as untold:
            if isinstance(untold.__cause__, stripe.InvalidRequestError) and untold.__cause__.http_status == _NOT_FOUND:
                return Page()
            raise
        return _page(resource, [thing], Cause(Source.LOOK_UP, _request_id(thing)))

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turns.turn(Priority.RECONCILE):
            try:
                return await ask()
            except Exception as error:
                raise Untold(self._silence(error)) from error


def _page(resource: Resource, things: Sequence[Mapping[str, Any]], cause: Cause) -> Page:
    """Return what may be ours of these things; one that cannot be read keeps no other from being compared."""
    shown: list[Theirs] = []
    alarms: list[str] = []
    for thing in things:
        try:
            one = _read(resource, thing, cause)
        except _UNREADABLE as error:
            alarms.append(f"{thing.get('id')} is not what Stripe documents ({type(error).__name__})")
        else:
            shown += [one] if one is not None else []
    return Page(tuple(shown), len(things) - len(shown) - len(alarms), alarms=tuple(alarms))


def _read(resource: Resource, thing: Mapping[str, Any], cause: Cause) -> Theirs | None:
    """Return a thing as we compare it; None where it is certainly none of ours, or moved no money."""
    match resource:
        case Resource.INTENT:
            return _intent(thing, cause)
        case Resource.CHARGE:
            return _charge(thing, cause)
        case Resource.REFUND:
            return _refund(thing, cause)
    dispute = aftermath.dispute_of(thing)
    return None if dispute is None else TheirDispute(dispute, aftermath.id_of(thing.get("payment_intent")))


def _intent(intent: Mapping[str, Any], cause: Cause) -> TheirPayment | None:
    payment_id = notices.payment_id_of(intent)
    if payment_id is None:
        return None
    return TheirPayment(
        Resource.INTENT,
        intent["id"],
        payment_id,
        _money(intent),
        verdicts.of_intent(intent, cause),
        _made(intent),
        memory=_memory(intent, intent.get("capture_method")),
    )


def _charge(charge: Mapping[str, Any], cause: Cause) -> TheirPayment | None:
    payment_id = notices.payment_id_of(charge)
    if payment_id is None:
        return None
    not_taken = int(charge["amount"]) - int(charge["amount_captured"])
    return TheirPayment(
        Resource.CHARGE,
        charge["id"],
        payment_id,
        _money(charge),
        charges.of_charge(charge, cause),
        _made(charge),
        given_back=max(0, int(charge["amount_refunded"]) - not_taken),
        fee=aftermath.fee_of(charge),
        disputed=bool(charge["disputed"]),
        memory=None if charge.get("payment_intent") else _memory(charge, None if charge["captured"] else "manual"),
    )


def _memory(thing: Mapping[str, Any], capture_method: str | None) -> Memory | None:
    """Return what Stripe remembers of the order: what it charged, and what our metadata says; None where that is lost.

    A method that was refused is not on the intent any more.
    """
    metadata = dict(thing.get("metadata") or {})
    event_id, order_id = metadata.pop("event_id", None), metadata.pop("order_id", None)
    if not event_id or not order_id:
        return None
    callers = {name: value for name, value in metadata.items() if name not in {"payment_id", "paymentId"}}
    refused = (thing.get("last_payment_error") or {}).get("payment_method")
    method = aftermath.id_of(thing.get("payment_method")) or aftermath.id_of(refused)
    order = Order(
        event_id,
        order_id,
        _money(thing),
        method or _FORGOTTEN,
        customer_id=aftermath.id_of(thing.get("customer")),
        capture_method=CaptureMethod.MANUAL if capture_method == "manual" else CaptureMethod.AUTOMATIC,
        metadata=callers,
    )
    return Memory(order, requests.forgotten(event_id, by_charge=thing.get("object") == "charge"))


def _refund(refund: Mapping[str, Any], cause: Cause) -> TheirRefund | None:
    """Return a refund; None for the letting go of a hold, which Stripe lists as one without a balance transaction."""
    named = (refund.get("metadata") or {}).get("refund_id")
    released = refund.get("status") == "succeeded" and refund.get("balance_transaction") is None
    if released and named is None:
        return None
    try:
        refund_id = UUID(named) if isinstance(named, str) else None
    except ValueError:
        refund_id = None
    return TheirRefund(
        refund["id"],
        _money(refund),
        refunds.of_refund(refund, cause).outcome,
        aftermath.id_of(refund.get("payment_intent")),
        aftermath.id_of(refund.get("charge")),
        _made(refund),
        notices.payment_id_of(refund),
        refund_id,
    )


def _money(thing: Mapping[str, Any]) -> Money:
    return Money(int(thing["amount"]), str(thing["currency"]))


def _made(thing: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(thing["created"], UTC)


def _request_id(answer: Any) -> str:
    response = getattr(answer, "last_response", None)
    return (response.request_id if response else None) or "no request id"


_NOT_FOUND: Final = 404

_FORGOTTEN: Final = "forgotten"
"""What stands for a payment method that Stripe does not tell any more."""
