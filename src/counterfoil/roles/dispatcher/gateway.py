"""The way to the gateway: an order goes there as it came, and how it was answered comes back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from counterfoil.messages import trace_context
from counterfoil.roles.problems import URN
from counterfoil.runtime.secret import Secret

ANSWER_SECONDS: Final = 40.0
"""``/charge`` answers within 35 s; the rest is for the way."""

CONNECT_SECONDS: Final = 5.0
READY_SECONDS: Final = 3.0
"""A gateway says within 2 s whether it is ready."""

LONGEST_SECONDS: Final = 60.0
"""No ``Retry-After`` of the gateway's is longer; what asks for more is not believed."""

NO_ANSWER: Final = 0
"""Stands for the status where there was none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How an order was answered.

    Attributes:
        status: of HTTP, or NO_ANSWER.
        kind: which problem it is, the last part of its URN; empty where it is none of ours.
        detail: the sentence with it, or why there was no answer.
        has_payment: whether it names a payment.
        retry_after_seconds: when to ask again, if it says so.
    """

    status: int
    kind: str = ""
    detail: str = ""
    has_payment: bool = False
    retry_after_seconds: float = 0.0


class Gateway:
    """Brings orders to the gateway, and asks whether it is ready."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def charge(self, order: bytes, traceparent: str | None) -> Answer:
        """Bring an order there, as it came, with the trace that it came with."""
        headers = {} if traceparent is None else {trace_context.HEADER: traceparent}
        to = f"{self._url}/charge"
        try:
            async with self._session.post(to, data=order, headers=headers, allow_redirects=False) as response:
                body = await response.read()
                return _answer(response.status, body, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Answer(NO_ANSWER, detail=f"no answer ({type(error).__name__})")

    async def is_ready(self) -> bool:
        """Say whether the gateway can take orders now, in its own words.

        On a restored database it is ready, to be asked how far that is, and takes none: all its checks have to be well.
        """
        patience = aiohttp.ClientTimeout(total=READY_SECONDS)
        try:
            async with self._session.get(f"{self._url}/readyz", timeout=patience, allow_redirects=False) as response:
                checks = _object(await response.read()).get("checks")
                well = not isinstance(checks, dict) or all(found == "ok" for found in checks.values())
                return response.status == 200 and well  # noqa: PLR2004 - OK, as in the pages
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


@asynccontextmanager
async def open_gateway(url: str, token: Secret) -> AsyncIterator[Gateway]:
    """Yield the way to the gateway there; it takes as many orders at once as are brought."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
        headers={"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json"},
    ) as session:
        yield Gateway(session, url)


def _answer(status: int, body: bytes, retry_after: str) -> Answer:
    told = _object(body)
    kind = told.get("type")
    detail = told.get("detail")
    return Answer(
        status,
        kind.removeprefix(URN) if isinstance(kind, str) and kind.startswith(URN) else "",
        detail if isinstance(detail, str) else "",
        has_payment=isinstance(told.get("payment_id"), str),
        retry_after_seconds=min(float(retry_after), LONGEST_SECONDS) if retry_after.isdecimal() else 0.0,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
