"""Bytes from strangers, sent raw to a real port: what is refused, with which status, and that the connection ends."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from counterfoil.roles.framing import Limits

Start = Callable[..., Awaitable[Any]]

HOST = b"Host: pay.example\r\n"
POST = b"POST /charge HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def head(*headers: bytes, line: bytes = b"POST /charge HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *headers]) + b"\r\n\r\n"


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of an answer."""
    first, _, body = answer.partition(b"\r\n\r\n")
    line, *lines = first.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
    return int(line.split()[1]), headers, body


REFUSED = [
    pytest.param(head(HOST[:-2], b"Content-Length: 2", b"Content-Length: 3") + b"{}", 400, id="H02-two-lengths"),
    pytest.param(head(HOST[:-2], b"Content-Length: 2", b"Content-Length: 2") + b"{}", 400, id="two-equal-lengths"),
    pytest.param(head(HOST[:-2], b"Content-Length: +2") + b"{}", 400, id="H03-plus"),
    pytest.param(head(HOST[:-2], b"Content-Length: -1"), 400, id="H04-minus"),
    pytest.param(head(HOST[:-2], b"Content-Length: 2,2") + b"{}", 400, id="H05-list"),
    pytest.param(
        head(HOST[:-2], b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, id="length-and-chunks"
    ),
    pytest.param(head(HOST[:-2], b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", 400, id="H07-xchunked"),
    pytest.param(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400, id="chunk-size-not-hexadecimal"),
    pytest.param(CHUNKED + b"2;" + b"x" * (1024 * 1024) + b"\r\n{}\r\n0\r\n\r\n", 413, id="H09-chunk-extension"),
    pytest.param(b"POST /charge HTTP/1.1\nHost: pay.example\nContent-Length: 2\n\n{}", 400, id="H10-bare-line-feeds"),
    pytest.param(head(b"Host : pay.example"), 400, id="H11-space-before-colon"),
    pytest.param(head(HOST[:-2], b"X-Folded: one\r\n two"), 400, id="H12-folded"),
    pytest.param(head(b"Host: a.example", b"Host: b.example"), 400, id="H15-two-hosts"),
    pytest.param(head(b"X-Host: none"), 400, id="no-host"),
    pytest.param(head(b"Host: pay.example/@evil"), 400, id="host-with-a-path"),
    pytest.param(head(HOST[:-2], line=b"GET http://other.example/ HTTP/1.1"), 400, id="target-of-another-host"),
    pytest.param(head(HOST[:-2], b"X-Long: " + b"x" * 65536), 431, id="H17-one-header-of-64-KiB"),
    pytest.param(head(HOST[:-2], *(b"X-%d: %s" % (n, b"x" * 1000) for n in range(64))), 431, id="H17-64-of-1-KiB"),
    pytest.param(b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, id="long-target"),
    pytest.param(head(HOST[:-2], *(b"X-%d: 1" % n for n in range(1000))), 431, id="H18-1000-headers"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400, id="H20-TLS"),
    pytest.param(head(HOST[:-2], b"Content-Length: 65537"), 413, id="H21-length-over-the-limit"),
    pytest.param(CHUNKED + b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n", 413, id="chunks-over-the-limit"),
    pytest.param(CHUNKED + b"1\r\nx\r\n" * 20000 + b"0\r\n\r\n", 413, id="mostly-framing"),
    pytest.param(head(HOST[:-2], b"Content-Encoding: gzip", b"Content-Length: 2") + b"\x1f\x8b", 415, id="H24-gzip"),
    pytest.param(b"GET /\r\n\r\n", 400, id="H39-HTTP/0.9"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2-preface"),
    pytest.param(head(HOST[:-2], line=b"CONNECT pay.example:443 HTTP/1.1"), 400, id="tunnel"),
    pytest.param(head(HOST[:-2], line=b"GET /caf\xc3\xa9 HTTP/1.1"), 400, id="path-not-ASCII"),
]


@pytest.mark.parametrize(("sent", "status"), REFUSED)
async def test_what_is_not_proper_is_refused_and_the_connection_closed(server: Start, sent: bytes, status: int) -> None:
    """The answer is a problem document with the status, says it is the last, and repeats nothing of what was sent."""
    served = await server()

    answer = await served.send(sent)

    code, headers, body = parsed(answer)
    assert code == status
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["request-id"].startswith("request-")
    assert int(headers["content-length"]) == len(body) <= 2048
    assert json.loads(body)["status"] == status
    assert served.app.seen == []


ACCEPTED = [
    pytest.param(head(HOST[:-2], b"Content-Length: 2", b"Connection: close") + b"{}", b"2", id="plain"),
    pytest.param(head(HOST[:-2], *(b"X-%d: 1" % n for n in range(98)), b"Connection: close"), b"0", id="100-headers"),
    pytest.param(
        head(HOST[:-2], b"X-Long: " + b"x" * 16000, b"Connection: close"), b"0", id="a-header-block-near-16-KiB"
    ),
    pytest.param(
        head(HOST[:-2], b"Content-Length: 65536", b"Connection: close") + b"x" * 65536, b"65536", id="a-body-of-64-KiB"
    ),
    pytest.param(
        POST
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"2000\r\n%b\r\n" % (b"x" * 0x2000) * 8
        + b"0\r\n\r\n",
        b"65536",
        id="64-KiB-in-chunks",
    ),
    pytest.param(
        head(HOST[:-2], b"Content-Encoding: identity", b"Content-Length: 2", b"Connection: close") + b"{}",
        b"2",
        id="identity-is-no-encoding",
    ),
    pytest.param(head(HOST[:-2], line=b"POST http://pay.example/charge HTTP/1.0"), b"0", id="absolute-target"),
    pytest.param(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"0", id="H39-HTTP/1.0"),
    pytest.param(
        head(HOST[:-2], b"Connection: Upgrade, HTTP2-Settings, close", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        b"0",
        id="H40-h2c-is-ignored",
    ),
    pytest.param(
        head(HOST[:-2], b"Connection: Upgrade, close", b"Upgrade: h2c", b"Content-Length: 2") + b"{}",
        b"2",
        id="h2c-with-a-body-is-ignored",
    ),
    pytest.param(
        head(
            HOST[:-2],
            b"Connection: Upgrade, close",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==",
            line=b"GET / HTTP/1.1",
        ),
        b"0",
        id="websockets-are-off",
    ),
]


@pytest.mark.parametrize(("sent", "length"), ACCEPTED)
async def test_what_is_proper_is_answered(server: Start, sent: bytes, length: bytes) -> None:
    """What is within the limits, or only asks for something we do not do, is answered in HTTP/1.1 and closed."""
    served = await server()

    status, headers, body = parsed(await served.send(sent))

    assert (status, body) == (200, length + b" more=False")
    assert headers["connection"] == "close"


async def test_a_body_over_the_limit_is_not_read_to_its_end(server: Start) -> None:
    """Of 8 MiB in chunks the server takes little more than its limit before it answers 413."""
    served = await server()
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.settimeout(0)
        await loop.sock_sendall(client, CHUNKED)
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        sending = asyncio.ensure_future(loop.sock_sendall(client, chunk * 128))
        answer = await loop.sock_recv(client, 65536)
        unsent = not sending.done()
        sending.cancel()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert unsent


async def test_each_application_has_its_own_body_limit(server: Start) -> None:
    """One byte more than a limit of 1 MiB is refused, 1 MiB is not."""
    served = await server(body_limit_bytes=1024 * 1024)
    body = b"x" * (1024 * 1024)

    within = await served.send(head(HOST[:-2], b"Content-Length: 1048576", b"Connection: close") + body)
    beyond = await served.send(head(HOST[:-2], b"Content-Length: 1048577", b"Connection: close") + body + b"x")

    assert parsed(within)[2] == b"1048576 more=False"
    assert parsed(beyond)[0] == 413


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"pay.example", 200),
        (b"PAY.example:8080", 200),
        (b"[::1]:8080", 200),
        (b"evil.example", 421),
        (b"pay.example.evil.example", 421),
    ],
)
async def test_only_the_hosts_we_answer_for(server: Start, host: bytes, status: int) -> None:
    """With a list of hosts, another one is misdirected; letter case and port do not matter."""
    served = await server(allowed_hosts=["pay.example", "[::1]"])

    answer = await served.send(head(b"Host: " + host, b"Connection: close"))

    assert parsed(answer)[0] == status


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b""], id="silent"),
        pytest.param([b"\r\n"], id="an-empty-line"),
        pytest.param([b"POST /charge HTTP/1.1\r\nHost:"], id="half-a-head"),
        pytest.param([head(HOST[:-2], b"Content-Length: 9"), *([b"x"] * 8)], id="H26-a-dribbled-body"),
        pytest.param([bytes([byte]) for byte in POST], id="a-dribbled-head"),
    ],
)
async def test_who_does_not_finish_a_request_in_time_is_answered_408(server: Start, parts: list[bytes]) -> None:
    """The deadline runs from the connection to the request's last byte: sending a little now and then does not help."""
    served = await server()

    status, _, body = parsed(await served.send(*parts, pause_seconds=0.05))

    assert (status, json.loads(body)["status"]) == (408, 408)
    assert served.app.seen == []


