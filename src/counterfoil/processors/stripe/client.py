"""Stripe over HTTP, through its own SDK."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import aiohttp
import stripe

from counterfoil.domain.errors import InvalidRequest
from counterfoil.domain.order import Order
from counterfoil.domain.refunding import Listing, RefundHappening, RefundVerdict, Repayment
from counterfoil.domain.request import Request
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Settling, Source, Verdict
from counterfoil.processors.port import Budget, EventPage, Learned, Priority, Unlimited, always
from counterfoil.processors.stripe import aftermath, charges, listing, notices, requests, verdicts
from counterfoil.processors.stripe import refunds as stripe_refunds
from counterfoil.processors.stripe.books import StripeBooks
from counterfoil.processors.stripe.methods import Methods
from counterfoil.processors.stripe.requests import Call
from counterfoil.processors.stripe.transport import Transport, Turns

TIMEOUT_SECONDS: Final = 30
"""Stripe answers in under a second as a rule and gives up on a bank after some twenty; later than this nobody waits."""

LISTED_AROUND: Final = timedelta(seconds=300)
"""How far Stripe's clock, in whole seconds, may be from ours when we list what was made around a send."""

LISTED_AT_ONCE: Final = 100
"""The most that Stripe gives on a page."""

CREDENTIAL_LENGTH: Final = 16
"""Of the 64 digits of a key's digest: enough to tell a few keys apart, and useless for finding one."""


