"""How bytes become requests: uvicorn's httptools protocol, with limits on everything a stranger may send.

By itself it reads a header block of any size, a body of any size, and waits for ever for whoever says nothing. Here

- a request reaches the application whole or not at all: its body is read first, within a limit and a deadline, so that
  no slow sender ever holds a task, a database connection or a lock of ours;
- what is refused is answered with a problem document and the connection closed, since where the next request would
  begin can no longer be trusted;
- connections are capped: a newcomer takes the place of the one that has been idle longest.

The parser (llhttp) itself refuses two lengths, a length beside chunks, bare line feeds, folded headers and the like.
"""

import asyncio
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from counterfoil.roles.problems import CONTENT_TYPE, Kind, Problem

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

PIECE_BYTES = 4096  # the parser is fed so much at a time: the limits are noticed at most that late
LINGER_SECONDS = 0.5  # after a refusal: closing at once would reset the connection, and the answer might be lost
DRAIN_IDLE_SECONDS = 0.25  # while draining: an idle connection may have a request on the way to us

MALFORMED = Problem(Kind.INVALID_REQUEST, "this is not HTTP as we read it")
TOO_SLOW = Problem(Kind.INVALID_REQUEST, "the request did not arrive in time", status=408)
HEAD_TOO_LARGE = Problem(Kind.TOO_LARGE, "the header block is too large", status=431)
TOO_MANY_HEADERS = Problem(Kind.TOO_LARGE, "there are too many headers", status=431)
BODY_TOO_LARGE = Problem(Kind.TOO_LARGE, "the body is too large")
ENCODED_BODY = Problem(Kind.INVALID_REQUEST, "send the body as it is, without a Content-Encoding", status=415)
BAD_HOST = Problem(Kind.INVALID_REQUEST, "one well-formed Host header is required")
MISDIRECTED = Problem(Kind.INVALID_REQUEST, "this server does not answer for that host", status=421)
NO_TUNNELS = Problem(Kind.INVALID_REQUEST, "this server makes no tunnels")
FULL = Problem(Kind.UNAVAILABLE, "too many connections; try again soon", headers={"Retry-After": "1"})

