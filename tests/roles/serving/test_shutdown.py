"""How serving ends: signals, what is in hand, what is idle, and a port that somebody else has."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from counterfoil.roles.framing import Limits
from counterfoil.roles.serving import PortInUse

Start = Callable[..., Awaitable[Any]]

REQUEST = b"POST /charge HTTP/1.1\r\nHost: pay.example\r\nContent-Length: 2\r\n\r\n{}"

ROLE = """
import asyncio, sys, uuid
import uvloop
from counterfoil.roles.serving import serve
from counterfoil.runtime.shutdown import Shutdown

async def app(scope, receive, send):
    await receive()
    print("working", flush=True)
    await asyncio.sleep(float(sys.argv[1]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})

async def main():
    shutdown = Shutdown()
    with shutdown.on_signals():
        await serve(
            app, host="127.0.0.1", port=0, body_limit_bytes=100, shutdown=shutdown,
            new_request_id=lambda: str(uuid.uuid4()), on_ready=lambda port: print(port, flush=True),
        )

uvloop.run(main())
"""


def role(seconds: float) -> tuple["subprocess.Popen[str]", int]:
    """A process that serves, each answer taking so long; and its port."""
    process = subprocess.Popen([sys.executable, "-c", ROLE, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_what_is_in_hand_finish(name: signal.Signals) -> None:
    """After SIGTERM or SIGINT the request in hand is answered, a new connection is refused, and the exit code is 0."""
    process, port = role(0.7)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "working\n"

    process.send_signal(name)
    await asyncio.sleep(0.4)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    answer = await reader.read()
    code = await asyncio.to_thread(process.wait, 10)
    writer.close()
    process.stdout.close()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"done")
    assert code == 0


async def test_a_second_signal_does_not_wait() -> None:
    """Asked twice, the process leaves what is in hand and ends, still with 0."""
    process, port = role(60)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "working\n"

    process.terminate()
    await asyncio.sleep(0.3)
    process.terminate()
    code = await asyncio.to_thread(process.wait, 10)
    writer.close()
    process.stdout.close()

    assert code == 0


async def test_what_takes_longer_than_the_drain_is_left(server: Start) -> None:
    """Serving returns when the drain's time is over, whatever is still at work."""
    served = await server(drain_seconds=1)
    served.app.gate.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(REQUEST)
    await asyncio.sleep(0.1)

    served.shutdown.request()
    await asyncio.wait_for(asyncio.shield(served.task), timeout=5)
    writer.close()

    assert served.app.finished == 0


async def test_a_request_on_its_way_at_shutdown_is_answered(server: Start) -> None:
    """A request whose bytes come just after shutdown was asked for, or that was half sent by then, is answered."""
    served = await server(limits=Limits())
    connections = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
    connections[1][1].write(REQUEST[:30])
    await asyncio.sleep(0.05)

    served.shutdown.request()
    await asyncio.sleep(0.15)
    connections[0][1].write(REQUEST)
    connections[1][1].write(REQUEST[30:])
    answers = [await reader.read() for reader, _ in connections]
    for _, writer in connections:
        writer.close()
    await asyncio.wait_for(asyncio.shield(served.task), timeout=5)

    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 200 ", b"HTTP/1.1 200 ", b""]
    assert b"connection: close\r\n" in answers[0]


async def test_who_had_connected_before_listening_ended_is_answered(server: Start) -> None:
    """A connection that the kernel holds for us when listening ends is taken over and answered, not reset."""
    served = await server()
    served.shutdown.request()
    await asyncio.sleep(0.01)  # the server knows, and looks at it at its next tick

    def connect_and_dawdle() -> None:
        near.recv(1)
        client.connect(("127.0.0.1", served.port))
        client.sendall(REQUEST)
        time.sleep(0.2)

    # Done while the loop is at its input: timers, the server's tick among them, come before it looks for input again.
    client = socket.socket()
    near, far = socket.socketpair()
    asyncio.get_running_loop().add_reader(near, connect_and_dawdle)
    far.send(b"!")
    await asyncio.sleep(0.05)
    asyncio.get_running_loop().remove_reader(near)
    near.close()
    far.close()
    reader, writer = await asyncio.open_connection(sock=client)
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_taken_port_is_an_error_of_its_own(server: Start) -> None:
    """The error names host and port in one line that the command line can show."""
    served = await server()

    with pytest.raises(PortInUse) as refused:
        await server(port=served.port)

    assert str(refused.value) == (
        f"port {served.port} on 127.0.0.1 is in use by another program: stop it, or choose another port"
    )


async def test_an_error_of_ours_is_answered_without_its_words(server: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """An exception that nobody caught gives a 500 problem; neither the answer nor the log repeats its text."""

    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise ValueError("whsec_this_is_secret")

    served = await server(broken)

    answer = await served.send(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    logged = "".join(capfd.readouterr())

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"urn:counterfoil:problem:unavailable" in answer
    assert "request_failed" in logged
    assert "request-1" in logged
    assert "whsec" not in logged + answer.decode()