class StripeProcessor:
    """The processor port, spoken to Stripe (or to whatever listens at ``api_base``)."""

    def __init__(  # noqa: PLR0913 - each is a setting of an installation
        self,
        key: str,
        *,
        livemode: bool,
        api_base: str | None = None,
        return_url: str | None = None,
        by_charges: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        budget: Budget | None = None,
    ) -> None:
        """Prepare to speak with Stripe; no connection is made yet.

        Args:
            key: the secret or restricted key.
            livemode: whether the key moves real money.
            api_base: where the API is, for a sandbox; None is Stripe itself.
            return_url: where customers come back to when their order does not say.
            by_charges: whether new payments are made by the older API, as charges. What was begun goes on as it was.
            timeout_seconds: how long an answer may take; then it is unknown.
            budget: how many calls may be made; as many as come where there is none.
        """
        self.livemode = livemode
        self.credential = hashlib.sha256(key.encode()).hexdigest()[:CREDENTIAL_LENGTH]
        self._return_url = return_url
        self._by_charges = by_charges
        self._turns = Turns(budget or Unlimited())
        stripe.enable_telemetry = False  # the SDK would tell Stripe how long our earlier calls took
        self._http = Transport(self._turns.budget, timeout=aiohttp.ClientTimeout(total=timeout_seconds))
        self._client = stripe.StripeClient(
            key,
            stripe_version=requests.API_VERSION,
            base_addresses={"api": api_base} if api_base else {},
            max_network_retries=0,  # the SDK's own retries would hide from us what was sent, and when
            http_client=self._http,
        )
        self._methods = Methods(self._client, self._turns)
        self.books = StripeBooks(self._client, self._turns, _nothing_told)

    @property
    def sdk(self) -> stripe.StripeClient:
        """The SDK's client, with our key and version, for questions about the account and not about a payment."""
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK left its return type out

    async def can_hold(self, payment_method: str) -> bool:
        """Return whether Stripe places a hold on a method of this kind.

        Raises:
            MethodRefused: Stripe does not know the method.
            Unavailable: Stripe had to be asked what kind of method it is, and did not answer.
        """
        return await self._methods.can_hold(payment_method)

    async def request_for(self, payment_id: UUID, order: Order) -> Request:
        """Return the request for the first attempt.

        Raises:
            InvalidRequest: there is no ``return_url`` and one is needed.
            MethodRefused: Stripe does not know the method, or cannot hold it where that is wanted.
            Unavailable: Stripe had to be asked what kind of method it is, and did not answer.
        """
        if self._by_charges:
            return requests.charge(payment_id, order, 1)
        return_url = self._return_url_of(order)
        kind = await self._methods.charged_kind(order)
        return requests.create_and_confirm(payment_id, order, kind, return_url)

    async def request_again(self, payment_id: UUID, intent_id: str | None, number: int, order: Order) -> Request:
        """Return the request for a further attempt, from 2 on, on the intent of those before if they made one.

        Raises:
            InvalidRequest: there is no ``return_url`` and one is needed.
            MethodRefused: Stripe does not know the method, or cannot hold it where that is wanted.
            Unavailable: Stripe had to be asked what kind of method it is, and did not answer.
        """
        is_intent = intent_id is not None and not intent_id.startswith(charges.PREFIXES)
        if self._by_charges and not is_intent:
            return requests.charge(payment_id, order, number)
        return_url = self._return_url_of(order)
        kind = await self._methods.charged_kind(order)
        if intent_id is None or not is_intent:
            return requests.create_and_confirm(payment_id, order, kind, return_url, number)
        return requests.confirm(intent_id, number, order, kind, return_url)

    def may_charge_again(self, request: Request) -> bool:
        """Return whether a request is paid off-session with a method that is attached to the customer it names."""
        parameters = requests.call_of(request).parameters
        method, customer = parameters.get("payment_method", ""), parameters.get("customer")
        if customer is None or not parameters.get("off_session"):
            return False
        return self._methods.is_kept_for(method, customer)

    def cancellation(self, intent_id: str, event_id: str, number: int) -> Request:
        """Return the request to cancel an intent that nobody will complete, or to release what a charge holds."""
        if intent_id.startswith(charges.PREFIXES):
            return requests.release(intent_id, event_id, number)
        return requests.cancel(intent_id, event_id, number)

    def capture(self, intent_id: str, event_id: str, number: int, amount: int) -> Request:
        """Return the request to take so much, in minor units, of what an intent, or a charge, holds."""
        if intent_id.startswith(charges.PREFIXES):
            return requests.take(intent_id, event_id, number, amount)
        return requests.capture(intent_id, event_id, number, amount)

    async def send(self, request: Request, *, again: bool, may_send: Callable[[], bool] = always) -> Verdict:
        """Send a stored request and return what was heard; nothing is sent where it is too late by then.

        Where sending again could tell nothing more and the intent is known, it is asked about at once.
        """
        call = requests.call_of(request)
        async with self._turns.turn(Priority.CHARGE):
            if not may_send():  # a slot was long in coming, or the machine stood still
                return verdicts.of_silence(Cause(Source.ANSWER, "not sent"), executed=again)
            try:
                answer = await self._do(call, request.key)
            except Exception as error:  # noqa: BLE001 - after the first byte, whatever is no explicit answer is unknown
                reading = partial(_verdict_of, error, call, again=again)
                verdict = _read(reading, Cause(Source.ANSWER, _request_id(error)))
            else:
                cause = _cause(Source.ANSWER, answer)
                verdict = _read(partial(_READERS.get(call.name, verdicts.of_intent), answer, cause), cause)
                if call.name != requests.RELEASE or verdict.outcome is not AttemptHappening.UNKNOWN:
                    return verdict
        if verdict.settling is not Settling.ASK or call.intent_id is None:
            return verdict
        found = await self.look_up(call.intent_id)
        # A refusal on the intent may be an earlier attempt's; what it says of this one is found out by and by.
        told = found.outcome not in (AttemptHappening.UNKNOWN, AttemptHappening.DECLINED)
        return replace(found, alarm=verdict.alarm or found.alarm, refused=verdict.refused) if told else verdict

    def refund(self, repayment: Repayment) -> Request:
        """Return the request to give money back."""
        return requests.refund(repayment)

    async def send_refund(
        self, request: Request, *, again: bool, may_send: Callable[[], bool] = always
    ) -> RefundVerdict:
        """Send a stored request to give money back and return what was heard; as `send` does.

        Where sending again could tell nothing more, the refunds there are tell whether ours is among them.
        """
        call = requests.call_of(request)
        async with self._turns.turn(Priority.CHARGE):
            if not may_send():
                return RefundVerdict(RefundHappening.UNKNOWN, Cause(Source.ANSWER, "not sent"), executed=again)
            try:
                refund = await self._client.refunds.create_async(
                    call.parameters,  # type: ignore[arg-type]  # its TypedDict, as stored
                    {"idempotency_key": request.key},
                )
            except Exception as error:  # noqa: BLE001 - after the first byte, whatever is no explicit answer is unknown
                verdict = _refund_verdict_of(error, again=again)
            else:
                return _read_refund(refund, _cause(Source.ANSWER, refund))
        return verdict if verdict.settling is not Settling.ASK else await self._found_refund(call, verdict)

    async def refunds_of(self, intent_id: str | None, charge_id: str | None) -> Listing:
        """Return all refunds of a charge, in one look at it; only where there are many, its list is read as well."""
        try:
            name: object = charge_id
            if name is None:
                async with self._turns.turn(Priority.LOOK_UP):
                    name = (await self._client.payment_intents.retrieve_async(str(intent_id))).latest_charge
            async with self._turns.turn(Priority.LOOK_UP):
                charge = await self._client.charges.retrieve_async(str(name), {"expand": ["refunds"]})
            first = charge.refunds
            if first is None or first.has_more:
                refunds = await self.all_refunds({"charge": charge.id})
            else:
                refunds = first.data
        except Exception as error:  # noqa: BLE001 - a look that fails for whatever reason has told us nothing
            told = _nothing_told(error)
            return Listing(told.cause, key_refused=told.key_refused, alarm=told.alarm)
        cause = _cause(Source.LOOK_UP, charge)
        try:
            return stripe_refunds.listed(charge, refunds, cause)
        except UNREADABLE as error:
            return Listing(cause, alarm=f"Stripe's refunds cannot be read ({type(error).__name__})")

    async def look_up(self, intent_id: str) -> Verdict:
        """Ask how a payment stands, by its intent or by the charge that it goes by."""
        found: stripe.PaymentIntent | stripe.Charge
        reader = charges.of_charge if intent_id.startswith(charges.PREFIXES) else verdicts.of_intent
        try:
            async with self._turns.turn(Priority.LOOK_UP):
                if intent_id.startswith(charges.PREFIXES):
                    found = await self._client.charges.retrieve_async(intent_id)
                else:
                    expanded: Any = {"expand": ["latest_charge"]}
                    found = await self._client.payment_intents.retrieve_async(intent_id, expanded)
        except Exception as error:  # noqa: BLE001 - a look-up that fails for whatever reason has told us nothing
            return _nothing_told(error)
        cause = _cause(Source.LOOK_UP, found)
        return _read(partial(reader, found, cause), cause)

    async def learn(self, charge_id: str) -> Learned:
        """Ask for a charge with its balance transaction, and for its disputes where it says that it has any."""
        try:
            async with self._turns.turn(Priority.LOOK_UP):
                charge = await self._client.charges.retrieve_async(charge_id, {"expand": ["balance_transaction"]})
            listed = await self._disputes_of(charge_id) if charge.disputed else []
        except Exception as error:  # noqa: BLE001 - a question that fails for whatever reason has told us nothing
            silence = _nothing_told(error)
            return Learned(silence.cause, key_refused=silence.key_refused, alarm=silence.alarm)
        cause = _cause(Source.LOOK_UP, charge)
        try:
            found = [aftermath.dispute_of(one) for one in listed]
            return Learned(cause, aftermath.fee_of(charge), tuple(one for one in found if one is not None))
        except aftermath.Undocumented as error:
            return Learned(cause, alarm=str(error))

    async def _disputes_of(self, charge_id: str) -> list[stripe.Dispute]:
        """Return the disputes of a charge: one as a rule, never more than fit on a page."""
        async with self._turns.turn(Priority.LOOK_UP):
            return (await self._client.disputes.list_async({"charge": charge_id, "limit": LISTED_AT_ONCE})).data

    async def admits_us(self) -> bool:
        """Return whether Stripe takes our key, by asking for the least that we need to be allowed."""
        try:
            async with self._turns.turn(Priority.CHARGE):  # whether any charge can be made hangs on it
                if self._by_charges:
                    await self._client.charges.list_async({"limit": 1})
                else:
                    await self._client.payment_intents.list_async({"limit": 1})
        except Exception:  # noqa: BLE001 - whatever keeps it from answering keeps us from going on
            return False
        return True

    async def find(
        self,
        payment_id: UUID,
        first_sent_at: datetime,
        last_sent_at: datetime,
        request: Request | None = None,
    ) -> Verdict:
        """Look for a payment in Stripe's list, page by page: search lags behind, and lists filter by time only.

        A payment has one intent, but each attempt by the older API makes a charge: then all are looked for.
        """
        by_charges = request is not None and requests.call_of(request).name == requests.CHARGE
        lists: Any = self._client.charges.list_async if by_charges else self._client.payment_intents.list_async
        reader = charges.of_charge if by_charges else verdicts.of_intent
        window = {
            "gte": int((first_sent_at - LISTED_AROUND).timestamp()),
            "lte": int((last_sent_at + LISTED_AROUND).timestamp()),
        }
        parameters: dict[str, Any] = {"created": window, "limit": LISTED_AT_ONCE}
        found: list[Verdict] = []
        while True:
            try:
                async with self._turns.turn(Priority.LOOK_UP):
                    page = await lists(parameters)
            except Exception as error:  # noqa: BLE001 - a listing that is not complete proves nothing
                return _nothing_told(error)
            cause = _cause(Source.LOOK_UP, page)
            ours = [thing for thing in page.data if notices.payment_id_of(thing) == payment_id]
            found += [_read(partial(reader, thing, cause), cause) for thing in ours]
            if found and (not by_charges or any(map(charges.is_settled_by, found))):
                return charges.foremost(found)
            if not page.has_more or not page.data:
                return charges.foremost(found) if found else verdicts.of_silence(cause, absent=True)
            last = page.data[-1].id
            if last == parameters.get("starting_after"):  # a list that goes on and does not get on is not complete
                return verdicts.of_silence(cause)
            parameters["starting_after"] = last

    async def events(self, since: datetime, after: str | None, *, undelivered: bool) -> EventPage:
        """Return a page of Stripe's list of events; raises NotListed where there is none to be had."""
        return await listing.events(self._client, self._turns, since, after, undelivered=undelivered)

    async def _found_refund(self, call: Call, verdict: RefundVerdict) -> RefundVerdict:
        """Return what the refunds of a charge tell of the one that a call asks for; the verdict, where they do not."""
        charged = {name: value for name, value in call.parameters.items() if name in {"charge", "payment_intent"}}
        try:
            refunds = await self.all_refunds(charged)
        except Exception:  # noqa: BLE001 - a listing that is not complete proves nothing
            return verdict
        ours = stripe_refunds.ours(refunds, call.parameters["metadata"]["refund_id"])
        if ours is not None:
            return _read_refund(ours, replace(verdict.cause, source=Source.LOOK_UP))
        if verdict.failure_reason is not None:  # it was refused because of another one
            return replace(verdict, outcome=RefundHappening.FAILED)
        return verdict

    async def all_refunds(self, charged: Mapping[str, str]) -> list[stripe.Refund]:
        """Return all refunds of a charge or of a PaymentIntent, page by page; raises whatever keeps it from the end."""
        parameters: dict[str, Any] = {**charged, "limit": LISTED_AT_ONCE}
        found: list[stripe.Refund] = []
        while True:
            async with self._turns.turn(Priority.LOOK_UP):
                page = await self._client.refunds.list_async(parameters)  # type: ignore[arg-type]  # as above
            found += page.data
            if not page.has_more or not page.data:
                return found
            if page.data[-1].id == parameters.get("starting_after"):
                raise ValueError("a list that goes on and does not get on is not complete")
            parameters["starting_after"] = page.data[-1].id

    async def _do(  # noqa: PLR0911  one for each call that we make
        self, call: Call, key: str
    ) -> stripe.PaymentIntent | stripe.Charge | stripe.Refund:
        intents, parameters, options = self._client.payment_intents, call.parameters, {"idempotency_key": key}
        match call.name:
            case "create":
                return await intents.create_async(parameters, options)  # type: ignore[arg-type]  # its TypedDict, as stored
            case requests.CHARGE:
                return await self._client.charges.create_async(parameters, options)  # type: ignore[arg-type]  # the same
            case requests.RELEASE:
                return await self._client.refunds.create_async(parameters, options)  # type: ignore[arg-type]  # the same
        assert call.intent_id is not None
        if call.name == "cancel":
            return await intents.cancel_async(call.intent_id, parameters, options)  # type: ignore[arg-type]  # the same
        if call.name == "capture":
            return await intents.capture_async(call.intent_id, parameters, options)  # type: ignore[arg-type]  # the same
        if call.name == requests.TAKE:
            return await self._client.charges.capture_async(call.intent_id, parameters, options)  # type: ignore[arg-type]  # the same
        assert call.name == "confirm", call.name
        return await intents.confirm_async(call.intent_id, parameters, options)  # type: ignore[arg-type]  # the same

    def _return_url_of(self, order: Order) -> str | None:
        return_url = order.return_url or self._return_url
        if return_url is None and not order.off_session:
            raise InvalidRequest("return_url", "is needed, here or as RETURN_URL, unless the payment is off_session")
        return return_url


