"""The webhook route: a bare ASGI endpoint, because nothing may touch the bytes before they are verified."""

import json
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.domain.errors import Unavailable
from counterfoil.processors.port import NotAnEvent
from counterfoil.processors.stripe import notices, signatures
from counterfoil.roles.problems import Kind, Problem, response
from counterfoil.roles.webhook_receiver.keeping import Keeping, Received
from counterfoil.roles.webhook_receiver.signing import Signing
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.metrics import NOTICES_RECEIVED, SIGNATURES
from counterfoil.store.notices import Unreadable

PATHS: Final = frozenset({"/webhooks/stripe", "/stripe/webhook"})
"""Two names of one door: the second is what many guides tell people to register."""


class Endpoint:
    """Answers deliveries; every other path goes to ``otherwise``."""

    def __init__(self, keeping: Keeping, signing: Signing, clock: Clock, otherwise: ASGIApp) -> None:
        self._keeping, self._signing, self._clock, self._otherwise = keeping, signing, clock, otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        if scope["type"] != "http" or scope["path"] not in PATHS:
            await self._otherwise(scope, receive, send)
            return
        if scope["method"] != "POST":
            sentence = "deliveries are posted"
            answer = response(Problem(Kind.INVALID_REQUEST, sentence, status=405, headers={"Allow": "POST"}))
        else:
            answer = await self._deliver(scope, await Request(scope, receive).body())
        await answer(scope, receive, send)

    async def _deliver(self, scope: Scope, body: bytes) -> Response:
        signed = [value for name, value in scope["headers"] if name == b"stripe-signature"]
        secrets = self._signing.good()
        judged = signatures.verify(signed, body, list(secrets.values()), int(self._clock.now().timestamp()))
        if isinstance(judged, signatures.Refusal):
            NOTICES_RECEIVED.labels(judged.reason.label).inc()
            kind = Kind.UNAUTHORIZED if judged.http_status == Kind.UNAUTHORIZED.status else Kind.INVALID_REQUEST
            return response(Problem(kind, f"the signature is refused: {judged.reason.label}"))
        SIGNATURES.labels(str(list(secrets)[judged.secret_index])).inc()
        try:
            return await self._keep(body)
        except Unavailable as error:
            NOTICES_RECEIVED.labels("unavailable").inc()
            after = {"Retry-After": str(error.retry_after_seconds)}
            return response(Problem(Kind.UNAVAILABLE, str(error), headers=after))

    async def _keep(self, body: bytes) -> Response:
        try:
            identity = notices.identify(body)
        except NotAnEvent as error:
            await self._keeping.quarantine(Unreadable(str(error), body))
            return response(Problem(Kind.INVALID_REQUEST, f"signed, but no event: {error}"))
        await self._keeping.keep(Received(identity, body))
        return Response(json.dumps({"received": identity.event_id}), media_type="application/json")
