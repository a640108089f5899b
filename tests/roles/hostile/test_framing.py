"""Bytes that are no proper request (group H of the vectors), sent to the gateway and the receiver alike."""

import asyncio
import gzip
import socket
import struct
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from tests.roles.hostile.door import HOST, Answer, Door, Row, Sent, is_refusal, raw
from tests.stage import becomes, fetch

TOO_LARGE = "too-large"
MIB = 1024 * 1024
TARGETS = [b"charge", b"webhook"]


def framed(*lines: bytes, instead_of: bytes = b"") -> Sent:
    """Return what makes a genuine request with these header lines in place of another."""
    return lambda door: door.request(None, *lines, without=[instead_of])


def chunked(rest: bytes) -> Sent:
    """Return what makes a genuine request in chunks, of which this is the rest after the first."""

    def sent(door: Door) -> bytes:
        head, _, body = framed(b"Transfer-Encoding: chunked", instead_of=b"Content-Length")(door).partition(b"\r\n\r\n")
        return head + b"\r\n\r\n%x\r\n%b\r\n" % (len(body), body) + rest

    return sent


def pathed(line: bytes) -> Sent:
    """Return what makes a genuine request under another request line, into which the target goes."""
    return lambda door: door.request(line=line % door.target)


def bomb(door: Door) -> bytes:
    return door.request(gzip.compress(b"0" * 4 * MIB)[:8192], b"Content-Encoding: gzip")


REFUSED = [
    Row("H02", lambda door: door.request(None, b"Content-Length: 3")),
    Row("H03", framed(b"Content-Length: +2", instead_of=b"Content-Length")),
    Row("H04", framed(b"Content-Length: -1", instead_of=b"Content-Length")),
    Row("H05", framed(b"Content-Length: 2,2", instead_of=b"Content-Length")),
    Row("H07", framed(b"Transfer-Encoding: xchunked", instead_of=b"Content-Length"), hostile=[b"xchunked"]),
    Row("H10", lambda door: door.request().replace(b"\r\n", b"\n")),
    Row("H11", framed(b"Host : pay.example", instead_of=b"Host")),
    Row("H12", framed(b"X-Folded: one\r\n two"), hostile=[b"Folded"]),
    Row("H15", framed(b"Host: pay.example")),
    Row("H17", framed(b"X-Long: " + b"x" * 65536), 431, TOO_LARGE, [b"xx"]),
    Row("H18", framed(*(b"X-%d: 1" % number for number in range(1000))), 431, TOO_LARGE, [b"X-9"]),
    Row("H20", lambda _door: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64),
    Row("H24", bomb, 415, hostile=[b"gzip"]),
    Row("H39", lambda door: b"GET %b\r\n\r\n" % door.target, variant="HTTP/0.9"),
]

MISDIRECTED = [Row("H16", framed(b"Host: evil.example", instead_of=b"Host"), 421, hostile=[b"evil"])]

AT_THE_GATEWAY = [
    *MISDIRECTED,
    Row("H09", chunked(b"2;" + b"x" * MIB + b"\r\n{}\r\n0\r\n\r\n"), 413, TOO_LARGE, [b"xx"]),
    Row("H21", lambda door: door.request(b" " * (8 * MIB)), 413, TOO_LARGE),
    Row(
        "H21", chunked(b"10000\r\n%b\r\n" % (b" " * 0x10000) * 128 + b"0\r\n\r\n"), 413, TOO_LARGE, variant="in-chunks"
    ),
]

AT_THE_RECEIVER = [
    *MISDIRECTED,
    # The bytes of an extension count as the body's, whose limit is larger here.
    Row("H09", chunked(b"2;" + b"x" * (2 * MIB) + b"\r\n{}\r\n0\r\n\r\n"), 413, TOO_LARGE, [b"xx"]),
    Row("H23", lambda door: door.request(b"x" * (MIB + 1)), 413, TOO_LARGE, [b"xx"]),
]

PATHS = [
    Row("H37", pathed(b"POST /%b HTTP/1.1"), 404, "not-found", TARGETS, "two-slashes"),
    Row("H37", pathed(b"POST %b/ HTTP/1.1"), 404, "not-found", TARGETS, "one-more"),
    Row("H37", pathed(b"POST /%%2e%%2e%b HTTP/1.1"), 404, "not-found", [*TARGETS, b"..", b"%2e"], "escaped"),
]


@pytest.mark.parametrize("row", [*REFUSED, *AT_THE_GATEWAY, *PATHS], ids=Row.shown)
async def test_the_gateway_refuses_what_is_no_request(gateway: Door, row: Row) -> None:
    """However good the order in it, it is a problem and the end of the connection; nothing comes of it."""
    await gateway.refuses(row)