_READERS: Final[Mapping[str, Callable[[Any, Cause], Verdict]]] = {
    requests.CHARGE: charges.of_charge,
    requests.TAKE: charges.of_charge,
    requests.RELEASE: charges.of_release,
}
"""How the answers of the older API's calls are read; those of others are intents."""


UNREADABLE: Final = (AssertionError, AttributeError, KeyError, OverflowError, TypeError, ValueError, InvalidRequest)
"""What reading raises where an object is not what Stripe documents."""


def _read_refund(refund: Mapping[str, Any], cause: Cause) -> RefundVerdict:
    try:
        return stripe_refunds.of_refund(refund, cause)
    except UNREADABLE as error:
        alarm = f"Stripe's answer cannot be read ({type(error).__name__})"
        return RefundVerdict(RefundHappening.UNKNOWN, cause, settling=Settling.ASK, alarm=alarm)


def _refund_verdict_of(error: Exception, *, again: bool) -> RefundVerdict:
    """Return what an exception of the SDK, or of the transport beneath it, means for a refund."""
    cause = Cause(Source.ANSWER, _request_id(error))
    if isinstance(error.__cause__, aiohttp.ClientConnectorError):
        return RefundVerdict(RefundHappening.UNKNOWN, cause, settling=Settling.RETRY, executed=again)
    if not isinstance(error, stripe.StripeError) or error.http_status is None:
        return RefundVerdict(RefundHappening.UNKNOWN, cause)
    may_retry = str((error.headers or {}).get("stripe-should-retry")).lower() != "false"
    return stripe_refunds.of_refusal(error.http_status, _error_of(error), cause, again=again, may_retry=may_retry)