HOST = re.compile(rb"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost, each with its reason.

    Attributes:
        head_bytes: Request line and headers together: eight times what browsers and proxies send.
        headers: Number of headers; a hash table of thousands is an attack, not a request.
        receive_seconds: From the connection, or a request's first byte, to the request's last byte.
        keep_alive_seconds: Of an idle connection: longer than a load balancer's 60 s, so that it closes first and
            never sends a request into a connection that we are closing.
        connections: At once; see `serving` for how it yields to the limit of open files.
    """

    head_bytes: int = 16 * 1024
    headers: int = 100
    receive_seconds: float = 10.0
    keep_alive_seconds: int = 75
    connections: int = 2048


@dataclass(frozen=True, slots=True)
class Rules:
    """What all connections of one server share.

    Attributes:
        body_bytes: Largest body: each application has its own by contract. Chunks are counted with their framing.
        limits: The rest of the limits.
        allowed_hosts: Lower-case names that we answer for; none means any.
        new_request_id: Source of request ids.
        idle: The connections with no request on them, longest idle first.
    """

    body_bytes: int
    limits: Limits
    allowed_hosts: frozenset[bytes]
    new_request_id: Callable[[], str]
    idle: "dict[BoundedProtocol, None]" = field(default_factory=dict)


class Phase(Enum):
    """What the next byte of a connection belongs to."""

    BETWEEN = "between requests"
    HEAD = "request line or headers"
    BODY = "body"


class _StopParsingError(Exception):
    """Ends the parser's current feed; which problem it was is kept beside it."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Made by uvicorn for each, with the server's rules bound beforehand."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        rules: Rules,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._rules = rules
        self._limits = rules.limits
        self._chunked_bytes = rules.body_bytes + rules.limits.head_bytes  # a body with its framing and trailers
        self._phase = Phase.BETWEEN
        self._messages = 0
        self._header_count = 0
        self._head_bytes = 0  # as parsed
        self._raw_bytes = 0  # of the head, or of a chunked body: as received
        self._body_length: int | None = None  # None: chunked
        self._body_bytes = 0
        self._unanswered = 0  # requests that have an answer to come, the one being read included
        self._unread: tuple[RequestResponseCycle, Any] | None = None  # the request whose body is being read
        self._why: Problem | None = None  # set by a callback that stops the parser
        self._refusal: Problem | None = None
        self._draining = False
        self._deadline: asyncio.TimerHandle | None = None
        self._parting: asyncio.TimerHandle | None = None

    # The connection.

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the parent
        super().connection_made(transport)
        self._start_deadline()
        self._rules.idle[self] = None
        if len(self.connections) > self._limits.connections:
            longest_idle = next(iter(self._rules.idle))
            if longest_idle is self:
                self._refuse(FULL)
            else:
                del self._rules.idle[longest_idle]
                longest_idle.transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        if self._parting is not None:
            self._parting.cancel()
        self._rules.idle.pop(self, None)
        self._unread = None
        super().connection_lost(exc)

    @override
    def eof_received(self) -> bool:  # type: ignore[override]  # the event loop asks for a truth value
        """Whether to keep our direction open: as long as an answer to a whole request is to come."""
        if self._phase is not Phase.BETWEEN or not self._unanswered:
            return False
        self.cycle.keep_alive = False
        return True

    @override
    def shutdown(self) -> None:
        self._draining = True
        if self._refusal is not None:
            return  # closes by itself
        if self._phase is Phase.BETWEEN and not self._unanswered:
            self._parting = self.loop.call_later(DRAIN_IDLE_SECONDS, self._close_if_idle)
        elif self._unanswered:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._phase is Phase.BETWEEN and not self._unanswered:
            self.transport.close()

    # Bytes in.

    @override
    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._unset_keepalive_if_required()
        if self._deadline is None:
            self._start_deadline()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._feed(rest[: self._appetite()]) :]
        except httptools.HttpParserError:
            self._refuse(self._why or MALFORMED)

    def _appetite(self) -> int:
        """How much to feed next: of a body whose length is known, all that is left of it; else a small piece."""
        if self._phase is Phase.BODY and self._body_length is not None:
            return max(self._body_length - self._body_bytes, 1)
        return PIECE_BYTES

    def _feed(self, piece: memoryview) -> int:
        """Give the parser a piece and count it; return how much of it was taken."""
        before = (self._messages, self._phase)
        taken = len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            taken = upgrade.args[0]
            self._read_anew()
        # Counted only against the head or body that was being read from the piece's first byte on.
        if (self._messages, self._phase) == before or before == (self._messages - 1, Phase.BETWEEN):
            self._raw_bytes += taken
        if self._phase is Phase.HEAD and self._raw_bytes >= self._limits.head_bytes:
            self._why = HEAD_TOO_LARGE
        elif self._phase is Phase.BODY and self._body_length is None and self._raw_bytes > self._chunked_bytes:
            self._why = BODY_TOO_LARGE
        if self._why is not None:
            raise httptools.HttpParserError
        return taken

    def _read_anew(self) -> None:
        """Read a head again without its wish to upgrade, which we ignore as HTTP allows.

        The parser takes such a wish for granted: to it, what follows is another protocol and no body. Java's client
        asks for h2c with every first request, bodies included.
        """
        lines = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the parent does
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    # What the parser finds.

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._rules.idle.pop(self, None)
        self._phase = Phase.HEAD
        self._messages += 1
        self._header_count = self._head_bytes = self._raw_bytes = self._body_bytes = 0
        self._body_length = 0
        self.scope["state"]["request_id"] = self._rules.new_request_id()
        if self._deadline is None:
            self._start_deadline()

    @override
    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not Phase.HEAD:
            return  # a trailer: nothing after the body may pass for a header
        self._header_count += 1
        self._head_bytes += len(name) + len(value) + len(b": \r\n")
        if self._header_count > self._limits.headers:
            self._stop(TOO_MANY_HEADERS)
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._inspect_head()
        if self.parser.should_upgrade():
            return  # to be read anew
        self._phase = Phase.BODY
        self._raw_bytes = 0
        super().on_headers_complete()
        self._unanswered += 1

    @override
    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._rules.body_bytes:
            self._stop(BODY_TOO_LARGE)
        # No pausing as the parent does: the application is not asked before the body is whole, and the limit holds.
        self.cycle.body += body

    @override
    def on_message_complete(self) -> None:
        if self._phase is Phase.HEAD:
            return  # to be read anew
        self._phase = Phase.BETWEEN
        self._stop_deadline()
        super().on_message_complete()
        if self._unread is not None:
            (cycle, app), self._unread = self._unread, None
            self._start_asgi_task(cycle, app)

    def _inspect_head(self) -> None:
        """Refuse a request for what its headers say, before any of its body is read."""
        if self._head_bytes > self._limits.head_bytes:
            self._stop(HEAD_TOO_LARGE)
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            self._stop(MALFORMED)
        if self.parser.get_method() == b"CONNECT":
            self._stop(NO_TUNNELS)
        hosts = []
        for name, value in self.headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                self._body_length = int(value)
            elif name == b"transfer-encoding":
                self._body_length = None
            elif name == b"content-encoding" and value.strip().lower() != b"identity":
                self._stop(ENCODED_BODY)
        if self._body_length is not None and self._body_length > self._rules.body_bytes:
            self._stop(BODY_TOO_LARGE)
        self._inspect_host(hosts)

    def _inspect_host(self, hosts: list[bytes]) -> None:
        """Require one Host (HTTP/1.0 may have none), well formed, that we answer for, and no other in the target."""
        if not hosts and self.parser.get_http_version() == "1.0" and not self._rules.allowed_hosts:
            return
        match = HOST.fullmatch(hosts[0].strip()) if len(hosts) == 1 else None
        if match is None:
            self._stop(BAD_HOST)
            return
        name = match["name"].lower()
        if self._rules.allowed_hosts and name not in self._rules.allowed_hosts:
            self._stop(MISDIRECTED)
        target = b"" if self.url.startswith((b"/", b"*")) else httptools.parse_url(self.url).host or b""
        if target and target.lower() != name.strip(b"[]"):
            self._stop(BAD_HOST)

    def _stop(self, why: Problem) -> None:
        self._why = why
        raise _StopParsingError

    # Requests out.

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle is self.cycle and self._phase is Phase.BODY:
            self._unread = (cycle, app)
            if cycle.waiting_for_100_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                cycle.waiting_for_100_continue = False
            return
        cycle.waiting_for_100_continue = False
        cycle.default_headers = [*cycle.default_headers, _request_id_header(cycle.scope["state"]["request_id"])]
        if self._draining and cycle is self.cycle:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    @override
    def on_response_complete(self) -> None:
        self._unanswered -= 1
        super().on_response_complete()
        if self._unanswered or self.transport.is_closing():
            return
        if self._refusal is not None:
            self._part()
        elif self._phase is Phase.BETWEEN:
            self._rules.idle[self] = None

    # Refusals.

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(MALFORMED)

    def _refuse(self, problem: Problem) -> None:
        """Read no further; answer with the problem as soon as the requests before it have been answered."""
        self._refusal = problem
        self._stop_deadline()
        self._rules.idle.pop(self, None)
        self.flow.pause_reading()
        if self._phase is Phase.BODY:
            # The request whose body we were reading: it has not been given to the application, and will not be.
            if self._unread is None:
                self.pipeline.popleft()
            self._unread = None
            self._unanswered -= 1
        if not self._unanswered and not self.transport.is_closing():
            self._part()

    def _part(self) -> None:
        """Write the refusal, say that nothing follows it, and close a little later."""
        problem = self._refusal or MALFORMED
        self._unset_keepalive_if_required()
        body = problem.body()
        begun = self.scope["state"] if self._messages else {}
        headers = [
            *self.server_state.default_headers,
            _request_id_header(begun.get("request_id") or self._rules.new_request_id()),
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[problem.status_code] + head + b"\r\n" + body)
        self.transport.write_eof()
        self._parting = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    # The deadline.

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self._limits.receive_seconds, self._on_deadline)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self._start_deadline()  # it is we who do not listen, because earlier requests are being answered
        elif self._phase is not Phase.BETWEEN or not self._messages:
            self._refuse(TOO_SLOW)
        elif not self._unanswered:
            self.transport.close()  # bytes between requests that never became one


def _request_id_header(request_id: str) -> tuple[bytes, bytes]:
    return (b"request-id", request_id.encode())
