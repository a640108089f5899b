"""A role as a stranger meets it: a port to send bytes to; what came back; and whether anything came of it."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests import deliveries
from tests.stage import Running, Stage, fetch, order

HOST = b"Host: pay.example"
PROBLEM = "urn:counterfoil:problem:"
LARGEST_PROBLEM_BYTES = 2048

TALLY = """SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM attempts), (SELECT count(*) FROM facts),
    (SELECT count(*) FROM notices WHERE deliveries > 0), (SELECT count(*) FROM quarantine)"""

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer on a connection that was then closed; ``raw`` is all that came."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes

    def said(self) -> Any:
        """Return the JSON of the body."""
        return json.loads(self.body)


class Sent(Protocol):
    """Makes the bytes of a row for a door: its genuine request, but for what is hostile in it."""

    def __call__(self, door: "Door", /) -> bytes:
        """Return the bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One hostile input and its answer, which must not repeat what is ``hostile``.

    ``variant`` says which of several it is, ``put_aside`` how many deliveries are in quarantine for it, and ``reason``
    which of several an answer of its kind names.
    """

    id: str
    sent: Sent
    status: int = 400
    kind: str = "invalid-request"
    hostile: Sequence[bytes] = ()
    variant: str = ""
    put_aside: int = 0
    reason: str | None = None

    def shown(self) -> str:
        """Return its name among the tests."""
        return f"{self.id}-{self.variant}" if self.variant else self.id


@dataclass(frozen=True, slots=True)
class Door:
    """A role's way in: where a genuine request goes, what proves it genuine, and what it says."""

    stage: Stage
    running: Running
    target: bytes
    proof: Callable[[bytes], Sequence[bytes]]
    genuine: Callable[[str], bytes]
    method: bytes = b"POST"

    def request(
        self,
        body: bytes | None = None,
        *more: bytes,
        line: bytes = b"",
        without: Iterable[bytes] = (),
    ) -> bytes:
        """Return a request on a connection of its own: with this body, further header lines, without those named."""
        body = self.genuine(f"hostile-{next(_NUMBERS)}") if body is None else body
        usual = [HOST, *self.proof(body), b"Content-Length: %d" % len(body), b"Connection: close"]
        kept = [one for one in usual if one.partition(b":")[0] not in without]
        return b"\r\n".join([line or b"%b %b HTTP/1.1" % (self.method, self.target), *kept, *more, b"", b""]) + body

    async def send(self, *parts: bytes, pause_seconds: float = 0.0, half_close: bool = False) -> Answer:
        """Send bytes on a fresh connection and return the answer; fails unless the connection is then closed."""
        return await exchanged(self.running.url, *parts, pause_seconds=pause_seconds, half_close=half_close)

    async def serves(self) -> None:
        """Fail unless a genuine request on a fresh connection is answered as ever."""
        answer = await self.send(self.request(self.genuine(f"genuine-{next(_NUMBERS)}")))
        assert answer.status == 200, answer.raw

    async def tally(self) -> tuple[Any, ...]:
        """Return how many payments, attempts, facts, delivered and quarantined notices there are; the last sent."""
        (counts,) = await fetch(self.stage, TALLY)
        return *counts, (await self.last_sent()).get("id")

    async def last_sent(self) -> dict[str, Any]:
        """Return the last request of ours that could move anything at Stripe; empty before the first.

        What a worker only asks, such as for events that were missed, it asks in its own time.
        """
        question = b"GET /_sandbox/requests?limit=100 HTTP/1.1\r\n%b\r\nConnection: close\r\n\r\n" % HOST
        log = (await exchanged(self.stage.sandbox_url, question)).said()["requests"]
        sent = [one for one in log if one["method"] != "GET"]
        return dict(sent[-1]) if sent else {}

    async def refuses(self, row: Row) -> Answer:
        """Send a row: it is refused as it says, nothing repeats it, nothing comes of it, and the next is served."""
        *before, quarantined, sent = await self.tally()
        answer = await self.send(row.sent(self))
        is_refusal(answer, row)
        assert (*before, quarantined + row.put_aside, sent) == await self.tally()
        await self.serves()
        return answer

    async def accepts(self, sent: bytes) -> Answer:
        """Send what only looks hostile: it is answered 200 as JSON over HTTP/1.1, and the next is served."""
        answer = await self.send(sent)
        assert (answer.status, answer.headers.get("content-type")) == (200, "application/json"), answer.raw
        assert answer.raw.startswith(b"HTTP/1.1 ")
        await self.serves()
        return answer


async def exchanged(url: str, *parts: bytes, pause_seconds: float = 0.0, half_close: bool = False) -> Answer:
    """Send bytes part by part to where a URL leads; return the answer, once the other side has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    heard = asyncio.create_task(_everything(reader))
    try:
        with contextlib.suppress(ConnectionError):  # refused before all was sent
            for part in parts:
                if heard.done():
                    break
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
            if half_close:
                writer.write_eof()
        return parsed(await asyncio.wait_for(heard, 60))
    finally:
        writer.close()


def is_refusal(answer: Answer, row: Row) -> None:
    """Fail unless the answer is the problem document of the row, no larger than one may be, without what was sent."""
    said = answer.said()
    assert (row.status, row.status, PROBLEM + row.kind) == (answer.status, said["status"], said["type"])
    assert row.reason in (None, said.get("reason"))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["request-id"]
    assert len(answer.body) <= LARGEST_PROBLEM_BYTES
    told = answer.raw.replace(answer.headers["request-id"].encode(), b"")  # in which chance may write anything
    assert [piece for piece in (*row.hostile, b"hostile") if piece in told] == []


def body(sent: bytes, *more: bytes, without: Iterable[bytes] = ()) -> Sent:
    """Return what makes a genuine request with another body."""
    return lambda door: door.request(sent, *more, without=without)


def raw(name: str = "hostile", **changes: str) -> bytes:
    """Return the bytes of an order in which these values stand as they are, even if they are no JSON."""
    fields = {field: json.dumps(value) for field, value in order(name).items()} | changes
    return ("{" + ",".join(f'"{field}":{value}' for field, value in fields.items()) + "}").encode()


def without(field: str) -> bytes:
    """Return the bytes of an order that lacks a field."""
    return json.dumps({name: value for name, value in order("hostile").items() if name != field}).encode()


def parsed(answer: bytes) -> Answer:
    """Return the last of the answers in these bytes."""
    head, _, rest = answer.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert int(headers["content-length"]) == len(rest)
    return Answer(int(status.split()[0]), headers, rest, answer)


def charging(stage: Stage, running: Running, token: bytes) -> Door:
    """Return the door of a gateway."""
    authority = [b"Authorization: Bearer " + token, b"Content-Type: application/json"]
    return Door(stage, running, b"/charge", lambda _body: authority, raw)


def delivering(stage: Stage, running: Running) -> Door:
    """Return the door of a receiver."""

    def signed(body: bytes) -> Sequence[bytes]:
        return [f"{name}: {value}".encode() for name, value in deliveries.signed(body).items()]

    return Door(stage, running, b"/webhooks/stripe", signed, lambda name: deliveries.encoded(deliveries.event(name)))


def watching(stage: Stage, running: Running) -> Door:
    """Return the door of a role that listens for those who watch it, and for nobody else."""
    return Door(stage, running, b"/healthz", lambda _body: [], lambda _name: b"", b"GET")


async def _everything(reader: asyncio.StreamReader) -> bytes:
    heard = b""
    with contextlib.suppress(ConnectionResetError):  # what we had not sent yet was refused
        while some := await reader.read(65_536):
            heard += some
    return heard