async def test_the_deadline_is_for_receiving_only(server: Start) -> None:
    """A slow answer, and an idle connection after it, outlive the receive deadline; the next request has its own."""
    served = await server()
    served.app.gate.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    request = head(HOST[:-2], b"Content-Length: 2") + b"{}"

    writer.write(request)
    await asyncio.sleep(0.5)
    served.app.gate.set()
    first = await reader.readuntil(b"more=False")
    await asyncio.sleep(0.5)
    writer.write(request)
    second = await reader.readuntil(b"more=False")
    writer.write(request[:20])
    late = await reader.read()
    writer.close()

    assert [parsed(answer)[0] for answer in (first, second, late)] == [200, 200, 408]


async def test_requests_sent_together_are_answered_in_order(server: Start) -> None:
    """Three requests in one packet get three answers in their order, and what follows them is refused in its turn."""
    served = await server()
    requests = b"".join(head(HOST[:-2], b"Content-Length: %d" % n) + b"x" * n for n in (1, 2, 3))

    answer = await served.send(requests + b"not HTTP\r\n\r\n")

    found = [answer.find(words) for words in (b"1 more", b"2 more", b"3 more", b"HTTP/1.1 400")]
    assert sorted(found) == found
    assert -1 not in found


async def test_a_request_waits_for_an_earlier_answer_without_being_late(server: Start) -> None:
    """While we answer slowly we do not read: that cannot make the next request late."""
    served = await server()
    served.app.gate.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    second = head(HOST[:-2], b"Content-Length: 100000") + b"x" * 50000

    writer.write(head(HOST[:-2], b"Content-Length: 1") + b"x" + second[:200])
    await asyncio.sleep(0.6)
    served.app.gate.set()
    answer = await reader.read()
    writer.close()

    assert b"1 more=False" in answer
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 413 " in answer