def _read(reading: Callable[[], Verdict], cause: Cause) -> Verdict:
    """Return the verdict that an answer is read as; one that is not what Stripe documents says nothing, and alarms."""
    try:
        return reading()
    except (AssertionError, AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        alarm = f"Stripe's answer cannot be read ({type(error).__name__})"
        return verdicts.of_silence(cause, settling=Settling.ASK, alarm=alarm)


def _verdict_of(error: Exception, call: Call, *, again: bool) -> Verdict:
    """Return what an exception of the SDK, or of the transport beneath it, means for the attempt."""
    cause = Cause(Source.ANSWER, _request_id(error))
    if isinstance(error.__cause__, aiohttp.ClientConnectorError):  # refused, no such host, no TLS: no byte was sent
        return verdicts.of_silence(cause, settling=Settling.RETRY, executed=again)
    if not isinstance(error, stripe.StripeError) or error.http_status is None:
        return verdicts.of_silence(cause)
    said = _error_of(error)
    if call.name in ("cancel", "capture", requests.TAKE, requests.RELEASE):
        return verdicts.of_refused_operation(error.http_status, said, cause)
    may_retry = str((error.headers or {}).get("stripe-should-retry")).lower() != "false"
    return verdicts.of_refusal(error.http_status, said, cause, again=again, may_retry=may_retry)


def _nothing_told(error: Exception) -> Verdict:
    """Return what a question that failed tells: nothing of the payment, at most what a person must see.

    Stripe deletes nothing that we ask about, so where it does not know its own name for it we have come to another
    account than the one that gave it, or to a sandbox that has forgotten.
    """
    cause = Cause(Source.LOOK_UP, _request_id(error))
    refused = isinstance(error, stripe.AuthenticationError | stripe.PermissionError)
    alarm = "Stripe refuses our key" if refused else None
    if isinstance(error, stripe.InvalidRequestError) and error.http_status == HTTPStatus.NOT_FOUND:
        alarm = "Stripe does not know what it gave us this name for: is the key that of another account?"
    return replace(verdicts.of_silence(cause, alarm=alarm), key_refused=refused)


def _error_of(error: stripe.StripeError) -> Mapping[str, Any]:
    body = error.json_body
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        found: Mapping[str, Any] = json.loads(json.dumps(body["error"]))
        return found
    return {}


def _cause(source: Source, answer: Any) -> Cause:
    response = getattr(answer, "last_response", None)
    return Cause(source, (response.request_id if response else None) or "no request id")


def _request_id(error: Exception) -> str:
    return getattr(error, "request_id", None) or "no answer"
