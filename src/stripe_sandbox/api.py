"""`/v1` over HTTP: who asks, what for, whether it was asked before, and the answer in Stripe's form."""

import asyncio
import base64
import binascii
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Final, TypeAlias

from aiohttp import web

from stripe_sandbox import card_numbers, connection, expansion, form, wire
from stripe_sandbox.account import API_VERSION, Account, Cause
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.catalogue import DECLINES_BY_CODE, Decline
from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import InvalidError, RefusedError
from stripe_sandbox.faults import EXECUTED, Fault, Plan, Script
from stripe_sandbox.holds import Holds
from stripe_sandbox.idempotency import Answer, IdempotencyKeys, in_use
from stripe_sandbox.ids import Ids
from stripe_sandbox.matching import Asked
from stripe_sandbox.rate_limit import RateLimit
from stripe_sandbox.requests_log import LoggedRequest, RequestLog
from stripe_sandbox.resources import (
    balance_transactions,
    cash_balances,
    charges,
    charging,
    customers,
    disputes,
    events,
    mandates,
    payment_intents,
    payment_methods,
    refunds,
    sources,
    tokens,
    webhook_endpoints,
)
from stripe_sandbox.schedule import due

OPERATIONS: Final = (
    *payment_intents.OPERATIONS,
    *charges.OPERATIONS,
    *charging.OPERATIONS,
    *refunds.OPERATIONS,
    *disputes.OPERATIONS,
    *customers.OPERATIONS,
    *payment_methods.OPERATIONS,
    *sources.OPERATIONS,
    *tokens.OPERATIONS,
    *mandates.OPERATIONS,
    *cash_balances.OPERATIONS,
    *balance_transactions.OPERATIONS,
    *events.OPERATIONS,
    *webhook_endpoints.OPERATIONS,
)
"""All that the sandbox covers of Stripe's API."""

logger = logging.getLogger(__name__)

SECRET_PREFIXES: Final[Mapping[str, bool]] = {"sk_test_": False, "rk_test_": False, "sk_live_": True, "rk_live_": True}
"""A key's prefix, and whether it opens live mode."""

Segments: TypeAlias = tuple[str, ...]


def _by_method_and_length() -> Mapping[tuple[str, int], list[tuple[Segments, Operation]]]:
    routes: dict[tuple[str, int], list[tuple[Segments, Operation]]] = defaultdict(list)
    for operation in OPERATIONS:
        segments = tuple(operation.path.strip("/").split("/"))
        routes[operation.method, len(segments)].append((segments, operation))
    return routes


_ROUTES: Final = _by_method_and_length()


@dataclass(frozen=True, slots=True)
class Mode:
    """One half of the account: its objects, its idempotency keys, and how often it may ask."""

    account: Account
    keys: IdempotencyKeys
    rate_limit: RateLimit


@dataclass(slots=True)
class _Exchange:
    """What is known of a request so far; filled in as it passes through, for the answer and the log."""

    request_id: str
    received_at: float
    method: str
    path: str
    query: str
    base_url: str
    key: str | None = None
    body: str = ""
    livemode: bool | None = None
    replayed: bool = False
    original_id: str | None = None
    error_code: str | None = None
    plan: Plan = field(default_factory=Plan)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        """What faults and holds look at."""
        return Asked(self.request_id, self.method, self.path, self.key)


class _Unanswered(Exception):
    """The request gets no answer."""