async def test_who_expects_to_be_told_to_go_on_is_told(server: Start) -> None:
    """`Expect: 100-continue` gets its 100 before the body is sent, and a 413 instead when it would be too large."""
    served = await server()
    expecting = [HOST[:-2], b"Expect: 100-continue", b"Connection: close"]

    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(head(*expecting, b"Content-Length: 2"))
    go_on = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"{}")
    answer = await reader.read()
    writer.close()
    refused = await served.send(head(*expecting, b"Content-Length: 99999"))

    assert go_on == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert parsed(answer)[2] == b"2 more=False"
    assert parsed(refused)[0] == 413


async def test_trailers_are_no_headers(server: Start) -> None:
    """What comes after a chunked body never reaches the application as a header."""
    served = await server()

    answer = await served.send(
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    )

    assert parsed(answer)[0] == 200
    assert b"authorization" not in dict(served.app.seen[0]["headers"])


async def test_a_client_that_stops_sending_still_gets_its_answer(server: Start) -> None:
    """H29: a client that closes its direction after the request is answered, then the connection ends."""
    served = await server()
    served.app.gate.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)

    writer.write(head(HOST[:-2], b"Content-Length: 2") + b"{}")
    writer.write_eof()
    await asyncio.sleep(0.1)
    served.app.gate.set()
    answer = await reader.read()
    writer.close()

    assert parsed(answer)[0] == 200


