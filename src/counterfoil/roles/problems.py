"""Problem documents: the one form in which every role says no (RFC 9457, `application/problem+json`).

The kinds are the contract's list. A document is at most 2 KiB and never holds what was sent, for what was sent may be a
secret: sentences are ours, and the name of a field is shown only where it looks like a name.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

CONTENT_TYPE = "application/problem+json"
DOCUMENT_BYTES = 2048  # by contract: an error never costs more than the request it answers
DETAIL_CHARACTERS = 300  # two sentences; what is longer belongs in the documentation
DETAIL_BYTES = 900  # of its JSON, where a character may take six: half of the document is for who it is about
FIELD_CHARACTERS = 120

# A dotted path of names and list positions, without a run of digits that could be a card or account number.
FIELD_NAME = re.compile(r"(?!.*\d{7})[A-Za-z_][\w-]*(\[\w*\]|\.[\w-]+)*", re.ASCII)

URN = "urn:counterfoil:problem:"  # what the type of every problem begins with


class Kind(Enum):
    """The kinds of problem: (last part of the type's URN, usual status, title)."""

    INVALID_REQUEST = ("invalid-request", 400, "The request is not of the expected shape")
    CARD_DATA_NOT_ACCEPTED = ("card-data-not-accepted", 400, "Card data is not accepted")
    UNAUTHORIZED = ("unauthorized", 401, "No valid credentials")
    CARD_DECLINED = ("card-declined", 402, "The payment was declined")
    FORBIDDEN = ("forbidden", 403, "The credentials do not allow this")
    NOT_FOUND = ("not-found", 404, "There is no such thing here")
    WRONG_STATE = ("wrong-state", 409, "The payment's state does not allow this")
    IN_PROGRESS = ("in-progress", 409, "The same request is being worked on")
    TOO_LARGE = ("too-large", 413, "The request is too large")
    IDEMPOTENCY_KEY_REUSED = ("idempotency-key-reused", 422, "The key was used for another request")
    ORDER_HAS_PAYMENT = ("order-has-payment", 422, "The order has a payment already")
    AMOUNT_REFUSED = ("amount-refused", 422, "The amount cannot be charged")
    METHOD_REFUSED = ("method-refused", 422, "The payment method cannot be used")
    RATE_LIMITED = ("rate-limited", 429, "Too many requests")
    UNAVAILABLE = ("unavailable", 503, "Not available now")

    @property
    def urn(self) -> str:
        """The problem's `type`."""
        return URN + self.value[0]

    @property
    def status(self) -> int:
        """The status that answers of this kind have unless a problem says otherwise."""
        return self.value[1]

    @property
    def title(self) -> str:
        """The same words for every problem of the kind."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal.

    Attributes:
        kind: Which of the contract's.
        detail: One sentence of our own that says what to do; nothing that was sent.
        field: Dotted path of the field at fault, or None.
        status: HTTP status, where it is not the kind's own (408, 415, 421, 431 … are kinds of an invalid request).
        extra: Further members, such as `decline_code`; of our making or the processor's, never the caller's.
        headers: Further response headers, such as `Retry-After`.
    """

    kind: Kind
    detail: str
    field: str | None = None
    status: int | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def status_code(self) -> int:
        """The HTTP status of the answer."""
        return self.kind.status if self.status is None else self.status

    def body(self) -> bytes:
        """The document, at most 2 KiB: its detail is cut, and what is too long yet loses its longest extra members.

        Ids are the last to go, for with them everything else can be asked for.
        """
        named = {"field": self.field} if self.field is not None and _is_name(self.field) else {}
        own = {
            "type": self.kind.urn,
            "title": self.kind.title,
            "status": self.status_code,
            "detail": _cut(self.detail),
            **named,
        }
        extra = dict(self.extra)
        while len(document := _encoded({**extra, **own})) > DOCUMENT_BYTES:
            del extra[max(extra, key=lambda name: (not name.endswith("_id"), len(_encoded(extra[name]))))]
        return document


def response(problem: Problem) -> Response:
    """Answer with a problem; the result is an ASGI application, as every Starlette response."""
    return Response(
        problem.body(), status_code=problem.status_code, headers=dict(problem.headers), media_type=CONTENT_TYPE
    )


async def on_error(_request: Request, error: Exception) -> Response:
    """Turn what the router itself refuses (no such path, wrong method), and what nobody expected, into a problem.

    The error's own words are not repeated. See `EXCEPTION_HANDLERS`.
    """
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == HTTPStatus.NOT_FOUND:
        return response(Problem(Kind.NOT_FOUND, "no such path"))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        sentence = "this path does not know that method; the Allow header names those it knows"
        return response(Problem(Kind.INVALID_REQUEST, sentence, status=status, headers=headers))
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return response(Problem(Kind.INVALID_REQUEST, HTTPStatus(status).description, status=status, headers=headers))
    return response(FAILED_HERE)


# For every Starlette or FastAPI application of ours: `exception_handlers=EXCEPTION_HANDLERS`.
EXCEPTION_HANDLERS: dict[Any, Any] = {HTTPException: on_error, Exception: on_error}

# What an error of our own making is answered with: it is safe to ask again, for every write is idempotent.
FAILED_HERE = Problem(Kind.UNAVAILABLE, "the request failed on our side; send it again with the same key", status=500)


def _is_name(text: str) -> bool:
    return len(text) <= FIELD_CHARACTERS and FIELD_NAME.fullmatch(text) is not None


def _cut(detail: str) -> str:
    cut = detail[:DETAIL_CHARACTERS]
    while len(_encoded(cut)) > DETAIL_BYTES:
        cut = cut[:-1]
    return cut


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