@pytest.mark.parametrize("row", [*REFUSED, *AT_THE_RECEIVER, *PATHS], ids=Row.shown)
async def test_the_receiver_refuses_what_is_no_request(receiver: Door, row: Row) -> None:
    """However genuine the signature, it is a problem and the end of the connection; nothing is kept."""
    await receiver.refuses(row)


@pytest.mark.parametrize("row", REFUSED, ids=Row.shown)
async def test_the_worker_refuses_what_is_no_request(worker: Door, row: Row) -> None:
    """The port that only tells how the process is reads no worse than the others."""
    await worker.refuses(row)


ACCEPTED = [
    Row("H36", framed(b"X-HTTP-Method-Override: DELETE")),
    Row("H38", framed(b"X-Forwarded-For: 203.0.113.9", b"Forwarded: for=203.0.113.9")),
    Row(
        "H39",
        lambda door: door.request(
            None, b"Connection: keep-alive", line=b"POST %b HTTP/1.0" % door.target, without=[b"Connection"]
        ),
    ),
    Row(
        "H40",
        framed(
            b"Connection: Upgrade, HTTP2-Settings, close",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABk",
            instead_of=b"Connection",
        ),
    ),
]


@pytest.mark.parametrize("row", ACCEPTED, ids=Row.shown)
async def test_what_asks_for_something_we_do_not_do_is_served_as_if_it_did_not(
    gateway: Door, receiver: Door, row: Row
) -> None:
    """Overrides, forwarded addresses and upgrades change nothing, are logged nowhere, and the connection ends."""
    for door in (gateway, receiver):
        answer = await door.accepts(row.sent(door))
        assert b"203.0.113.9" not in answer.raw
        assert "203.0.113.9" not in door.running.log()


async def test_h29_who_stops_sending_is_still_answered(gateway: Door, receiver: Door) -> None:
    """A client that closes its direction after the request gets its answer, then the connection ends."""
    for door in (gateway, receiver):
        answer = await door.send(door.request(door.genuine("half")), half_close=True)
        assert answer.status == 200
        await door.serves()


async def test_h26_who_dawdles_is_told_so(gateway: Door, receiver: Door) -> None:
    """A head or body sent byte by byte, or never, is answered 408 when the receive deadline ends; all at once here."""

    async def slow(door: Door, at_once: bytes, rest: bytes) -> tuple[Door, Answer]:
        parts = [at_once, *(rest[place : place + 1] for place in range(len(rest)))]
        return door, await door.send(*parts, pause_seconds=1.0)

    before = [await door.tally() for door in (gateway, receiver)]
    asked = []
    for door in (gateway, receiver):
        sent = door.request()
        head = sent.index(b"\r\n\r\n") + 4
        asked += [slow(door, sent[:place], sent[place:]) for place in (0, head - 30, head, head + 30)]
        asked.append(slow(door, b"", b""))
    for door, answer in await asyncio.gather(*asked):
        is_refusal(answer, Row("H26", Door.request, 408))
        assert door.running.process.poll() is None

    assert before == [await door.tally() for door in (gateway, receiver)]
    for door in (gateway, receiver):
        await door.serves()


async def test_h28_five_hundred_idle_connections_cost_nobody_anything(gateway: Door, receiver: Door) -> None:
    """While they are held open probes and requests are answered as ever."""
    for door in (gateway, receiver):
        port = urlsplit(door.running.url).port
        async with AsyncExitStack() as held:
            for _ in range(500):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                held.callback(writer.close)
            probe = await door.send(b"GET /healthz HTTP/1.1\r\n%b\r\nConnection: close\r\n\r\n" % HOST)
            assert (probe.status, probe.said()) == (200, {"alive": True})
            await door.serves()


async def test_h30_a_reset_does_not_stop_the_work(gateway: Door, http: httpx.AsyncClient) -> None:
    """A client that resets while Stripe is at work is charged all the same, once, and nobody is woken for it."""
    sandbox = f"{gateway.stage.sandbox_url}/_sandbox"
    hold = f"{sandbox}/hold"
    await http.post(hold, json={"path": "/v1/payment_intents"})
    client = socket.create_connection(("127.0.0.1", urlsplit(gateway.running.url).port or 0))
    client.sendall(gateway.request(raw("reset")))
    held = (await http.get(f"{hold}?wait_seconds=30")).json()["held"]
    assert [one["idempotency_key"] for one in held] == ["event-reset"]

    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
    client.close()
    await http.delete(hold)

    await becomes(
        [("succeeded", 1999)],
        lambda: fetch(gateway.stage, "SELECT state, amount_captured FROM payments WHERE event_id = 'event-reset'"),
    )
    assert len((await http.get(f"{sandbox}/requests?idempotency_key=event-reset")).json()["requests"]) == 1
    await gateway.serves()
    assert '"level": "error"' not in gateway.running.log()
    assert "Traceback" not in gateway.running.log()
