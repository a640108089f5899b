"""`/v1` over HTTP: who asks, what for, whether it was asked before, and the answer in Stripe's form."""

import asyncio
import base64
import binascii
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohttp import web

from stripe_sandbox import expansion, form, wire
from stripe_sandbox.account import API_VERSION, Account, Cause
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import InvalidError, RefusedError
from stripe_sandbox.idempotency import Answer, IdempotencyKeys
from stripe_sandbox.ids import Ids
from stripe_sandbox.requests_log import LoggedRequest, RequestLog, masked
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
    webhook_endpoints,
)

OPERATIONS: Final = (
    *payment_intents.OPERATIONS,
    *charges.OPERATIONS,
    *charging.OPERATIONS,
    *refunds.OPERATIONS,
    *disputes.OPERATIONS,
    *customers.OPERATIONS,
    *payment_methods.OPERATIONS,
    *sources.OPERATIONS,
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


@dataclass(frozen=True, slots=True)
class Mode:
    """One half of the account: its objects and its idempotency keys."""

    account: Account
    keys: IdempotencyKeys


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


class Api:
    """The API of both modes.

    Args:
        modes: gives the half of the account that a key opens; asked anew each time, for a reset replaces it.
        clock: for the log.
        ids: for request ids.
        log: where every request is written.
        keys: the secret keys that are accepted; none: any that has a secret key's form.
        latency_seconds: how long a call takes at least; its idempotency key is in use so long.
    """

    def __init__(  # noqa: PLR0913 - its surroundings, each of them the sandbox's own
        self,
        *,
        modes: Callable[[bool], Mode],
        clock: Clock,
        ids: Ids,
        log: RequestLog,
        keys: Sequence[str],
        latency_seconds: float,
    ) -> None:
        self._modes = modes
        self._clock = clock
        self._ids = ids
        self._log = log
        self._keys = frozenset(keys)
        self._latency_seconds = latency_seconds
        self._routes: dict[tuple[str, int], list[tuple[Segments, Operation]]] = defaultdict(list)
        for operation in OPERATIONS:
            segments = tuple(operation.path.strip("/").split("/"))
            self._routes[operation.method, len(segments)].append((segments, operation))

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answers one request, whatever it is."""
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
        self._log.add(
            LoggedRequest(
                id=exchange.request_id,
                method=exchange.method,
                path=exchange.path,
                query=exchange.query,
                idempotency_key=exchange.key,
                livemode=exchange.livemode,
                body=masked(exchange.body),
                status=status,
                error_code=exchange.error_code,
                replayed=exchange.replayed,
                received_at=exchange.received_at,
                answered_at=self._clock.now(),
            )
        )
        return web.Response(
            body=body, status=status, content_type="application/json", headers=_headers(exchange, status)
        )

    async def _process(self, request: web.BaseRequest, exchange: _Exchange) -> tuple[int, bytes]:
        mode = self._authenticated(request)
        exchange.livemode = mode.account.livemode
        exchange.body = await _text(request)
        operation, path = self._routed(exchange)
        _check_headers(request, exchange)
        raw = form.decode(exchange.query)
        if request.method == "POST":
            raw |= form.decode(exchange.body)
        params = operation.parameters.read(raw)
        operation.check(params)
        expansion.check(operation.returns, params.get("expand", []), listing=_lists(operation))
        call = Call(
            account=mode.account,
            cause=Cause(exchange.request_id, exchange.key),
            params=params,
            path=path,
            base_url=exchange.base_url,
            url=exchange.path,
        )
        if exchange.key is None:
            await self._wait()
            return self._executed(operation, call, exchange)
        return await self._once(mode.keys, operation, call, exchange, raw)

    async def _once(
        self, keys: IdempotencyKeys, operation: Operation, call: Call, exchange: _Exchange, raw: dict[str, form.Raw]
    ) -> tuple[int, bytes]:
        """Executes under an idempotency key, or repeats the answer that was given under it."""
        assert exchange.key is not None
        kept = keys.begin(exchange.key, exchange.path, raw)
        if kept is not None:
            exchange.replayed = True
            exchange.original_id = kept.request_id
            return kept.status, kept.body
        exchange.original_id = exchange.request_id
        await self._wait()
        try:
            status, body = self._executed(operation, call, exchange)
        except InvalidError:  # found late, and still before anything was done
            keys.release(exchange.key)
            raise
        keys.finish(exchange.key, Answer(status, body, exchange.request_id))
        return status, body

    async def _wait(self) -> None:
        if self._latency_seconds:
            await asyncio.sleep(self._latency_seconds)

    def _executed(self, operation: Operation, call: Call, exchange: _Exchange) -> tuple[int, bytes]:
        """Runs an operation to its end; a refusal or a fault on the way is an answer too, and is kept like one."""
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

    def _routed(self, exchange: _Exchange) -> tuple[Operation, dict[str, str]]:
        segments = tuple(exchange.path.strip("/").split("/"))
        for pattern, operation in self._routes.get((exchange.method, len(segments)), ()):
            path: dict[str, str] = {}
            for expected, actual in zip(pattern, segments, strict=True):
                if expected.startswith("{"):
                    path[expected[1:-1]] = actual
                elif expected != actual:
                    break
            else:
                return operation, path
        raise RefusedError(
            404,
            f"Unrecognized request URL ({exchange.method}: {exchange.path}). The sandbox covers part of Stripe's API; "
            "its documentation lists which.",
        )


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
    if status == 401:  # noqa: PLR2004 - RFC 9110 asks for it
        headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    return headers