async def test_a_reset_does_not_stop_the_work(server: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """H30: the client resets while we work: the work is finished, and nothing is logged as an error of ours."""
    served = await server()
    served.app.gate.clear()
    client = socket.create_connection(("127.0.0.1", served.port))
    client.sendall(head(HOST[:-2], b"Content-Length: 2") + b"{}")
    await asyncio.sleep(0.1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
    client.close()
    await asyncio.sleep(0.1)

    served.app.gate.set()
    await asyncio.sleep(0.1)

    assert served.app.finished == 1
    assert capfd.readouterr() == ("", "")


async def test_a_newcomer_takes_the_place_of_the_longest_idle(server: Start) -> None:
    """H28: with every place taken by idle connections a request is still answered; the oldest of them is closed."""
    served = await server(limits=Limits(receive_seconds=30, connections=3))
    idle = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
    await asyncio.sleep(0.1)

    answer = await served.send(head(HOST[:-2], b"Connection: close"))
    oldest = await asyncio.wait_for(idle[0][0].read(), timeout=5)
    for _, writer in idle:
        writer.close()

    assert parsed(answer)[0] == 200
    assert oldest == b""


async def test_with_every_place_at_work_a_newcomer_is_told_to_come_back(server: Start) -> None:
    """Connections with a request on them are not closed for a newcomer: it gets 503 and when to try again."""
    served = await server(limits=Limits(connections=2))
    served.app.gate.clear()
    busy = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2)]
    for _, writer in busy:
        writer.write(head(HOST[:-2]))
    await asyncio.sleep(0.1)

    status, headers, _ = parsed(await served.send(b""))
    served.app.gate.set()
    answers = [await reader.readuntil(b"more=False") for reader, _ in busy]
    for _, writer in busy:
        writer.close()

    assert (status, headers["retry-after"]) == (503, "1")
    assert [parsed(answer)[0] for answer in answers] == [200, 200]


async def test_every_answer_carries_the_request_id_that_the_application_saw(server: Start) -> None:
    """The id is ours, one for each request, in the scope's state and the `Request-Id` header; a client's is ignored."""
    served = await server()

    answers = [parsed(await served.send(head(HOST[:-2], b"Request-Id: mine", b"Connection: close"))) for _ in range(2)]

    shown = [headers["request-id"] for _, headers, _ in answers]
    assert shown == [scope["state"]["request_id"] for scope in served.app.seen]
    assert len(set(shown)) == 2
    assert "server" not in answers[0][1]


async def test_no_answer_is_taken_for_a_page(server: Start) -> None:
    """Answers and refusals tell browsers not to guess what they are, for callers' own text is in some of them."""
    served = await server()
    answers = [await served.send(sent) for sent in (head(HOST[:-2], b"Connection: close"), head(b"X-Host: none"))]
    assert [parsed(answer)[1]["x-content-type-options"] for answer in answers] == ["nosniff", "nosniff"]


async def test_forwarded_addresses_are_ignored_unless_the_proxy_is_ours(server: Start) -> None:
    """H38: X-Forwarded-For from a stranger changes nothing; from a trusted proxy it names the client."""
    request = head(HOST[:-2], b"X-Forwarded-For: 203.0.113.9", b"X-HTTP-Method-Override: DELETE", b"Connection: close")
    strange = await server()
    behind_proxy = await server(trusted_proxies=["127.0.0.1"])

    await strange.send(request)
    await behind_proxy.send(request)

    assert strange.app.seen[0]["client"][0] == "127.0.0.1"
    assert strange.app.seen[0]["method"] == "POST"
    assert behind_proxy.app.seen[0]["client"][0] == "203.0.113.9"