class Api:
    """The API of both modes.

    Args:
        modes: gives the half of the account that a key opens; asked anew each time, for a reset replaces it.
        clock: for the log.
        ids: for request ids.
        log: where every request is written.
        script: the faults that requests may meet.
        holds: where requests may be held.
        keys: the secret keys that are accepted; none: any that has a secret key's form.
        save: writes down what has changed; called before anything is answered.
        latency_seconds: how long a call takes at least; its idempotency key is in use so long.
        number_key: gives the key under which card numbers are sealed; none where they are refused.
    """

    def __init__(  # noqa: PLR0913 - its surroundings, each of them the sandbox's own
        self,
        *,
        modes: Callable[[bool], Mode],
        clock: Clock,
        ids: Ids,
        log: RequestLog,
        script: Script,
        holds: Holds,
        keys: Sequence[str],
        save: Callable[[], None],
        latency_seconds: float,
        number_key: Callable[[], str | None],
    ) -> None:
        self._modes = modes
        self._clock = clock
        self._ids = ids
        self._log = log
        self._script = script
        self._holds = holds
        self._keys = frozenset(keys)
        self._save = save
        self._latency_seconds = latency_seconds
        self._number_key = number_key

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request, whatever it is, unless a fault says otherwise."""
        exchange = _Exchange(
            request_id=self._ids.new("req"),
            received_at=self._clock.now(),
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            base_url=f"{request.scheme}://{request.host}",
        )
        try:
            exchange.key = _idempotency_key(request)
            status, body = await self._process(request, exchange)
        except RefusedError as refusal:
            status, body = refusal.status, self._refused(refusal, exchange)
        except _Unanswered:
            self._write_down(exchange, None)
            return connection.drop(request, reset=True)
        await self._holds.passing(exchange.asked, "after")
        await asyncio.sleep(exchange.plan.slow_after_seconds)
        status, body = self._hidden_behind_a_gateway(exchange, status, body)
        self._write_down(exchange, status)
        answer = web.Response(
            body=body,
            status=status,
            content_type="application/json",
            headers={"Date": formatdate(self._clock.now(), usegmt=True), **_headers(exchange, status)},
        )
        match exchange.plan.fault:
            case Fault(kind="lose_answer", reset=reset):
                return connection.drop(request, reset=reset)
            case Fault(kind="cut_body", reset=reset):
                return await connection.cut(request, answer, reset=reset)
            case _:
                return answer

    def _write_down(self, exchange: _Exchange, status: int | None) -> None:
        fault = exchange.plan.fault
        self._log.add(
            LoggedRequest(
                id=exchange.request_id,
                method=exchange.method,
                path=exchange.path,
                query=card_numbers.masked(exchange.query),
                idempotency_key=exchange.key,
                livemode=exchange.livemode,
                body=card_numbers.masked(exchange.body),
                status=status,
                error_code=exchange.error_code,
                replayed=exchange.replayed,
                fault=None if fault is None else fault.kind,
                received_at=exchange.received_at,
                answered_at=self._clock.now(),
            )
        )
        self._save()

    async def _process(self, request: web.BaseRequest, exchange: _Exchange) -> tuple[int, bytes]:
        mode = self._authenticated(request)
        exchange.livemode = mode.account.livemode
        exchange.body = await _text(request)
        if not mode.rate_limit.admits():
            raise _rate_limited(exchange, "global-rate")
        exchange.plan = self._script.on_request(exchange.asked)
        self._struck_early(exchange)
        operation, path = routed(exchange.method, exchange.path)
        _check_headers(request, exchange)
        raw = form.decode(exchange.query)
        if request.method == "POST":
            raw |= form.decode(exchange.body)
        raw = card_numbers.sealed(raw, None if mode.account.livemode else self._number_key())
        call = _call(operation, mode.account, exchange, path, raw)
        if exchange.key is None:
            await self._wait(exchange)
            return self._executed(operation, call, exchange, raw)
        return await self._once(mode.keys, operation, call, exchange, raw)

    def _struck_early(self, exchange: _Exchange) -> None:
        """Raises what answers a request before the idempotency layer, if its fault is such."""
        fault = exchange.plan.fault
        if fault is None:
            return
        if fault.kind == "reset":
            raise _Unanswered
        if fault.kind == "rate_limit":
            raise _rate_limited(exchange, fault.reason)
        if fault.early:
            raise _refusal(fault)

    async def _once(
        self, keys: IdempotencyKeys, operation: Operation, call: Call, exchange: _Exchange, raw: dict[str, form.Raw]
    ) -> tuple[int, bytes]:
        """Executes under an idempotency key, or repeats the answer that was given under it."""
        assert exchange.key is not None
        fault = exchange.plan.fault
        if fault is not None and fault.kind == "key_in_use":
            raise in_use(exchange.key)
        kept = keys.begin(exchange.key, exchange.path, raw)
        if kept is not None:
            exchange.replayed = True
            exchange.original_id = kept.request_id
            if fault is not None and fault.kind in {"error", "decline"}:  # nothing is executed that could fail
                self._script.give_back(fault)
                exchange.plan = replace(exchange.plan, fault=None)
            return kept.status, kept.body
        exchange.original_id = exchange.request_id
        await self._wait(exchange)
        try:
            status, body = self._executed(operation, call, exchange, raw)
        except InvalidError:  # found late, and still before anything was done
            keys.release(exchange.key)
            raise
        keys.finish(exchange.key, Answer(status, body, exchange.request_id))
        return status, body

    async def _wait(self, exchange: _Exchange) -> None:
        await asyncio.sleep(self._latency_seconds + exchange.plan.slow_before_seconds)
        await self._holds.passing(exchange.asked, "before")

    def _executed(
        self, operation: Operation, call: Call, exchange: _Exchange, raw: dict[str, form.Raw]
    ) -> tuple[int, bytes]:
        """Runs an operation to its end; a refusal or a fault on the way is an answer too, and is kept like one."""
        fault = exchange.plan.fault
        if fault is not None and fault.kind == "decline":
            return self._run_declined(DECLINES_BY_CODE[fault.code], operation, call, exchange)
        if fault is None or fault.kind != "error" or fault.status != EXECUTED:
            return self._run(operation, call, exchange)
        if fault.effect == "done":
            self._run(operation, call, exchange)
        elif fault.effect == "later":
            call.account.schedule.after(
                fault.after_seconds,
                _roll_forward,
                call.account,
                exchange.request_id,
                exchange.key,
                {"method": exchange.method, "path": exchange.path, "raw": raw, "base_url": exchange.base_url},
            )
        return EXECUTED, self._refused(_refusal(fault), exchange)

    def _run_declined(self, why: Decline, operation: Operation, call: Call, exchange: _Exchange) -> tuple[int, bytes]:
        call.account.issuer_says = why
        try:
            return self._run(operation, call, exchange)
        finally:
            call.account.issuer_says = None

    def _run(self, operation: Operation, call: Call, exchange: _Exchange) -> tuple[int, bytes]:
        try:
            answer = operation.run(call)
            answer = expansion.applied(call.account, answer, call.params.get("expand", []))
        except InvalidError:
            raise
        except RefusedError as refusal:
            return refusal.status, self._refused(refusal, exchange)
        except Exception:
            logger.exception("%s failed in %s %s", exchange.request_id, operation.method, operation.path)
            fault = RefusedError(500, "The sandbox itself failed; its log says why.", kind="api_error")
            return fault.status, self._refused(fault, exchange)
        return 200, wire.written(answer).encode()

    def _hidden_behind_a_gateway(self, exchange: _Exchange, status: int, body: bytes) -> tuple[int, bytes]:
        """The answer, or what somebody in front of the API says instead after the work was done."""
        fault = exchange.plan.fault
        if fault is None or fault.kind != "error" or fault.status == EXECUTED or fault.effect == "none":
            return status, body
        return fault.status, self._refused(_refusal(fault), exchange)

    def _refused(self, refusal: RefusedError, exchange: _Exchange) -> bytes:
        exchange.error_code = refusal.code
        return wire.written(refusal.body(f"{exchange.base_url}/_sandbox/requests/{exchange.request_id}")).encode()

    def _authenticated(self, request: web.BaseRequest) -> Mode:
        key = _key(request.headers.get("Authorization", ""))
        if not key:
            raise RefusedError(
                401,
                "You did not provide an API key. Send it in the Authorization header, with Bearer or as the user of "
                "Basic authentication.",
            )
        if key.startswith("pk_"):
            raise RefusedError(
                401, "This API call cannot be made with a publishable API key.", code="secret_key_required"
            )
        live = SECRET_PREFIXES.get(key[:8])
        if live is None or len(key) <= len("sk_test_") or (self._keys and key not in self._keys):
            raise RefusedError(401, f"Invalid API Key provided: {_hidden(key)}")
        return self._modes(live)


def routed(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """The operation at an address, and the ids in it by name.

    Raises:
        RefusedError: 404, the sandbox has none there.
    """
    segments = tuple(path.strip("/").split("/"))
    for pattern, operation in _ROUTES.get((method, len(segments)), ()):
        names: dict[str, str] = {}
        for expected, actual in zip(pattern, segments, strict=True):
            if expected.startswith("{"):
                names[expected[1:-1]] = actual
            elif expected != actual:
                break
        else:
            return operation, names
    raise RefusedError(
        404,
        f"Unrecognized request URL ({method}: {path}). The sandbox covers part of Stripe's API; "
        "its documentation lists which.",
    )


def _call(
    operation: Operation, account: Account, exchange: _Exchange, path: Mapping[str, str], raw: dict[str, form.Raw]
) -> Call:
    """The request as its operation is given it, once its parameters have been read and allowed."""
    params = operation.parameters.read(raw)
    operation.check(params)
    expansion.check(operation.returns, params.get("expand", []), listing=_lists(operation))
    return Call(
        account=account,
        cause=Cause(exchange.request_id, exchange.key),
        params=params,
        path=path,
        base_url=exchange.base_url,
        url=exchange.path,
    )


@due
def _roll_forward(account: Account, request_id: str, key: str | None, sent: Mapping[str, Any]) -> None:
    """Does the work of a request that was answered with a 500 some time ago."""
    operation, names = routed(sent["method"], sent["path"])
    params = operation.parameters.read(sent["raw"])
    with suppress(RefusedError):  # a decline is an effect too
        operation.run(Call(account, Cause(request_id, key), params, names, sent["base_url"], sent["path"]))


def _rate_limited(exchange: _Exchange, reason: str) -> RefusedError:
    """What too many requests at once are answered; which limit it was, a header says."""
    exchange.headers["Stripe-Rate-Limited-Reason"] = reason
    return RefusedError(429, "Too many requests reached the API at once; slow down.", code="rate_limit")


def _refusal(fault: Fault) -> RefusedError:
    """What a fault answers."""
    if fault.kind == "lock_timeout":
        return RefusedError(
            429, "Another request is working on this object; try again in a moment.", code="lock_timeout"
        )
    match fault.status:
        case 401:
            return RefusedError(401, "Invalid API Key provided: the key was revoked.")
        case 403:
            return RefusedError(403, "The key does not have the permissions that this request needs.")
        case _:
            return RefusedError(fault.status, "Something went wrong on the API's side.", kind="api_error")


def _lists(operation: Operation) -> bool:
    return operation.method == "GET" and not operation.path.endswith("}")


def _key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _hidden(key: str) -> str:
    """A key as error messages may show it."""
    shown = len("sk_test_")
    return f"{key[:shown]}{'*' * max(0, len(key) - shown - 4)}{key[shown:][-4:]}"


async def _text(request: web.BaseRequest) -> str:
    try:
        return (await request.read()).decode()
    except web.HTTPRequestEntityTooLarge as error:
        raise RefusedError(413, "The request's body is too large.") from error
    except UnicodeDecodeError as error:
        raise InvalidError("The request's body must be UTF-8.") from error


def _idempotency_key(request: web.BaseRequest) -> str | None:
    """The key of a POST; other methods are idempotent by themselves."""
    key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
    if not (key.isascii() and key.isprintable()):  # it goes back in a header
        raise InvalidError("An idempotency key is printable ASCII.")
    return key or None


def _check_headers(request: web.BaseRequest, exchange: _Exchange) -> None:
    """Refuses what would otherwise be read as something else."""
    if exchange.body and request.content_type not in {"application/x-www-form-urlencoded", "application/octet-stream"}:
        raise InvalidError(
            f"The request's Content-Type is {request.content_type}; the API takes application/x-www-form-urlencoded."
        )
    if "Stripe-Account" in request.headers:
        raise InvalidError("The sandbox has no connected accounts: send no Stripe-Account header.")
    version = request.headers.get("Stripe-Version", API_VERSION)
    if version != API_VERSION:
        raise InvalidError(f"Invalid Stripe API version: {version[:40]}. The sandbox speaks {API_VERSION}.")


def _headers(exchange: _Exchange, status: int) -> dict[str, str]:
    headers = {
        "Request-Id": exchange.request_id,
        "Stripe-Version": API_VERSION,
        "Cache-Control": "no-cache, no-store",
        "Server": "stripe-sandbox",
        **exchange.headers,
    }
    if exchange.key is not None:
        headers["Idempotency-Key"] = exchange.key
    if exchange.original_id is not None:
        headers["Original-Request"] = exchange.original_id
    if exchange.replayed:
        headers["Idempotent-Replayed"] = "true"
    if status == 409:  # noqa: PLR2004 - only a key in use, and it will be free
        headers["Stripe-Should-Retry"] = "true"
    elif status in {400, 402}:
        headers["Stripe-Should-Retry"] = "false"
    fault = exchange.plan.fault
    if fault is not None and fault.should_retry is not None:
        headers["Stripe-Should-Retry"] = str(fault.should_retry).lower()
    if status == 401:  # noqa: PLR2004 - RFC 9110 asks for it
        headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    return headers
